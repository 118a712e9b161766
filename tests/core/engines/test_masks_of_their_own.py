"""Scans in which other pixels are bad in each pattern: both engines do as well as without these faults."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.losses import MisfitSum, misfit_of_each, pixel_mean, poisson_deviance
from ptycho_core.engines.probe_search import search_probe
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.training import train
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.scan.scan import Masks, Patterns, Scan
from ptycho_core.simulation import Simulation
from tests.helpers.fits import DIRECT, NETWORK, above, below, simulated
from tests.helpers.specs import KNOWN_PROBE
from tests.helpers.truth import error

SPEC = dataclasses.replace(KNOWN_PROBE, counts_per_pixel=50)


@pytest.fixture(scope="module")
def sim() -> Simulation:
    return simulated(SPEC)


def foul(scan: Scan, part: float, *, garbage: float = 6e4) -> tuple[Scan, np.ndarray]:
    """The scan with garbage in this part of the pixels, others in each pattern, masked; and where it is good."""
    counts, rng = scan.patterns[:], np.random.default_rng(5)
    good = rng.random(counts.shape) >= part
    counts = np.where(good, counts, rng.choice([0.0, garbage / 20, garbage], counts.shape)).astype(np.float32)
    return scan.replace(patterns=Patterns(counts), mask=Masks(good)), good


def found(config: Config, scan: Scan, sim: Simulation, folder: Path) -> float:
    """Train, reconstruct and return how far the object is from the truth."""
    run = train(config, scan, folder)
    assert run.last_checkpoint is not None
    picture = reconstruct(scan, run.last_checkpoint, accelerator="cpu", halves=False, final_pass=False)
    return error(torch.from_numpy(picture.object), sim)


@pytest.mark.fit
@pytest.mark.parametrize("config", [DIRECT, NETWORK], ids=["direct", "network"])
def test_faults_of_single_patterns_cost_little(sim, tmp_path, config):
    scan, _ = foul(sim.scan, 0.05)
    clean = found(config, sim.scan, sim, tmp_path / "clean")
    below(found(config, scan, sim, tmp_path / "masks"), 1.2 * clean)
    if config is DIRECT:  # of one mask for all, far fewer faults cost much
        one, _ = foul(sim.scan, 0.01)
        together = one.replace(mask=one.mask[:].all(axis=0))
        above(found(config, together, sim, tmp_path / "together"), 1.3 * clean)


def test_garbage_in_what_is_masked_changes_no_guess_and_no_search(sim):
    scans = [foul(sim.scan, 0.05, garbage=value)[0].replace(probe=None) for value in (0.0, 6e4)]
    guesses = [initial_probe(scan) for scan in scans]
    np.testing.assert_array_equal(*guesses)
    beams = [search_probe(scan, Amplitudes(scan), np.arange(0, len(scan), 4)) for scan in scans]
    assert beams[0].why == beams[1].why
    np.testing.assert_array_equal(beams[0].probe, beams[1].probe)


def test_scores_and_what_noise_leaves_of_them_are_over_good_pixels_alone():
    rng = np.random.default_rng(0)
    expected = torch.from_numpy(rng.uniform(0.01, 90, (3, 8, 8)).astype(np.float32))
    amplitude = torch.from_numpy(rng.poisson(expected).astype(np.float32)).sqrt()
    weight = (torch.from_numpy(rng.random((3, 8, 8))) > 0.3).float()
    total, alone = MisfitSum(), MisfitSum()
    total.add(expected, torch.where(weight > 0, amplitude, 300.0), weight)
    good = weight > 0
    alone.add(expected[good][None], amplitude[good][None], None)
    for name, value in dataclasses.asdict(alone.result()).items():
        assert getattr(total.result(), name) == pytest.approx(value, rel=1e-5)
    each = misfit_of_each(expected, torch.where(weight > 0, amplitude, 300.0), weight).sum(dim=0)
    assert float(each[0] / good.sum()) == pytest.approx(total.result().deviance, rel=1e-5)
    by_pixel = poisson_deviance(expected, amplitude.square(), weight)
    assert float(by_pixel) == pytest.approx(float(poisson_deviance(expected[good], amplitude[good].square())), rel=1e-5)
    assert float(pixel_mean(torch.ones(3, 8, 8), weight)) == pytest.approx(1.0)


def test_a_canvas_gives_the_weights_of_the_patterns_that_it_gives(sim):
    scan, good = foul(sim.scan, 0.05)
    rows = np.array([8, 3, 70])
    canvas = Canvas.of_scan(scan, Amplitudes(scan), rows, torch.device("cpu"))
    (some,) = canvas.batches()
    np.testing.assert_array_equal(np.fft.fftshift(some.weight, axes=(1, 2)), good[rows])
    assert not some.amplitude[some.weight == 0].any()
