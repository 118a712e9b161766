"""What is too large for the memory is refused before it is made, and the sentence names what makes it so."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.engines.orientation_search import search_orientation
from ptycho_core.engines.training import train
from ptycho_core.inspection import memory
from ptycho_core.inspection.inspection import describe, scan_figures
from ptycho_core.inspection.memory import check_accelerator_memory, check_memory, memory_of, memory_on_accelerator
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.grouping import patterns_per_step
from ptycho_core.scan.steps import Region
from ptycho_core.scan.steps_json import step_from_text
from tests.helpers.training_runs import SCAN

DIRECT = Config(engine="direct")


def aborted():
    """A scan whose last positions were never recorded."""
    positions = SCAN.positions + np.array([2e6, 3e6])
    positions[-8:] = 0
    return SCAN.replace(positions=positions)


def memory_problems(scan, config=DIRECT):
    return [p for p in check_run(config, scan) if "of memory" in p.message]


@pytest.mark.parametrize("engine", ["pinn", "direct"])
def test_an_ordinary_scan_fits(engine):
    assert memory_problems(SCAN, Config(engine=engine)) == []


def test_positions_far_from_all_others_are_named_and_what_is_advised_works():
    (problem,) = memory_problems(aborted())
    assert problem.severity == "error"
    assert "for an object of 2,000,0" in problem.message
    assert "as 8 of 36 positions lie far from all others: leave them out" in problem.message
    (fix,) = problem.fixes
    kept = preprocess(aborted(), [step_from_text(Region, fix.value)])
    assert len(kept) == 28
    assert memory_problems(kept) == []


def test_a_wrong_unit_is_named_where_no_position_is_astray():
    (problem,) = check_memory(DIRECT, SCAN.replace(positions=SCAN.positions * 1e6))
    assert "look at the unit of the positions" in problem.message


def test_a_step_that_is_too_large_is_named_with_a_smaller_one():
    (problem,) = check_memory(Config(batch_size=65536, model_width=256, gridsize=4), SCAN)
    assert (problem.field, problem.fixes[0].value) == ("batch_size", 16384)
    assert "for a step of 65536 groups" in problem.message


def test_a_step_of_the_direct_engine_is_told_in_the_patterns_that_it_takes(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1)
    (problem,) = check_memory(DIRECT.replace(probe_modes=8), SCAN)
    assert f"for a step of {patterns_per_step(len(SCAN))} patterns" in problem.message
    assert problem.fixes[0].value == 1


def test_more_modes_and_a_larger_object_take_more():
    small = memory_of(DIRECT, SCAN)
    assert memory_of(DIRECT.replace(probe_modes=4), SCAN).batch > small.batch
    assert memory_of(DIRECT, SCAN.replace(positions=SCAN.positions * 2)).canvas > small.canvas
    assert small.canvas_px == tuple(
        int(extent) + 17 for extent in SCAN.positions.max(axis=0) - SCAN.positions.min(axis=0)
    )


def test_training_and_the_search_for_the_orientation_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InputError, match="positions lie far from all others"):
        train(DIRECT, aborted(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="positions lie far from all others"):
        search_orientation(aborted())


def test_what_an_accelerator_has_no_memory_for_is_refused_but_patterns_may_stay_elsewhere():
    whole = memory_on_accelerator(DIRECT, SCAN)
    assert whole.patterns == 4 * len(SCAN) * SCAN.size**2
    assert check_accelerator_memory(DIRECT, SCAN, whole.total - whole.patterns) == []
    (problem,) = check_accelerator_memory(DIRECT, SCAN, whole.total - whole.patterns - 1)
    assert "of the accelerator's memory, of which" in problem.message
    assert memory_on_accelerator(Config(), SCAN).patterns == 2 * whole.patterns  # thinned counts beside them


def test_inspect_tells_the_memory():
    told, estimate = scan_figures(SCAN), memory_of(Config(), SCAN)
    assert told["memory"] == {"bytes": estimate.total, "object_px": list(estimate.canvas_px)}
    assert "GiB for a run, on an object of " in describe(told)
