"""A scan that is fine shows no problem: a real one, simulated ones, the test file of every format."""

from __future__ import annotations

import dataclasses

import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers import scan_files as files


def told(scan):
    return [problem.field for problem in inspect(scan).problems]


@pytest.mark.parametrize("name", files.WRITERS)
def test_the_test_file_of_every_format_is_fine(tmp_path, name):
    scan = read_scan(files.write(tmp_path, name))
    assert told(scan) == (["probe"] if name in files.HAVE_NO_PROBE else [])


def test_the_real_scan_is_fine(real_scan_path):
    assert told(read_scan(real_scan_path)) == []


def test_the_real_scan_of_the_near_field_is_told_with_its_button(real_scan_path):
    path = real_scan_path.with_name("near-field-petra3-p25.cxi")
    if not path.exists():
        pytest.skip(f"the measured scan of the near field is not at {path}")
    problems = {problem.field: problem for problem in inspect(read_scan(path)).problems}
    assert set(problems) == {"probe", "overlap"}
    (fix,) = [fix for fix in problems["overlap"].fixes if fix.field == "propagator"]
    near = read_scan(path, settings={**ScanSource(path).fixed(fix).settings, "defocus_m": "3.65e-3"})
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
    ],
    ids=str,
)
def test_simulated_scans_are_fine(changes):
    assert told(simulate(dataclasses.replace(SPEC, **changes)).scan) == []
