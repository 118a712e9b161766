import dataclasses

import numpy as np
import pytest
from exact_scans import CASES, Case, make
from exact_score import free_deviance, placed, score

TINY = Case(size=32, side=8, step_px=3, scatter_px=1, counts_per_pixel=30, defocus=0.1)


@pytest.fixture(scope="module")
def scan():
    return make(TINY)


def test_every_case_has_a_beam_and_a_scan_of_its_own():
    assert len(set(CASES.values())) == len(CASES)


def test_photon_noise_is_all_that_the_truth_leaves_at_positions_between_pixels(scan):
    assert (scan.positions % 1 != 0).any()
    deviance, noise = free_deviance(scan.object, scan.probe, scan.positions, scan.counts)
    assert deviance == pytest.approx(noise, rel=0.06)
    moved, _ = free_deviance(scan.object, scan.probe, scan.positions + 0.5, scan.counts)
    assert moved > 1.1 * noise


def test_a_pattern_that_is_brighter_or_darker_than_the_rest_is_scaled_where_asked(scan):
    flickering = make(dataclasses.replace(TINY, flicker=0.3))
    fixed, noise = free_deviance(scan.object, scan.probe, scan.positions, flickering.counts)
    scaled, _ = free_deviance(scan.object, scan.probe, scan.positions, flickering.counts, any_brightness=True)
    assert scaled == pytest.approx(noise, rel=0.1)
    assert fixed > 2 * noise


@pytest.mark.parametrize("name", ["flat", "focus", "astig"])
def test_the_guess_is_another_beam_than_the_true_one_of_the_same_kind(name):
    case = dataclasses.replace(CASES[name], size=64, side=2)
    made = make(case)
    overlap = abs(np.vdot(made.guess, made.probe[0])) / np.linalg.norm(made.guess) / np.linalg.norm(made.probe)
    assert overlap == pytest.approx(1) if name == "focus" else overlap < 0.99


def test_modes_are_orthogonal_and_share_the_light():
    made = make(dataclasses.replace(TINY, side=2, modes=3))
    products = np.einsum("myx,nyx->mn", made.probe, made.probe.conj())
    light = np.diag(products).real
    np.testing.assert_allclose(light / light[0], [1, 0.25, 0.12], rtol=1e-4)
    assert abs(products - np.diag(light)).max() < 1e-4 * light[0]
    assert light.sum() == pytest.approx(30 * 32**2, rel=1e-4)


def test_recorded_positions_err_as_the_case_says(scan):
    np.testing.assert_array_equal(scan.recorded, scan.positions)
    jitter = make(dataclasses.replace(TINY, error_px=1.5))
    assert (jitter.recorded - jitter.positions).std() == pytest.approx(1.5, rel=0.3)
    drift = make(dataclasses.replace(TINY, drift_px=6))
    assert drift.recorded[0] == pytest.approx(drift.positions[0])
    assert abs(drift.recorded[-1] - drift.positions[-1]).max() > 3


def test_what_ptychography_cannot_know_costs_nothing(scan):
    y, x = np.mgrid[: len(scan.object), : len(scan.object)]
    picture = 1.7 * np.exp(1j * (0.4 + 0.02 * y - 0.03 * x)) * np.roll(scan.object, (3, -2), axis=(0, 1))
    found = score(picture, scan.positions + np.array((3, -2)), scan.object, scan.positions)
    assert found.nrmse < 1e-4
    assert found.phase_rms < 1e-4
    assert found.frc_mean > 0.999
    assert found.resolution_px == 1


def test_noise_of_a_known_size_is_the_error_that_is_found(scan):
    noise = np.random.default_rng(0).normal(0, 0.1 / np.sqrt(2), (2, *scan.object.shape))
    scale = np.sqrt((abs(scan.object) ** 2).mean())
    found = score(scan.object + scale * (noise[0] + 1j * noise[1]), scan.positions, scan.object, scan.positions)
    assert found.nrmse == pytest.approx(0.1, rel=0.15)
    assert found.frc_mean < 0.95


def test_free_patterns_lie_where_refinement_took_their_neighbours(scan):
    stretched = scan.positions @ [[1.01, 0.02], [-0.01, 0.99]] + np.array((4, 5))
    free = np.array([9, 20])
    fitted = np.setdiff1d(np.arange(len(stretched)), free)
    np.testing.assert_allclose(placed(scan.positions, fitted, stretched[fitted], free), stretched[free], atol=1e-9)
