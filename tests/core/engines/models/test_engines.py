"""Both engines, trained for seconds, find the truth of simulated scans."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ptycho_core.base.config import Config
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.training import train
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation import Simulation
from tests.helpers import fits
from tests.helpers.fits import DIRECT, NETWORK, above, below
from tests.helpers.scores import compare_to_truth
from tests.helpers.specs import PHOTOGRAPHS

PROBES = {
    "defocused": {},
    "focused": {"probe": "aperture", "defocus_m": 0.0, "step_px": 2.0, "jitter_px": 0.5, "n_patterns": 144},
    "flat_topped": {"probe": "flat_top", "defocus_m": 0.0},
}


class Found(NamedTuple):
    result: Reconstruction
    model: Model


def simulated(**changes) -> Simulation:
    return fits.simulated(dataclasses.replace(PHOTOGRAPHS, **changes))


def fit(config: Config, scan: Scan, folder: Path) -> Found:
    checkpoint = train(config, scan, folder / "run").last_checkpoint
    return Found(
        reconstruct(scan, checkpoint, accelerator="cpu", halves=False, final_pass=False),
        load_checkpoint(checkpoint).model(),
    )


def likeness(object: np.ndarray, found: Reconstruction, sim: Simulation) -> dict[str, float]:
    """Agreement of an object on the result's canvas with the truth; a resolution of None is 1 pixel or better."""
    positions = sim.truth.positions_px[found.pattern_index]
    result = compare_to_truth(object, sim.truth.object, found.positions_px, positions, found.coverage)
    names = ("modulus_psnr", "modulus_ssim", "phase_psnr", "phase_ssim", "frc_resolution_px")
    return {name: 1.0 if result[name] is None else result[name] for name in names}


@pytest.mark.fit
@pytest.mark.parametrize("probe", PROBES)
def test_the_direct_engine_finds_the_truth(tmp_path: Path, probe):
    sim = simulated(**PROBES[probe])
    found = fit(DIRECT, sim.scan, tmp_path)
    agreement = likeness(found.result.object, found.result, sim)
    above(agreement["phase_psnr"], 24)
    above(agreement["phase_ssim"], 0.85)
    above(agreement["modulus_psnr"], 18)
    above(agreement["modulus_ssim"], 0.65)
    below(agreement["frc_resolution_px"], 1.5)
    below(found.result.metrics["free_misfit"], 2.5 * found.result.metrics["misfit"])


@pytest.mark.fit
@pytest.mark.parametrize("probe", PROBES)
def test_the_network_finds_the_truth(tmp_path: Path, probe):
    sim = simulated(**PROBES[probe])
    found = fit(NETWORK, sim.scan, tmp_path)
    agreement = likeness(found.result.object, found.result, sim)
    above(agreement["phase_psnr"], 24)
    above(agreement["phase_ssim"], 0.7)
    above(agreement["modulus_psnr"], 18)
    above(agreement["modulus_ssim"], 0.5)
    below(agreement["frc_resolution_px"], 2)
    below(found.result.metrics["free_misfit"], 2.5 * found.result.metrics["misfit"])


@pytest.mark.fit
def test_a_scan_with_two_modes_is_explained_by_two_modes(tmp_path: Path):
    sim = simulated(modes=2, mode_ratio=1.0, counts_per_pixel=3000.0)
    one, two = (fit(DIRECT.replace(probe_modes=modes), sim.scan, tmp_path / str(modes)).result for modes in (1, 2))
    below(two.metrics["free_misfit"], 0.5 * one.metrics["free_misfit"])
    powers = (abs(two.probe) ** 2).sum(axis=(1, 2))
    above(powers[1], 0.3 * powers[0])


@pytest.mark.fit
def test_the_direct_engine_finds_a_background_and_the_object_without_it(tmp_path: Path):
    sim = simulated(background=3.0)
    found, blind = (
        fit(DIRECT.replace(background=background), sim.scan, tmp_path / str(background)) for background in (True, False)
    )
    assert found.model.background.item() == pytest.approx(3, rel=0.3)
    below(found.result.metrics["free_misfit"], 0.85 * blind.result.metrics["free_misfit"])


@pytest.mark.fit
@pytest.mark.parametrize("config", [DIRECT, NETWORK], ids=["direct", "network"])
def test_a_scan_without_a_probe_is_reconstructed_from_a_guess(tmp_path: Path, config):
    sim = simulated()
    found = fit(config, sim.scan.replace(probe=None), tmp_path).result
    agreement = likeness(found.object, found, sim)
    above(agreement["phase_psnr"], 14)
    above(agreement["phase_ssim"], 0.3)
