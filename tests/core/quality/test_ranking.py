"""On a faint scan with a wide beam, deviance ranks the true picture first, where an R-factor ranks it last."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ptycho_core.quality.deviance import Misfit, expected_half_deviance, half_deviance
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.forward import intensities

FAINT = SimulationSpec(probe="zone_plate", aperture=0.35, counts_per_pixel=1.0, n_patterns=36)


def blurred(object: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(object.real, sigma) + 1j * ndimage.gaussian_filter(object.imag, sigma)


def r_factor(counts: np.ndarray, expected: np.ndarray) -> float:
    amplitudes, model = np.sqrt(counts), np.sqrt(expected)
    scale = (amplitudes * model).sum() / expected.sum()
    return float(abs(scale * model - amplitudes).sum() / amplitudes.sum())


@pytest.fixture(scope="module")
def pictures() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Counts, and what the true probe and a picture make one expect; the best picture first."""
    sim = simulate(FAINT)
    truth, counts = sim.truth, sim.scan.patterns[:].astype(np.float64)
    objects = {
        "truth": truth.object,
        "slightly blurred": blurred(truth.object, 1),
        "blurred": blurred(truth.object, 3),
        "nothing": np.ones_like(truth.object),
    }
    return {
        name: (counts, intensities(object.astype(np.complex128), truth.probe, truth.positions_px))
        for name, object in objects.items()
    }


def test_deviance_ranks_pictures_by_how_good_they_are(pictures):
    deviance = {name: half_deviance(*pair).mean() for name, pair in pictures.items()}
    assert sorted(deviance, key=deviance.__getitem__) == list(pictures)


def test_an_r_factor_ranks_them_the_other_way_round(pictures):
    r = {name: r_factor(*pair) for name, pair in pictures.items()}
    assert sorted(r, key=r.__getitem__) == list(reversed(pictures))


def test_nothing_but_noise_is_left_of_the_truth_and_more_of_every_other_picture(pictures):
    misfit = {}
    for name, (counts, expected) in pictures.items():
        misfit[name] = Misfit(half_deviance(counts, expected).mean(), expected_half_deviance(expected).mean(), 0).misfit
    assert misfit.pop("truth") == pytest.approx(1, abs=0.03)
    assert all(value > 1.1 for value in misfit.values())
