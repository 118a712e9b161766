"""A resumed run goes on as if it had never been broken off."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from ptycho_core.base.errors import InputError, TrainingError
from ptycho_core.base.events import BatchDone, CheckpointSaved, EpochDone, StageChanged, from_json
from ptycho_core.cli.progress import progress
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.training import resume
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import read_run
from tests.helpers.training_runs import SCAN, CountsBatches, Training, apart_from_speed

pytestmark = pytest.mark.xdist_group("one whole run")

FOUR = {"max_epochs": 4, "checkpoint_save_top_k": 2}


class PowerCut(BaseException):
    """Ends a run without a word, like the death of its process."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Training(tmp_path_factory.mktemp("whole") / "out").go(**FOUR)


def break_off(training, moment, **settings):
    def cut(event):
        if moment(event):
            raise PowerCut

    with pytest.raises(PowerCut):
        training.go(on=cut, **{**FOUR, **settings})
    training.events.clear()


MOMENTS = {
    "in the middle of an epoch": lambda event: isinstance(event, BatchDone) and event.step == 7,
    "during validation": lambda event: (
        isinstance(event, StageChanged) and event.stage == "validating" and event.epoch > 1
    ),
    "after a best checkpoint, before the last": lambda event: (
        isinstance(event, CheckpointSaved) and event.rank and event.epoch == 2
    ),
    "at the start of an epoch": lambda event: (
        isinstance(event, StageChanged) and (event.stage, event.epoch) == ("training", 3)
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_broken_off_ends_like_one_that_was_not(training, whole, moment):
    break_off(training, MOMENTS[moment])
    training.go(resume=True, **FOUR)
    assert apart_from_speed(training.rows) == apart_from_speed(whole.rows)
    assert training.checkpoints == whole.checkpoints
    for name, tensor in whole.last["state_dict"].items():
        assert torch.equal(tensor, training.last["state_dict"][name])
    states = (run.last["optimizer_states"][0]["state"] for run in (whole, training))
    for one, other in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(one["exp_avg"], other["exp_avg"])
    assert training.last["lr_schedulers"][0]["last_epoch"] == whole.last["lr_schedulers"][0]["last_epoch"] == 12
    ranked = [(saved.rank, saved.value) for saved in training.info.checkpoints]
    assert ranked == [(saved.rank, saved.value) for saved in whole.info.checkpoints]


@pytest.mark.parametrize("engine", ["pinn", "direct"])
def test_a_finished_run_goes_on_to_more_epochs(training, engine):
    training.go(engine=engine, max_epochs=2)
    before = training.rows
    training.go(engine=engine, max_epochs=4, resume=True)
    assert [event.epoch for event in training.all(EpochDone)] == [1, 2, 3, 4]
    assert training.rows[: len(before)] == before
    assert training.column("step") == sorted(training.column("step"))
    assert training.info.resumed[0]["from"] == "finished"
    assert training.last["epoch"] == 3


def test_epochs_are_numbered_alike_in_tables_names_events_and_text_also_where_a_run_was_resumed(training, capsys):
    def others() -> ModelCheckpoint:
        return ModelCheckpoint(training.folder / "others", "{epoch:02d}", monitor="poisson_val_loss", save_top_k=-1)

    for epochs in (2, 4):
        with progress(quiet=False) as shown:
            training.go(max_epochs=epochs, checkpoint_save_top_k=-1, resume=epochs > 2, on=shown, callbacks=[others()])
    numbers = [1, 2, 3, 4]
    assert {row["epoch"] for row in training.rows} == {"1", "2", "3", "4"}
    losses = {int(row["epoch"]): float(row["poisson_val_loss"]) for row in training.rows if row["poisson_val_loss"]}
    names = [f"epoch={number:02d}-poisson_val_loss={losses[number]:.4f}.ckpt" for number in numbers]
    assert training.checkpoints == [*names, "last.ckpt"]
    ranked = {Path(saved.path).name: saved.epoch for saved in training.info.checkpoints if saved.rank}
    assert ranked == dict(zip(names, numbers, strict=True))
    assert [load_checkpoint(training.folder / "checkpoints" / name).epoch for name in names] == numbers
    assert sorted(path.name for path in training.folder.glob("others/*")) == [f"epoch=0{n}.ckpt" for n in numbers]
    lines = (training.folder / "events.jsonl").read_text().splitlines()
    for kind in (BatchDone, EpochDone, CheckpointSaved):
        assert sorted({event.epoch for event in map(from_json, lines) if isinstance(event, kind)}) == numbers
    said = re.findall(r"^epoch (\d/\d) ", capsys.readouterr().err, re.MULTILINE)
    assert said == ["1/2", "2/2", "3/4", "4/4"]


def test_files_of_before_are_ranked_with_those_after_also_where_the_run_has_moved(training, tmp_path):
    falling = {"checkpoint_monitor": "learning_rate", "scheduler": "exponential", "checkpoint_mode": "max"}
    training.go(max_epochs=2, checkpoint_save_top_k=2, **falling)
    kept = training.checkpoints
    shutil.move(training.folder, tmp_path / "moved")
    moved = Training(tmp_path / "moved").go(max_epochs=3, checkpoint_save_top_k=2, resume=True, **falling)
    assert moved.checkpoints == kept
    assert moved.info.best_checkpoint == tmp_path / "moved/checkpoints" / kept[0]


def test_fewer_checkpoints_are_kept_where_a_resumed_run_is_told_to(training):
    falling = {"checkpoint_monitor": "learning_rate", "scheduler": "cosine"}
    training.go(max_epochs=3, checkpoint_save_top_k=-1, **falling)
    assert len(training.checkpoints) == 4
    training.go(max_epochs=4, checkpoint_save_top_k=1, resume=True, **falling)
    best, last = training.checkpoints
    assert last == "last.ckpt"
    assert training.info.best_checkpoint.name == best


def test_a_resumed_run_has_the_patience_that_it_is_given(training):
    still = {"physics_schedule": "off", "checkpoint_monitor": "training_stage", "max_epochs": 9, "n_groups": 4}
    training.go(early_stop_patience=2, **still)
    assert training.info.epochs_done == 3
    training.go(early_stop_patience=4, resume=True, **still)
    assert training.info.epochs_done == 5
    training.go(early_stop_patience=0, resume=True, **still)
    assert (training.info.epochs_done, training.info.reason) == (9, "all 9 epochs are done")


def test_a_resumed_run_does_not_warm_up_again(training):
    training.go(warm_start_epochs=1, max_epochs=1)
    training.events.clear()
    training.go(warm_start_epochs=1, max_epochs=2, resume=True)
    assert "warming up the probe" not in {event.stage for event in training.all(StageChanged)}


def test_a_failure_after_resuming_leaves_what_was_there(training, monkeypatch):
    training.go(max_epochs=2)
    before = training.checkpoints

    def fail(self, batch, number):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Model, "training_step", fail)
        with pytest.raises(ZeroDivisionError):
            training.go(max_epochs=4, resume=True)
    assert read_run(training.folder).status == "failed"
    assert training.checkpoints == before
    assert training.go(max_epochs=4, resume=True).info.status == "finished"


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A folder with a finished run of three epochs, "out", and its scan, which now lies at "moved.npz"."""
    folder = tmp_path_factory.mktemp("moved")
    written = write_scan(SCAN, folder / "scan.npz")
    Training(folder / "out").go(scan=read_scan(written))
    written.rename(folder / "moved.npz")
    return folder


def test_resume_reads_the_scan_again_from_where_it_is_now(moved, tmp_path):
    heard, counting = [], CountsBatches()
    run = shutil.copytree(moved / "out", tmp_path / "out")
    info = resume(run, scan_file=moved / "moved.npz", max_epochs=5, events=heard.append, callbacks=[counting])
    assert (info.status, info.epochs_done) == ("finished", 5)
    assert [event.epoch for event in heard if isinstance(event, EpochDone)] == [4, 5]
    assert counting.batches == list(range(10, 16))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "has done all of its 3 epochs"),
        ({"max_epochs": 5, "gridsize": 3}, "gridsize cannot change when a run is resumed"),
        ({"max_epoch": 5}, "max_epoch.*did you mean max_epochs"),
        ({"max_epochs": 5}, "scan.npz"),
    ],
)
def test_resume_refuses_what_would_make_another_run(moved, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        resume(moved / "out", **changes)


def test_a_last_checkpoint_that_is_cut_short_is_named_in_a_sentence(moved, tmp_path):
    shutil.copytree(moved / "out", tmp_path / "out")
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(TrainingError, match=r"last.ckpt is not a checkpoint of this program, or is damaged"):
        resume(tmp_path / "out", scan_file=moved / "moved.npz", max_epochs=6)
