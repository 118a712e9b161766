"""A search of settings on a part of a scan: broken off, gone on with, ranked."""

from __future__ import annotations

import json
import math

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import BatchDone, PartBegan, StopToken
from ptycho_core.engines.tune import part_of, tune
from ptycho_core.runs.recorded_scan import record_scan
from ptycho_core.runs.trials import BEST, folder_for, parse_varied
from ptycho_core.simulation import SimulationSpec, simulate

SHARED = {"engine": "direct", "accelerator": "cpu", "preview_seconds": 0, "probe_search": False, "quiet": True}


@pytest.fixture(scope="module")
def scan():
    return simulate(SimulationSpec(size=16, n_patterns=64, step_px=2, jitter_px=0.5)).scan


def test_a_part_is_a_rectangle_in_the_middle(scan):
    part = part_of(scan, 25)
    assert 16 <= len(part) <= 36
    assert len(part.source.steps) == 1
    assert part_of(scan, None) is scan
    assert part_of(scan, 64) is scan


def test_a_search_goes_on_where_it_was_stopped_and_does_nothing_twice(scan, tmp_path):
    varied, token, heard = parse_varied(["max_epochs=1,6", "probe_trainable=true,false"]), StopToken(), []

    def stop_in_the_third_trial(event):
        heard.append(event)
        if isinstance(event, BatchDone) and sum(isinstance(event, PartBegan) for event in heard) == 3:
            token.stop()

    first = tune(scan, tmp_path, SHARED, varied, patterns=36, events=stop_in_the_third_trial, stop=token)
    assert [one.status for one in first] == ["finished", "finished", "stopped", None]
    assert [one.done for one in first] == [True, True, False, False]

    again = []
    outcomes = tune(scan, tmp_path, SHARED, varied, patterns=36, events=again.append)
    assert [event.what for event in again if isinstance(event, PartBegan)] == [
        "trial 3 of 4: max_epochs 6, probe_trainable true",
        "trial 4 of 4: max_epochs 6, probe_trainable false",
    ]
    assert all(one.done and math.isfinite(one.deviance) for one in outcomes)
    best = min(outcomes, key=lambda one: one.deviance)
    assert best.trial.settings["max_epochs"] == 6
    assert json.loads((tmp_path / BEST).read_text()) == {**SHARED, **best.trial.settings}


def test_the_folder_of_another_search_is_refused(scan, tmp_path):
    tune(scan, tmp_path, SHARED, {"max_epochs": [1]}, patterns=25)
    with pytest.raises(InputError, match="is a trial of another search"):
        tune(scan, tmp_path, SHARED, {"max_epochs": [2]}, patterns=25)
    with pytest.raises(InputError, match="is a trial of another search"):
        tune(scan, tmp_path, SHARED, {"max_epochs": [1]}, patterns=36)
    of_25, of_36 = (record_scan(part_of(scan, patterns)) for patterns in (25, 36))
    second = tmp_path.with_name(f"{tmp_path.name}-2")
    assert folder_for(tmp_path, SHARED, {"max_epochs": [1]}, of_25) == tmp_path
    assert folder_for(tmp_path, SHARED, {"max_epochs": [1]}, of_36) == second
    assert folder_for(tmp_path, SHARED, {"max_epochs": [2]}, of_25) == second


def test_a_search_of_which_one_trial_cannot_be_made_on_the_part_is_refused_before_the_first(scan, tmp_path):
    with pytest.raises(InputError, match="gridsize 6"):
        tune(scan, tmp_path, {**SHARED, "engine": "pinn"}, {"gridsize": [1, 6]}, patterns=25)
    assert not list(tmp_path.iterdir())
