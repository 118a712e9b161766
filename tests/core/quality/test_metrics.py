"""Metrics have the values that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from ptycho_core.quality.metrics import frc, half_bit_threshold

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
