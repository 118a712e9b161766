"""A simulation on disk is the scan and its truth."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.formats import read_scan
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation, write_simulation_live


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


STEPPED = """
import sys
from ptycho_core.cli import main
from ptycho_core.formats.writers import cxi_live


class Clock:
    # Goes on by a tenth of a second whenever the writer sleeps, which it does until a line comes.

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        print("waits", flush=True)
        sys.stdin.readline()
        self.now += 0.1


cxi_live.time = Clock()
sys.exit(main())
"""


def test_a_scan_that_is_written_live_is_read_while_it_grows_and_whole_at_the_end(
    tmp_path: Path, tiny_sim: Simulation
) -> None:
    path, lengths = tmp_path / "live.cxi", []
    spec = dataclasses.asdict(tiny_sim.spec)
    flags = [word for name, value in spec.items() for word in (f"--{name}", str(value).lower())]
    command = [sys.executable, "-c", STEPPED, "simulate", path, "--live", "100", *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "waits\n"
        with pytest.raises(InputError, match="it holds no patterns"):
            read_scan(path)
        writer.stdin.write("\n")
        writer.stdin.flush()
        while writer.stdout.readline() == "waits\n":
            scan = read_scan(path)
            assert scan.growing
            lengths.append(len(scan))
            np.testing.assert_array_equal(scan.patterns[:], tiny_sim.scan.patterns[: len(scan)])
            writer.stdin.write("\n")
            writer.stdin.flush()
    assert writer.returncode == 0
    assert lengths == [11, 21, 31, 41, 51]
    whole, at_once = read_scan(path), read_scan(write_simulation(tiny_sim, tmp_path / "a.cxi")[0])
    assert not whole.growing
    np.testing.assert_array_equal(whole.patterns[:], at_once.patterns[:])
    np.testing.assert_array_equal(whole.positions, at_once.positions)
    np.testing.assert_array_equal(whole.probe, at_once.probe)
    assert whole.geometry == at_once.geometry


def test_a_scan_that_is_written_live_can_be_broken_off(tmp_path: Path, tiny_sim: Simulation) -> None:
    stop = StopToken()
    stop.stop()
    assert write_simulation_live(tiny_sim, tmp_path / "live.cxi", 10.0, stop) == 0
    with pytest.raises(InputError, match="it holds no patterns"):
        read_scan(tmp_path / "live.cxi")


def test_the_command_tells_a_scan_that_was_broken_off_from_a_whole_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("ptycho_core.cli.simulate.write_simulation_live", lambda sim, path, rate, stop: stop.stop())
    command = ["simulate", str(tmp_path / "live.cxi"), "--live", "10", "--size", "16", "--n-patterns", "25"]
    assert cli.main(command) == 130


def test_only_a_cxi_is_written_live(tmp_path: Path, tiny_sim: Simulation) -> None:
    with pytest.raises(InputError, match=r"must end in \.cxi"):
        write_simulation_live(tiny_sim, tmp_path / "live.npz", 10.0, StopToken())
    assert not list(tmp_path.iterdir())
