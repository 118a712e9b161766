"""Metrics have the values that are known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import fft

from ptycho_core.base.errors import InputError
from ptycho_core.quality.metrics import compare_to_truth, frc, half_bit_threshold, psnr, ssim
from ptycho_core.simulation import Simulation, simulate

ALL = np.ones((64, 64), bool)


def complex_noise(seed: int, shape: tuple[int, int] = (128, 128)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize("shape", [(64, 64), (63, 80)])
def test_frc_of_an_image_with_itself_is_one_and_never_crosses(shape: tuple[int, int]) -> None:
    image = complex_noise(0, shape)
    result = frc(image, 2 * image, pixel_size_m=1e-8)
    np.testing.assert_allclose(result.correlation, 1)
    assert result.resolution_px is None
    assert result.resolution_m is None
    assert result.frequency[0] == pytest.approx(1 / min(shape))
    assert 0.49 < result.frequency[-1] <= 0.5


def test_frc_of_independent_noise_scatters_around_zero_as_one_over_root_two_n() -> None:
    result = frc(complex_noise(1), complex_noise(2))
    n = 2 * np.pi * np.arange(1, 65)
    pull = result.correlation[4:] * np.sqrt(2 * n[4:])
    assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
    assert 0.6 < pull.std() < 1.4
    assert (result.correlation[4:] < result.threshold[4:]).all()


def test_frc_of_one_signal_with_independent_noise_is_snr_over_one_plus_snr() -> None:
    signal = fft.fft2(complex_noise(3, (256, 256)))
    f = np.hypot(fft.fftfreq(256)[:, None], fft.fftfreq(256)[None, :])
    modulation = np.exp(-4 * f)
    signal = fft.ifft2(signal * modulation)
    result = frc(signal + 0.5 * complex_noise(4, (256, 256)), signal + 0.5 * complex_noise(5, (256, 256)))
    snr = np.exp(-8 * result.frequency) / 0.25
    np.testing.assert_allclose(result.correlation[8:], (snr / (1 + snr))[8:], atol=0.12)
    assert (result.correlation - snr / (1 + snr))[8:].mean() == pytest.approx(0, abs=0.01)


def test_the_resolution_is_where_the_signal_ends() -> None:
    f = np.hypot(fft.fftfreq(256)[:, None], fft.fftfreq(256)[None, :])
    signal = fft.ifft2(fft.fft2(complex_noise(6, (256, 256))) * (f < 0.2))
    result = frc(
        signal + 0.05 * complex_noise(7, (256, 256)), signal + 0.05 * complex_noise(8, (256, 256)), pixel_size_m=2e-8
    )
    assert result.resolution_px == pytest.approx(1 / (2 * 0.2), rel=0.02)
    assert result.resolution_m == pytest.approx(result.resolution_px * 2e-8)


def waves(kept: np.ndarray) -> np.ndarray:
    """White noise (128, 128) without the frequencies, in Fourier pixels from DC, that are not kept."""
    ring = np.rint(128 * np.hypot(fft.fftfreq(128)[:, None], fft.fftfreq(128)[None, :])).astype(int)
    return fft.ifft2(fft.fft2(complex_noise(9)) * kept[np.minimum(ring, 64)])


def test_two_bad_lowest_rings_do_not_hide_the_resolution_but_more_do() -> None:
    image = waves(np.arange(65) < 30)
    noise = 0.03 * complex_noise(10)
    for bad_rings, expected in ((2, 128 / (2 * 29.6)), (8, 64)):
        low = waves(np.arange(65) <= bad_rings)
        assert frc(image, image - 2 * low + noise).resolution_px == pytest.approx(expected, rel=0.02)


def test_a_window_does_not_make_noise_look_like_signal() -> None:
    y, x = np.mgrid[:128, :128] - 64
    window = np.exp(-(y**2 + x**2) / (2 * 16**2))
    crossings = [
        frc(complex_noise(2 * i) + 5, complex_noise(2 * i + 1) + 5, window=window).resolution_px for i in range(10, 30)
    ]
    assert np.median([c or 1 for c in crossings]) > 16


def test_the_half_bit_curve_has_its_known_limits() -> None:
    # One pixel: 1, whatever it says. Very many: half a bit, log2(1 + snr) = 1/2 for the mean of both images.
    snr = (2**0.5 - 1) / 2
    assert half_bit_threshold(1) == pytest.approx(1)
    assert half_bit_threshold(1e12) == pytest.approx(snr / (1 + snr), rel=1e-5)
    assert half_bit_threshold(100) == pytest.approx((0.2071 + 0.19102) / (1.2071 + 0.09102), rel=1e-4)


def test_real_images_have_half_the_independent_pixels_of_complex_ones() -> None:
    real = frc(complex_noise(1).real, complex_noise(2).real).threshold
    n = np.bincount(np.rint(np.hypot(*np.meshgrid(np.arange(-64, 64), np.arange(-64, 64)))).astype(int).ravel())[1:65]
    np.testing.assert_allclose(real, half_bit_threshold(n / 2))


def test_a_window_over_half_the_image_halves_the_independent_pixels() -> None:
    window = np.zeros((64, 64))
    window[:32] = 1
    whole, half = (frc(ALL + 0j, ALL + 0j, window=w).threshold for w in (None, window))
    n = np.bincount(np.rint(np.hypot(*np.meshgrid(np.arange(-32, 32), np.arange(-32, 32)))).astype(int).ravel())[1:33]
    np.testing.assert_allclose(whole, half_bit_threshold(n))
    np.testing.assert_allclose(half, half_bit_threshold(n / 2))


def test_psnr_of_a_constant_offset() -> None:
    truth = np.random.default_rng(0).uniform(size=(64, 64))
    assert psnr(truth + 0.1, truth, 1.0, ALL) == pytest.approx(20)
    assert psnr(truth + 0.1, truth, 2.0, ALL) == pytest.approx(20 + 20 * np.log10(2))
    assert psnr(truth, truth, 1.0, ALL) is None
    assert psnr(truth + 1, truth, 0.0, ALL) is None


def test_psnr_and_ssim_look_at_covered_pixels_only() -> None:
    truth = np.random.default_rng(0).uniform(size=(64, 64))
    estimate = truth + 0.1
    estimate[:, 40:] = 9
    covered = np.zeros((64, 64), bool)
    covered[:, :32] = True
    assert psnr(estimate, truth, 1.0, covered) == pytest.approx(20)
    estimate[covered] = truth[covered]
    assert ssim(estimate, truth, 1.0, covered) == pytest.approx(1)


def test_ssim_of_constants_is_its_luminance_term() -> None:
    # Wang et al. 2004, eq. 6 with K1 = 0.01: (2 a b + c1) / (a^2 + b^2 + c1).
    a, b, c1 = 0.5, 0.8, 0.01**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert ssim(np.full((64, 64), a), np.full((64, 64), b), 1.0, ALL) == pytest.approx(expected)


def test_the_truth_itself_compares_as_perfect_on_another_canvas(tiny_sim: Simulation) -> None:
    sim = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=100))
    truth = sim.truth
    y, x = np.mgrid[: truth.object.shape[0], : truth.object.shape[1]]
    estimate = 3 * np.pad(truth.object * np.exp(1j * (0.05 * y - 0.08 * x + 1)), ((5, 9), (2, 0)))
    estimate += 1e-4 * complex_noise(0, estimate.shape)
    result = compare_to_truth(
        estimate, truth.object, truth.positions_px + np.array([5, 2]), truth.positions_px, pixel_size_m=1e-8
    )
    assert result["modulus_psnr"] > 50
    assert result["phase_psnr"] > 50
    assert result["modulus_ssim"] == pytest.approx(1, abs=1e-3)
    assert result["phase_ssim"] == pytest.approx(1, abs=1e-3)
    assert result["frc_resolution_px"] is None
    assert result["scale"] == pytest.approx(3, rel=1e-3)
    assert (result["shift_y_px"], result["shift_x_px"]) == pytest.approx((0, 0), abs=1e-3)


def test_a_known_phase_error_gives_its_psnr(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=225)).truth
    error = np.random.default_rng(0).normal(0, 0.05, truth.object.shape)
    result = compare_to_truth(truth.object * np.exp(1j * error), truth.object, truth.positions_px, truth.positions_px)
    assert result["phase_psnr"] == pytest.approx(20 * np.log10(result["phase_data_range"] / 0.05), abs=0.3)
    assert result["modulus_psnr"] > 40


def test_pixels_without_coverage_are_not_compared(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=225)).truth
    estimate, weights = truth.object.copy(), np.ones(truth.object.shape)
    estimate[:40, :40], weights[:40, :40] = 7, 0
    args = (estimate, truth.object, truth.positions_px, truth.positions_px)
    assert compare_to_truth(*args, weights=weights)["phase_psnr"] > 40
    assert compare_to_truth(*args)["phase_psnr"] < 30


def test_pixels_outside_the_scanned_box_are_not_compared_even_if_covered(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=100)).truth
    low, high = np.floor(truth.positions_px.min(axis=0)), np.ceil(truth.positions_px.max(axis=0)) + 1
    weights = np.ones(truth.object.shape)
    result = compare_to_truth(truth.object, truth.object, truth.positions_px, truth.positions_px, weights)
    assert result["compared_pixels"] == np.prod(high - low)


def test_the_shift_is_counted_between_positions_not_between_canvases(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=225)).truth
    moved = np.roll(truth.object, (2, -1), axis=(0, 1))
    result = compare_to_truth(moved, truth.object, truth.positions_px + 0.25, truth.positions_px)
    assert (result["shift_y_px"], result["shift_x_px"]) == pytest.approx((1.75, -1.25), abs=0.02)


def test_a_flat_truth_has_no_range_and_so_no_psnr(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, object="flat")).truth
    noisy = truth.object + 0.01 * complex_noise(0, truth.object.shape)
    result = compare_to_truth(noisy, truth.object, truth.positions_px, truth.positions_px)
    assert result["modulus_psnr"] is None
    assert result["modulus_data_range"] == 0


def test_a_region_too_small_to_compare_is_an_error(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=4)).truth
    with pytest.raises(InputError, match="at least 14 x 14"):
        compare_to_truth(truth.object, truth.object, truth.positions_px, truth.positions_px)
