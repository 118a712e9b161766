"""The scores that tests ask by have the values that are known in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.simulation import Simulation, simulate
from tests.helpers.scores import compare_to_truth, psnr, ssim

ALL = np.ones((64, 64), bool)


def complex_noise(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


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
    estimate += 1e-4 * complex_noise(estimate.shape)
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
    noisy = truth.object + 0.01 * complex_noise(truth.object.shape)
    result = compare_to_truth(noisy, truth.object, truth.positions_px, truth.positions_px)
    assert result["modulus_psnr"] is None
    assert result["modulus_data_range"] == 0


def test_a_region_too_small_to_compare_is_an_error(tiny_sim: Simulation) -> None:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=4)).truth
    with pytest.raises(InputError, match="at least 14 x 14"):
        compare_to_truth(truth.object, truth.object, truth.positions_px, truth.positions_px)
