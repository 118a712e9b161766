"""Registration undoes known shifts, ramps, phases and scales."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from ptycho_core.quality.registration import phase_ramp, register, soft_window
from ptycho_core.simulation import SimulationSpec, simulate

SHAPE = (96, 110)


def smooth_field(seed: int, shape: tuple[int, int] = SHAPE, cutoff: float = 0.2) -> np.ndarray:
    """Random, periodic, band-limited below ``cutoff`` cycles per pixel: it can be shifted exactly."""
    rng = np.random.default_rng(seed)
    f = np.hypot(fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1])[None, :])
    spectrum = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) * np.exp(-((f / cutoff) ** 2) * 4) * (f < cutoff)
    field = fft.ifft2(spectrum)
    return 1 + 0.25 * field / field.std()


def shifted(image: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Moved down and right by a Fourier shift."""
    fy, fx = fft.fftfreq(image.shape[0])[:, None], fft.fftfreq(image.shape[1])[None, :]
    return fft.ifft2(fft.fft2(image) * np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1])))


def ramp_over(shape: tuple[int, int], ramp: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(1j * (ramp[0] * (y - shape[0] // 2) + ramp[1] * (x - shape[1] // 2)))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.81), (5.25, -3.6)])
@pytest.mark.parametrize("ramp", [(0.0, 0.0), (0.03, -0.11), (-0.4, 0.25)])
def test_registration_recovers_a_known_shift_ramp_phase_and_scale(
    shift: tuple[float, float], ramp: tuple[float, float]
) -> None:
    truth = smooth_field(0)
    # estimate(r + s) = scale exp(i (phase + ramp r)) truth(r), so estimate(r) has the ramp at r - s.
    tilt = ramp_over(SHAPE, ramp) * np.exp(-1j * np.dot(ramp, shift))
    estimate = 0.7 * np.exp(0.9j) * tilt * shifted(truth, shift)
    found = register(estimate, truth)
    assert found.shift_px == pytest.approx(shift, abs=2e-3)
    assert found.ramp == pytest.approx(ramp, abs=1e-4)
    assert np.exp(1j * (found.phase - 0.9)) == pytest.approx(1, abs=5e-3)
    assert found.scale == pytest.approx(0.7, rel=2e-3)
    inside = soft_window(np.ones(SHAPE, bool)) > 0.99
    np.testing.assert_allclose(found.aligned[inside], truth[inside], atol=0.02)


def test_registration_bears_noise() -> None:
    truth = smooth_field(1)
    rng = np.random.default_rng(2)
    noise = 0.1 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
    found = register(shifted(truth, (1.3, 0.6)) * ramp_over(SHAPE, (0.05, 0.02)) + noise, truth)
    assert found.shift_px == pytest.approx((1.3, 0.6), abs=0.05)
    assert found.ramp == pytest.approx((0.05, 0.02), abs=1e-3)


@pytest.mark.parametrize("rubbish", [40.0, np.nan])
def test_registration_does_not_look_at_pixels_of_no_weight(rubbish: float) -> None:
    truth = smooth_field(3)
    estimate = shifted(truth, (0.5, 0.25))
    bad = np.zeros(SHAPE, bool)
    bad[30:40, 40:55] = True
    estimate[bad] = rubbish * np.random.default_rng(4).normal(size=bad.sum())
    found = register(estimate, truth, soft_window(~bad))
    assert found.shift_px == pytest.approx((0.5, 0.25), abs=5e-3)
    away = soft_window(~bad) > 0.6
    assert abs(found.aligned - truth)[away].max() < 0.02


@pytest.mark.parametrize("kind", ["siemens_star", "photographs", "lines"])
def test_registration_aligns_an_object_to_itself_moved_by_whole_pixels(kind: str) -> None:
    whole = simulate(SimulationSpec(object=kind, n_patterns=225, size=32)).truth.object
    truth, estimate = whole[10:100, 10:100], whole[7:97, 12:102]
    found = register(estimate * ramp_over(truth.shape, (0.1, -0.07)), truth)
    assert found.shift_px == pytest.approx((3, -2), abs=1e-2)
    np.testing.assert_allclose(found.aligned[20:70, 20:70], truth[20:70, 20:70], atol=0.02)


def test_a_phase_object_without_absorption_registers() -> None:
    whole = np.exp(1j * 2.5 * smooth_field(5).real).astype(np.complex64)
    found = register(shifted(whole, (2.0, -1.5)), whole)
    assert found.shift_px == pytest.approx((2.0, -1.5), abs=0.02)


def test_a_flat_truth_still_gives_scale_and_phase() -> None:
    rng = np.random.default_rng(6)
    found = register(2j + 0.01 * rng.normal(size=(40, 40)), np.ones((40, 40)))
    assert found.scale == pytest.approx(2, rel=1e-3)
    assert found.phase == pytest.approx(np.pi / 2, abs=1e-3)


def test_images_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        register(np.ones((8, 8)), np.ones((8, 9)))


def test_the_ramp_of_an_image_is_found_whatever_its_phase() -> None:
    flat = abs(smooth_field(7)) * np.exp(0.2j * smooth_field(8).real)
    own = np.array(phase_ramp(flat))
    found = phase_ramp(flat * ramp_over(SHAPE, (0.21, -0.33)) * np.exp(2j))
    np.testing.assert_allclose(found - own, (0.21, -0.33), atol=1e-3)


def test_a_ramp_is_that_of_the_pixels_that_count() -> None:
    tilted = ramp_over(SHAPE, (0.05, 0.1))
    weights = np.zeros(SHAPE)
    weights[:, :60] = 1
    tilted[:, 60:] = 5 * ramp_over(SHAPE, (-0.4, 0.3))[:, 60:]
    np.testing.assert_allclose(phase_ramp(tilted, weights), (0.05, 0.1), atol=1e-4)


def test_the_soft_window_is_zero_outside_one_well_inside_and_falls_to_every_edge() -> None:
    covered = np.ones((40, 50), bool)
    covered[:, 30:] = False
    window = soft_window(covered)
    assert (window[~covered] == 0).all()
    assert (window[6:34, 6:24] == 1).all()
    assert (np.diff(window[20, 26:31]) < 0).all()
    assert (np.diff(window[:4, 15]) > 0).all()
