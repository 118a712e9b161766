"""Fixtures that every test folder shares.

`real_scan_path` the measured scan; `near_field_path` another, of the near field.
`tiny_sim`  Simulation: 60 patterns of 32 x 32, Siemens star, defocused zone-plate probe, jittered raster of 4 px
            steps, 30 counts per pixel, photon noise, no background, no bad pixels, and the truth.
`tiny_scan` its Scan: as an operator would have it, with a rough probe guess (another defocus, modulus 1).

`scan_path` the file of a smaller one, 36 patterns of 16 x 16; `here` a folder with it, in which commands run.

Simulations are made once per session and hold NumPy arrays: copy before writing into one.
Other small scans: ``simulate(dataclasses.replace(tiny_sim.spec, background=0.5))``.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path
from subprocess import CompletedProcess

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the entry points do, before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # `make test` runs as many processes as there are cores, and one

import pytest

from ptycho_core import cli
from ptycho_core.base.choices import ENGINES
from ptycho_core.formats.writers.exports import export
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers import specs
from tests.helpers.fits import simulated

# Neither the tests nor the programs that they start need be compiled each time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has programs in the background ignore Ctrl-C


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: tests that drive a window or a batch system mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def real_scan_path() -> Path:
    """The measured Siemens star, where it is at hand."""
    return _measured("siemens-star.npz")


@pytest.fixture(scope="session")
def near_field_path() -> Path:
    """The measured Siemens star in the near field, where it is at hand."""
    return _measured("near-field-petra3-p25.cxi")


def _measured(name: str) -> Path:
    """Return a measured scan's path; PTYCHO_REQUIRE_REAL_SCAN turns its absence into a failure."""
    path = (Path(__file__).parents[1] / "../shared/data" / name).resolve()
    if not path.exists():
        message = f"the measured scan is not at {path}"
        if os.environ.get("PTYCHO_REQUIRE_REAL_SCAN"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture
def quick_endings(monkeypatch):
    """What follows a reconstruction, in two epochs each, and no PNGs of it: for other questions.

    Polish, the comparison of half scans and the final pass.
    """

    def all_but_pictures(recon, target, format):
        return [] if format == "png" else export(recon, target, format)

    monkeypatch.setattr("ptycho_core.engines.reconstruct.export", all_but_pictures)
    monkeypatch.setattr("ptycho_core.engines.halves.EPOCHS", (2, 2))
    monkeypatch.setattr("ptycho_core.engines.models.direct.DirectModel.final_epochs", 2)
    monkeypatch.setitem(ENGINES, "pinn", dataclasses.replace(ENGINES["pinn"], polish_epochs=2))


@pytest.fixture(scope="session")
def tiny_sim() -> Simulation:
    return simulated(
        SimulationSpec(
            size=32, n_patterns=60, step_px=4.0, jitter_px=1.0, defocus_m=2.5e-3, guess_defocus_error_m=-0.6e-3
        )
    )


@pytest.fixture(scope="session")
def tiny_scan(tiny_sim: Simulation) -> Scan:
    return tiny_sim.scan


@pytest.fixture(scope="session")
def scan_path(tmp_path_factory) -> Path:
    return write_simulation(simulate(specs.SMALL), tmp_path_factory.mktemp("scan") / "scan.npz")[0]


@pytest.fixture
def here(tmp_path, monkeypatch, scan_path) -> Path:
    """A working directory of its own, with scan.npz in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.npz").symlink_to(scan_path)
    return tmp_path


@pytest.fixture
def ptycho(capsys):
    """Run a command in the test's own process: its exit code, and what it has printed."""

    def ptycho(*words: object) -> CompletedProcess[str]:
        capsys.readouterr()
        code = cli.main([*map(str, words)])
        return CompletedProcess(words, code, *capsys.readouterr())

    return ptycho


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A real run of three epochs that is over, with its events: `training_runs.Training`. Copy before changing it."""
    from tests.helpers.training_runs import Training

    folder = tmp_path_factory.mktemp("trained") / "out"
    return Training(folder).go(max_epochs=3, checkpoint_save_top_k=2)
