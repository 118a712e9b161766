"""The record of a run that goes on."""

from __future__ import annotations

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.runs import run as runs
from ptycho_core.runs.record import read_run
from tests.helpers.run_folders import finish, finished_run, start


def test_a_resumed_run_keeps_its_version_and_says_that_it_was_resumed(tmp_path):
    info = finished_run(tmp_path, max_epochs=2).info
    config = runs.resumed_config(runs.resumable(tmp_path), {"max_epochs": 5})
    run = runs.resume_run(tmp_path, config=config, command="ptycho train --resume out --max-epochs 5")
    resumed = read_run(tmp_path)
    assert resumed == run.info
    assert (resumed.status, resumed.reason, resumed.ended) == ("running", "", None)
    assert resumed.log_version == info.log_version
    assert resumed.started == info.started
    assert resumed.checkpoints == info.checkpoints
    assert resumed.config == info.config.replace(max_epochs=5)
    (entry,) = resumed.resumed
    assert (entry["from"], entry["command"]) == ("finished", "ptycho train --resume out --max-epochs 5")


def test_what_cannot_be_resumed_says_why(tmp_path):
    with pytest.raises(InputError, match="there is no run in"):
        runs.resumable(tmp_path)
    run = start(tmp_path)
    with pytest.raises(InputError, match="still training"):
        runs.resumable(tmp_path)
    finish(run)
    with pytest.raises(InputError, match=r"last\.ckpt is missing"):
        runs.resumable(tmp_path)


def test_resuming_refuses_by_name_what_would_change_the_model_or_the_data(tmp_path):
    info = finished_run(tmp_path, max_epochs=20).info
    with pytest.raises(InputError, match=r"^gridsize, seed cannot change"):
        runs.resumed_config(info, {"gridsize": 3, "max_epochs": 9, "seed": 1})
    assert runs.resumed_config(info, {"gridsize": 2, "num_workers": 2}) == info.config.replace(num_workers=2)


def test_resuming_a_run_that_did_all_its_epochs_asks_for_more(tmp_path):
    info = finished_run(tmp_path, max_epochs=2).info
    with pytest.raises(InputError, match="done all of its 2 epochs"):
        runs.resumed_config(info, {})
