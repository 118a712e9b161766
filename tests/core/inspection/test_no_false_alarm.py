"""A scan that is fine shows no problem: a real one, simulated ones, the test file of every format."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES


def told(scan):
    return [problem.field for problem in inspect(scan).problems]


@pytest.mark.parametrize("name", files.WRITERS)
def test_the_test_file_of_every_format_is_fine(tmp_path, name):
    scan = read_scan(files.write(tmp_path, name))
    assert told(scan) == (["probe"] if name in files.HAVE_NO_PROBE else [])


def test_the_real_scan_is_fine(real_scan_path):
    assert told(read_scan(real_scan_path)) == []


def test_the_real_scan_of_the_near_field_is_told_with_its_button(near_field_path):
    problems = {problem.field: problem for problem in inspect(read_scan(near_field_path)).problems}
    assert set(problems) == {"probe", "overlap"}
    (fix,) = [fix for fix in problems["overlap"].fixes if fix.field == "propagator"]
    near = read_scan(
        near_field_path, settings={**ScanSource(near_field_path).fixed(fix).settings, "defocus_m": "3.65e-3"}
    )
    assert "overlap" not in told(near)


SPEC = SimulationSpec(size=32, n_patterns=60, step_px=4.0, jitter_px=1.0, defocus_m=2.5e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"counts_per_pixel": 0.3},
        {"counts_per_pixel": 2000.0},
        {"background": 20.0},
        {"jitter_px": 0.0},
        {"step_px": 1.5, "jitter_px": 0.2},
        {"step_px": 9.0},
        {"counts_per_pixel": 0.05},
        {"n_patterns": 9},
        {"positions": "spiral"},
        {"positions": "snake", "jitter_px": 0.0},
        {"size": 24, "step_px": 3.0},
    ],
    ids=str,
)
def test_simulated_scans_are_fine(changes):
    assert told(simulate(dataclasses.replace(SPEC, **changes)).scan) == []


AGAIN = np.random.default_rng(3)
STORED = {
    "reversed": lambda counts, positions: (counts[::-1], positions[::-1]),
    "column after column": lambda counts, positions: (
        counts[np.argsort(positions[:, 1])],
        positions[np.argsort(positions[:, 1])],
    ),
    "taken twice": lambda counts, positions: (
        np.concatenate([counts, AGAIN.poisson(counts).astype(counts.dtype)]),
        np.concatenate([positions, positions]),
    ),
    "float64": lambda counts, positions: (counts.astype(np.float64), positions),
    "8 bits": lambda counts, positions: (np.minimum(counts, 254).astype(np.uint8), positions),
    "whole pixels": lambda counts, positions: (counts, np.rint(positions).astype(np.int16)),
}


@pytest.mark.parametrize("name", STORED)
def test_scans_in_other_orders_and_types_are_fine(tmp_path, name):
    made = simulate(dataclasses.replace(SPEC, counts_per_pixel=3.0)).scan
    counts, positions = STORED[name](np.asarray(made.patterns[:]).astype(np.uint16), made.positions)
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=positions, probe=made.probe)
    assert told(read_scan(path)) == []


@pytest.mark.parametrize("name", BEAMLINES)
def test_the_test_file_of_every_beamline_is_fine(tmp_path, name):
    beamline = BEAMLINES[name]
    path, positions = beamline.write(tmp_path, files.TINY)
    scan = read_scan(path, positions_file=positions, settings=beamline.answers)
    assert told(scan) == ["probe"]
