"""A simulation on disk is the scan and its truth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation


@pytest.mark.parametrize("name", ["star.npz", "star.cxi"])
def test_a_written_scan_reads_back_as_it_was_simulated(tmp_path: Path, tiny_sim: Simulation, name: str) -> None:
    sim = simulate(dataclasses.replace(tiny_sim.spec, dead_pixels=2))
    scan, simulated = read_scan(write_simulation(sim, tmp_path / name)[0]), sim.scan
    np.testing.assert_array_equal(scan.patterns[:], simulated.patterns[:])
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(simulated.positions, axis=0), atol=1e-6)
    np.testing.assert_allclose(scan.probe, simulated.probe)
    np.testing.assert_array_equal(scan.mask, simulated.mask)
    assert scan.pixel_size_m == pytest.approx(simulated.pixel_size_m)


def test_the_truth_lies_beside_the_scan(tmp_path: Path, tiny_sim: Simulation) -> None:
    _, truth_path = write_simulation(tiny_sim, tmp_path / "star.npz")
    assert truth_path == tmp_path / "star.truth.npz"
    with np.load(truth_path) as truth:
        np.testing.assert_array_equal(truth["object"], tiny_sim.truth.object)
        np.testing.assert_array_equal(truth["probe"], tiny_sim.truth.probe)
        np.testing.assert_array_equal(truth["positions_px"], tiny_sim.truth.positions_px)
        np.testing.assert_array_equal(truth["pixel_size_m"], tiny_sim.scan.pixel_size_m)
        assert SimulationSpec(**json.loads(str(truth["spec"]))) == tiny_sim.spec


def test_a_lazy_simulation_streams_into_a_file(tmp_path: Path, tiny_sim: Simulation) -> None:
    lazy = simulate(tiny_sim.spec, in_memory=False)
    scan_path, _ = write_simulation(lazy, tmp_path / "large.cxi")
    np.testing.assert_array_equal(read_scan(scan_path).patterns[:], tiny_sim.scan.patterns[:])


def test_a_simulation_is_not_written_under_an_unknown_ending(tmp_path: Path, tiny_sim: Simulation) -> None:
    with pytest.raises(InputError, match=r"scan\.tif must end in \.npz or \.cxi"):
        write_simulation(tiny_sim, tmp_path / "scan.tif")
    assert not list(tmp_path.iterdir())
