"""A run is followed through its folder alone: events once and in order, whatever becomes of folder and process."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import (
    CheckpointSaved,
    EpochDone,
    PreviewReady,
    RunFinished,
    StageChanged,
    Status,
    StopToken,
)
from ptycho_core.runs.follow import SILENCE_S, Follower, follow
from ptycho_core.runs.job import Job, JobState
from ptycho_core.runs.run import start_run
from tests.helpers.run_folders import COMMAND, SCAN, finish, saved, start


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def elsewhere(run):
    """Let the run be of a process on another host."""
    run.update(process=dataclasses.replace(run.info.process, host="node17"))
    return run


def test_each_event_is_told_once_and_the_end_after_all_of_them(tmp_path):
    run = start(tmp_path)
    follower = Follower(tmp_path)
    assert follower.look() == []
    run.record(StageChanged("training", 1))
    run.record(EpochDone(1, 10, {"poisson_val_loss": 0.5}, 1.0))
    assert [type(event).__name__ for event in follower.look()] == ["StageChanged", "EpochDone"]
    assert (follower.look(), follower.over) == ([], False)
    finish(run)
    assert [type(event).__name__ for event in follower.look()] == ["RunFinished"]
    assert (follower.over, follower.info.status) == (True, "finished")


def test_a_line_waits_for_its_end_and_what_is_none_is_passed_over(tmp_path):
    run = start(tmp_path)
    follower = Follower(tmp_path)
    run.record(StageChanged("training", 1))
    path = tmp_path / "events.jsonl"
    with open(path, "a") as file:
        file.write('{"event": "EpochDone", "epoch": 1, "st')
    assert len(follower.look()) == 1
    with open(path, "a") as file:
        file.write('ep": 10, "metrics": {"grad_norm": null}, "elapsed_s": 1.0}\n')
        file.write('{"event": "CoffeeMade"}\n{"event": "Ba\n[1]\n{"event": "StageChanged", "stage": "brewing"}\n')
    (epoch,) = follower.look()
    assert (epoch.epoch, epoch.step) == (1, 10)
    run.record(EpochDone(2, 20, {}, 2.0))
    assert [event.step for event in follower.look()] == [20]


def test_the_record_may_tell_the_end_before_the_last_line_is_there(tmp_path):
    run = start(tmp_path)
    follower = Follower(tmp_path)
    run.update(status=Status.FINISHED, reason="all epochs are done")
    assert (follower.look(), follower.over) == ([], False)
    finish(run)
    assert len(follower.look()) == 1
    assert follower.over


def test_a_run_whose_folder_a_later_one_takes_is_followed_to_where_it_is_now(tmp_path):
    run = start(tmp_path)
    follower = Follower(tmp_path)
    follower.look()
    run.record(StageChanged("training", 1))
    finish(run)
    start_run(tmp_path, config=run.info.config, scan=SCAN, command=COMMAND)
    assert [type(event).__name__ for event in follower.look()] == ["StageChanged", "RunFinished"]
    assert follower.info.folder == tmp_path / "previous" / "version_0"
    assert follower.over


def test_paths_are_those_under_which_the_folder_is_known_here(tmp_path):
    run = start(tmp_path / "there")
    run.record(saved(tmp_path / "there", "epoch=01.ckpt", 1, 0.5))
    shutil.move(tmp_path / "there", tmp_path / "here")
    (event,) = Follower(tmp_path / "here").look()
    assert isinstance(event, CheckpointSaved)
    assert Path(event.path) == tmp_path / "here" / "checkpoints" / "epoch=01.ckpt"


def test_a_process_elsewhere_that_gives_no_sign_of_life_is_gone_by_our_clock_alone(tmp_path):
    run, clock = elsewhere(start(tmp_path)), Clock()
    follower = Follower(tmp_path, clock)
    follower.look()
    clock.now += SILENCE_S - 1
    os.utime(tmp_path / "run.json", (4e9, 4e9))  # the share's clock may go as it likes, but it goes
    follower.look()
    clock.now += SILENCE_S - 1
    follower.look()
    assert follower.info.status == "running"
    clock.now += 1
    follower.look()
    follower.look()
    assert (follower.info.status, follower.over) == ("interrupted", True)
    assert follower.info.reason.startswith(f"nothing was heard of its process ({run.info.process.pid} on node17)")


def test_a_process_here_that_died_ends_the_following(tmp_path):
    run = start(tmp_path)
    follower = Follower(tmp_path)
    follower.look()
    run.update(process=dataclasses.replace(run.info.process, started="long ago"))
    assert [*follow(follower, StopToken(), every_s=0)] == []
    assert follower.info.status == "interrupted"


def test_a_share_that_is_lost_is_told_once_and_waited_for(tmp_path):
    run = start(tmp_path / "out")
    follower, told = Follower(tmp_path / "out"), []
    run.record(StageChanged("training", 1))
    finish(run)
    shutil.move(tmp_path / "out", tmp_path / "lost")

    class Back(StopToken):
        looks = 0

        @property
        def stop_requested(self):
            self.looks += 1
            if self.looks == 4:
                shutil.move(tmp_path / "lost", tmp_path / "out")
            return False

    found = [*follow(follower, Back(), told.append, every_s=0)]
    assert [type(event).__name__ for event in found] == ["StageChanged", "RunFinished"]
    assert len(told) == 1
    assert told[0].endswith("; waiting for it to come back")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no run in"):
        Follower(tmp_path)


def test_a_record_is_not_read_again_while_nothing_is_new(tmp_path, monkeypatch):
    start(tmp_path)
    follower = Follower(tmp_path)
    follower.look()
    monkeypatch.setattr("ptycho_core.runs.follow.read_run", None)
    assert follower.look() == []


def test_the_newest_picture_is_told_once(tmp_path):
    run = start(tmp_path)
    for step in (1, 2):
        run.record(PreviewReady(1, step, np.full((4, 4), step, np.complex64), np.ones((2, 2), np.complex64)))
        run._keeper_of(0).finish()
    follower = Follower(tmp_path)
    (preview,) = follower.look()
    assert (preview.step, preview.object[0, 0], preview.scan) == (2, 2, 0)
    (tmp_path / "previews" / "000009.npz").write_bytes(b"half")
    assert follower.look() == []


def test_a_job_that_has_ended_tells_of_a_silent_process_elsewhere_sooner(tmp_path, monkeypatch):
    run, clock = start(tmp_path), Clock()
    run.update(process=dataclasses.replace(run.info.process, host="node17", job="12"))
    monkeypatch.setattr("ptycho_core.runs.follow.job_of", lambda info: Job("12", ("sbatch",), run.info.started))
    state = JobState("RUNNING", False)
    monkeypatch.setattr("ptycho_core.runs.follow.job_state", lambda job: state)
    follower = Follower(tmp_path, clock)
    follower.look()
    clock.now += 60
    follower.look()
    assert follower.info.status == "running"
    state = JobState("NODE_FAIL", True)
    clock.now += 6
    follower.look()
    assert (follower.info.status, follower.info.reason) == ("interrupted", "its job 12 has ended: NODE_FAIL")


@pytest.mark.parametrize(("status", "word"), [(Status.CANCELLED, "PENDING"), (Status.FINISHED, "RUNNING")])
def test_a_run_whose_job_waits_again_or_makes_its_picture_is_not_over(tmp_path, monkeypatch, status, word):
    run, clock = start(tmp_path), Clock()
    run.update(process=dataclasses.replace(run.info.process, job="12"))
    monkeypatch.setattr("ptycho_core.runs.follow.job_of", lambda info: Job("12", ("sbatch",), run.info.started))
    state = JobState(word, False)
    monkeypatch.setattr("ptycho_core.runs.follow.job_state", lambda job: state)
    follower = Follower(tmp_path, clock)
    run.record(RunFinished(str(tmp_path), status, "as it was", None, {}))
    assert len(follower.look()) == 1
    assert (follower.info.status, follower.over) == (status, False)
    state = JobState("COMPLETED", True)
    clock.now += 6
    follower.look()
    assert follower.over
