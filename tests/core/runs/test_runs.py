"""The record of a run in its folder, what moves aside for the next one, and how runs are found."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import (
    CheckpointRemoved,
    EpochDone,
    RunFailed,
    RunStarted,
)
from ptycho_core.runs.record import BrokenRun, find_runs, read_metrics, read_run
from tests.helpers.run_folders import COMMAND, SCAN, edit_record, finish, finished_run, saved, start


def test_a_run_is_rebuilt_from_its_directory_alone(tmp_path):
    run = start(tmp_path / "out", gridsize=3, logger=("csv", "tensorboard"))
    run.update(free_indexes=(3, 5), validation_indexes=(8,))
    run.record(RunStarted(str(tmp_path), "the CPU, because there is no GPU", 5, 10, 1000))
    run.record(EpochDone(1, 9, {"poisson_val_loss": 0.7, "grad_norm": float("nan")}, 1.0))
    first = saved(run.info.folder, "epoch=01-poisson_val_loss=0.7000.ckpt", 1, 0.7)
    run.record(first)
    finish(run, first.path)
    info = read_run(tmp_path / "out")
    assert info == run.info
    assert info.config == Config(gridsize=3, logger=("csv", "tensorboard"))
    assert info.epochs_done == 1
    assert info.device == "the CPU, because there is no GPU"
    assert (info.status, info.reason) == ("finished", "all epochs done")
    assert info.best_checkpoint == Path(first.path)
    assert (info.free_indexes, info.validation_indexes) == ((3, 5), (8,))
    assert info.started <= info.ended <= info.updated


def test_the_record_holds_what_the_contract_lists_with_relative_checkpoints(tmp_path):
    run = start(tmp_path / "out", seed=7)
    run.record(saved(run.info.folder, "last.ckpt", 1, None, rank=0))
    body = json.loads((tmp_path / "out/run.json").read_text())
    assert body["seed"] == 7
    assert body["config"]["seed"] == 7
    assert body["scan"] == encode(SCAN)
    assert body["command"] == COMMAND
    assert body["status"] == "running"
    assert body["versions"]["ptycho"]
    assert body["process"]["pid"] == os.getpid()
    assert body["checkpoints"][0]["path"] == "checkpoints/last.ckpt"


def test_a_finite_record_survives_metrics_that_are_not(tmp_path):
    run = start(tmp_path)
    run.record(EpochDone(1, 9, {"poisson_val_loss": float("nan"), "mae_val_loss": 1.5}, 1.0))
    metrics = read_run(tmp_path).metrics
    assert np.isnan(metrics["poisson_val_loss"])
    assert metrics["mae_val_loss"] == 1.5


@pytest.mark.parametrize(("mode", "order"), [("min", ["b", "c", "a"]), ("max", ["a", "c", "b"])])
def test_the_checkpoint_table_is_ranked_anew_as_files_come_and_go(tmp_path, mode, order):
    run = start(tmp_path)
    for name, value in (("a", 0.9), ("b", 0.1), ("gone", 0.5), ("c", 0.4), ("nan", None)):
        run.record(saved(tmp_path, f"{name}.ckpt", 1, value, mode=mode))
    run.record(CheckpointRemoved(str(tmp_path / "checkpoints/gone.ckpt")))
    for epoch in (1, 2):
        run.record(saved(tmp_path, "last.ckpt", epoch, None, rank=0))
    info = read_run(tmp_path)
    assert [(Path(c.path).stem, c.rank) for c in info.checkpoints] == [
        *((name, place) for place, name in enumerate([*order, "nan"], 1)),
        ("last", 0),
    ]
    assert info.best_checkpoint == tmp_path / f"checkpoints/{order[0]}.ckpt"


def test_a_failed_run_says_why(tmp_path):
    run = start(tmp_path)
    run.record(RunFailed(str(tmp_path), "the loss became NaN; try a smaller learning rate"))
    info = read_run(tmp_path)
    assert (info.status, info.reason) == ("failed", "the loss became NaN; try a smaller learning rate")
    assert info.ended is not None


def test_later_runs_in_a_folder_move_earlier_ones_aside_and_overwrite_nothing(tmp_path):
    for k in range(3):
        run = finished_run(tmp_path / "out", seed=k)
        assert run.info.log_version == k
    out = tmp_path / "out"
    assert (out / "reconstruction/metrics.json").read_text() == "2"
    for k in range(2):
        earlier = read_run(out / f"previous/version_{k}")
        assert earlier.config.seed == k
        assert (earlier.reconstruction / "metrics.json").read_text() == str(k)
        assert earlier.last_checkpoint.is_file()
        assert Path(earlier.checkpoints[0].path) == earlier.last_checkpoint
        assert earlier.logs == out / f"lightning_logs/version_{k}"
        assert read_metrics(earlier.folder)["epoch"].tolist() == [k]
    assert read_run(out).logs == out / "lightning_logs/version_2"


def test_a_reconstruction_without_a_run_is_moved_aside_too(tmp_path):
    (tmp_path / "reconstruction").mkdir()
    (tmp_path / "reconstruction" / "metrics.json").write_text("alone")
    assert start(tmp_path).info.log_version == 1
    assert (tmp_path / "previous/version_0/reconstruction/metrics.json").read_text() == "alone"


def test_a_move_that_a_crash_cut_short_is_completed_by_the_next_start(tmp_path):
    finished_run(tmp_path)
    (tmp_path / "previous/version_0").mkdir(parents=True)
    (tmp_path / "checkpoints").rename(tmp_path / "previous/version_0/checkpoints")
    start(tmp_path)
    earlier = read_run(tmp_path / "previous/version_0")
    assert earlier.last_checkpoint.is_file()
    assert (earlier.reconstruction / "metrics.json").is_file()


def test_what_lies_in_the_way_of_an_earlier_run_is_not_overwritten(tmp_path):
    finished_run(tmp_path)
    (tmp_path / "previous/version_0").mkdir(parents=True)
    (tmp_path / "previous/version_0/run.json").write_text("mine")
    with pytest.raises(InputError, match="in the way"):
        start(tmp_path)
    assert (tmp_path / "previous/version_0/run.json").read_text() == "mine"


def test_runs_are_found_newest_first_with_earlier_and_broken_ones(tmp_path):
    finished_run(tmp_path / "a/first")
    finished_run(tmp_path / "a/first", seed=1)
    finished_run(tmp_path / "b", seed=2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/run.json").write_text('{"version": 1, "status": ')
    found = find_runs(tmp_path)
    assert [run.folder for run in found] == [
        tmp_path / "b",
        tmp_path / "a/first",
        tmp_path / "a/first/previous/version_0",
        tmp_path / "c",
    ]
    assert isinstance(found[-1], BrokenRun)
    assert "run.json is not JSON" in found[-1].reason
    assert find_runs(tmp_path, depth=1)[-1].folder == tmp_path / "c"
    assert len(find_runs(tmp_path, depth=1)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 99},
        {"status": "asleep"},
        {"process": 3},
        {"started": "yesterday"},
        {"config": {"gridsize": 0}},
        {"metrics": [1]},
        {"checkpoints": [{"file": "x"}]},
    ],
)
def test_a_record_that_makes_no_sense_is_one_sentence_naming_the_file(tmp_path, changes):
    finished_run(tmp_path)
    edit_record(tmp_path, **changes)
    with pytest.raises(InputError, match=r"run\.json"):
        read_run(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no run in"):
        read_run(tmp_path / "nothing")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PtychoError, match=r"cannot write .*file/out"):
        start(tmp_path / "file/out")


def test_metrics_are_columns_with_nan_for_empty_and_unfinished_cells(tmp_path):
    run = start(tmp_path)
    assert read_metrics(tmp_path) == {}
    run.info.logs.mkdir(parents=True)
    (run.info.logs / "metrics.csv").write_text("epoch,poisson_val_loss,step\n0,,5\n0,0.75,9\n1,1e-")
    metrics = read_metrics(tmp_path)
    assert list(metrics) == ["epoch", "poisson_val_loss", "step"]
    np.testing.assert_array_equal(metrics["poisson_val_loss"], [np.nan, 0.75, np.nan])
    np.testing.assert_array_equal(metrics["step"], [5, 9, np.nan])
