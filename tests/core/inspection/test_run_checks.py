from __future__ import annotations

import numpy as np

from ptycho_core.base.config import Config
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.simulation import SimulationSpec, simulate

SCAN = simulate(SimulationSpec(size=16, n_patterns=30, step_px=2, jitter_px=0.5)).scan


def fields(problems):
    return [(problem.field, problem.severity) for problem in problems]


def test_a_good_scan_with_untouched_settings_has_no_errors():
    assert [p for p in check_run(Config(), SCAN) if p.severity == "error"] == []


def test_grouping_is_checked_for_the_engine_that_groups():
    assert ("gridsize", "error") in fields(check_run(Config(gridsize=6), SCAN))
    assert ("gridsize", "error") not in fields(check_run(Config(gridsize=6, engine="direct"), SCAN))


def test_what_is_wrong_with_the_scan_itself_is_told_too():
    still = SCAN.replace(positions=np.zeros((30, 2)))
    assert ("positions", "error") in fields(check_run(Config(), still))


def test_what_validates_must_exist_unless_there_is_a_test_scan():
    config = Config(val_fraction=0)
    assert ("val_fraction", "error") in fields(check_run(config, SCAN))
    assert ("val_fraction", "error") not in fields(check_run(config, SCAN, SCAN))


def test_a_test_scan_of_another_size_is_an_error():
    larger = simulate(SimulationSpec(size=32, n_patterns=30)).scan
    assert ("test_scan", "error") in fields(check_run(Config(), SCAN, larger))


def test_a_probe_that_is_zero_is_told_and_not_measured():
    dark = SCAN.replace(probe=np.zeros((1, 16, 16), np.complex64))
    assert ("probe", "error") in fields(check_run(Config(), dark))


def test_a_propagator_that_the_scan_was_not_opened_with_is_an_error_with_a_way_out():
    (problem,) = [p for p in check_run(Config(propagator="near"), SCAN) if p.field == "propagator"]
    assert "answer propagator=near where the scan is opened" in problem.message
    assert [(fix.field, fix.value) for fix in problem.fixes] == [("propagator", None)]
    assert "propagator" not in dict(fields(check_run(Config(propagator="far"), SCAN)))


def test_a_test_scan_of_the_other_field_is_an_error():
    near = simulate(SimulationSpec(size=16, n_patterns=30, propagator="near", defocus_m=0.05)).scan
    assert ("test_scan", "error") in fields(check_run(Config(), SCAN, near))
