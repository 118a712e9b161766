"""A run that another process trains is followed through its folder while it is shown, and ended there."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime

import numpy as np
import pytest

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import encode
from ptycho_core.base.events import EpochDone, PreviewReady, RunFinished, RunStarted, StageChanged, Status, StopToken
from ptycho_core.base.process import ProcessMark
from ptycho_core.engines.reconstruct import write_results
from ptycho_core.runs import requests
from ptycho_core.runs.job import Job, read_job
from ptycho_core.runs.queue import QueuedRun
from ptycho_core.runs.record import FurtherScan
from ptycho_core.runs.requests import reachable
from ptycho_core.scan.source import ScanSource
from ptycho_gui.window.session import Session
from tests.helpers.reconstructions import reconstruction
from tests.helpers.run_folders import SCAN, finish, finished_run, saved, start


class Watcher:
    """A session that has a run opened, and what it has told."""

    def __init__(self, qtbot):
        self.qtbot, self.session = qtbot, Session()
        self.events, self.messages = [], []
        self.session.shown.heard.connect(self.events.extend)
        self.session.message.connect(lambda severity, text: self.messages.append((severity, text)))

    def open(self, folder):
        with self.qtbot.waitSignal(self.session.shown.run_opened):
            self.session.open_run(folder)
        return self.session.shown.run.history


def write_waiting_job(folder):
    """The record of a job that has not begun its run, of a process that cannot be asked."""
    mark = dataclasses.replace(ProcessMark.current(), host="elsewhere")
    (folder / "job").mkdir(parents=True)
    write_json(folder / "job/job.json", encode(Job("77", ("sh",), datetime.now(UTC), process=mark)))


@pytest.fixture
def watcher(qtbot):
    watcher = Watcher(qtbot)
    yield watcher
    watcher.session.shut_down()


@pytest.fixture
def run(tmp_path):
    """A run that has done one of its epochs."""
    run = start(tmp_path / "out", max_epochs=9)
    run.record(RunStarted(str(tmp_path / "out"), "CPU", 9, 10, 1000))
    run.record(StageChanged("training", 1))
    run.record(EpochDone(1, 10, {"poisson_val_loss": 0.5}, 1.0))
    return run


def test_stage_curves_checkpoints_and_end_are_those_of_the_folder(watcher, run, tmp_path):
    history = watcher.open(tmp_path / "out")
    assert (history.at_work, history.stage, len(history.epochs)) == (True, "training", 1)
    assert not watcher.session.busy
    run.record(PreviewReady(2, 11, np.ones((4, 4), np.complex64), np.ones((2, 2), np.complex64)))
    run.record(StageChanged("validating", 2))
    run.record(EpochDone(2, 20, {"poisson_val_loss": 0.25}, 2.0))
    run.record(saved(tmp_path / "out", "epoch=02.ckpt", 2, 0.25))
    watcher.qtbot.waitUntil(lambda: len(history.epochs) == 2 and len(history.checkpoints) == 1)
    assert history.best_checkpoint == tmp_path / "out/checkpoints/epoch=02.ckpt"
    finish(run)
    watcher.qtbot.waitUntil(lambda: not watcher.session.shown.follows)
    assert (history.status, watcher.session.shown.run.info.status) == ("finished", "finished")
    assert sum(isinstance(event, PreviewReady) for event in watcher.events) == 1
    assert sum(isinstance(event, RunFinished) for event in watcher.events) == 1


def test_of_several_scans_the_pictures_of_the_one_that_is_looked_at_are_told(watcher, run, tmp_path):
    run.update(further_scans=(FurtherScan(dataclasses.replace(SCAN, path=tmp_path / "b.npz"), (), ()),))

    def tell(step):
        for place in (0, 1):
            run.record(PreviewReady(1, step, np.ones((4, 4), np.complex64), np.ones((2, 2), np.complex64), scan=place))

    def told():
        return {event.step for event in watcher.events if isinstance(event, PreviewReady) and event.scan == 1}

    watcher.open(tmp_path / "out")
    with watcher.qtbot.waitSignal(watcher.session.shown.scan_shown):
        watcher.session.show_scan(1)
    assert watcher.session.shown.run.place == 1
    tell(11)
    watcher.qtbot.waitUntil(lambda: told() == {11})
    with watcher.qtbot.waitSignal(watcher.session.shown.scan_shown) as shown:
        watcher.session.show_scan(1)
    assert shown.args[0].preview.scan == 1


@pytest.mark.parametrize(("end", "asked"), [(Session.stop, "stop_requested"), (Session.cancel, "cancel_requested")])
def test_stop_and_cancel_reach_the_process_that_trains(watcher, run, tmp_path, monkeypatch, end, asked):
    monkeypatch.setattr(requests, "_EVERY_S", 0.01)
    token = StopToken()
    with reachable(tmp_path / "out", token):
        watcher.open(tmp_path / "out")
        assert watcher.session.why_idle() is None
        assert watcher.session.why_not_resume() == "The run goes on in another process."
        assert watcher.session.to_end == "the run out"
        end(watcher.session)
        watcher.qtbot.waitUntil(lambda: getattr(token, asked))
    assert "by the operator on" in token.reason


def test_a_run_that_dies_is_told_as_interrupted(watcher, run, tmp_path):
    history = watcher.open(tmp_path / "out")
    run.update(process=dataclasses.replace(run.info.process, started="long ago"))
    watcher.qtbot.waitUntil(lambda: not watcher.session.shown.follows)
    assert history.status == Status.INTERRUPTED
    assert watcher.messages[-1][0] == "error"
    assert "ended without a word" in watcher.messages[-1][1]


def test_another_run_that_is_opened_is_not_told_of_the_first(watcher, run, tmp_path):
    watcher.open(tmp_path / "out")
    finished_run(tmp_path / "other")
    history = watcher.open(tmp_path / "other")
    watcher.events.clear()
    run.record(StageChanged("validating", 2))
    watcher.qtbot.waitUntil(lambda: not watcher.session._elsewhere._following.busy)
    assert (watcher.events, history.status, watcher.session.shown.follows) == ([], "finished", False)
    assert watcher.session.why_idle() == "Nothing is running."


def test_a_run_is_followed_on_while_another_one_waits_for_its_job(watcher, run, scan_path, tmp_path, monkeypatch):
    (tmp_path / "ptycho").mkdir()
    (tmp_path / "ptycho" / "site.toml").write_text('command = ["bash"]\nprogram = "sleep 60 #"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with watcher.qtbot.waitSignal(watcher.session.loader.opened):
        watcher.session.loader.open(ScanSource(scan_path))
    history = watcher.open(tmp_path / "out")
    watcher.session.draft.load({})
    watcher.session.submit(tmp_path / "next")
    watcher.qtbot.waitUntil(lambda: any("is RUNNING" in text for _, text in watcher.messages))
    job = read_job(tmp_path / "next")
    run.record(EpochDone(2, 20, {"poisson_val_loss": 0.25}, 2.0))
    watcher.qtbot.waitUntil(lambda: len(history.epochs) == 2)
    os.killpg(job.process.pid, 9)
    os.waitpid(job.process.pid, 0)
    watcher.qtbot.waitUntil(lambda: watcher.messages[-1][0] == "error")
    assert f"Job {job.id} has ended before its run began" in watcher.messages[-1][1].capitalize()
    assert (watcher.session.shown.follows, history.at_work) == (True, True)


def test_a_run_is_submitted_and_shown_when_its_job_has_begun_it(watcher, scan_path, tmp_path, monkeypatch):
    (tmp_path / "ptycho").mkdir()
    (tmp_path / "ptycho" / "site.toml").write_text('command = ["bash"]\nprogram = "sleep 60 #"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    session = watcher.session
    with watcher.qtbot.waitSignal(session.loader.opened):
        session.loader.open(ScanSource(scan_path))
    session.draft.set("devices", 2)
    session.submit(tmp_path / "out")
    watcher.qtbot.waitUntil(lambda: any("Submitted as job" in text for _, text in watcher.messages))
    job = read_job(tmp_path / "out")
    try:
        assert "--devices 2" in (tmp_path / "out/job/ptycho.sh").read_text()
        assert not session.busy
        with watcher.qtbot.waitSignal(session.shown.run_opened):
            start(tmp_path / "out")
        assert session.shown.follows
        assert ("info", f"Job {job.id} is RUNNING.") in watcher.messages
    finally:
        os.killpg(job.process.pid, 9)
        os.waitpid(job.process.pid, 0)


def test_a_run_of_a_job_that_waits_since_an_earlier_session_is_shown_when_it_begins(watcher, tmp_path, monkeypatch):
    write_waiting_job(tmp_path / "out")
    watcher.session.wait_for_run(tmp_path / "out")
    with watcher.qtbot.waitSignal(watcher.session.shown.run_opened):
        start(tmp_path / "out")
    assert watcher.session.shown.follows


def test_a_window_that_was_closed_while_a_job_waited_shows_the_run_when_it_begins(open_window, qtbot, tmp_path):
    write_waiting_job(tmp_path / "out")
    closed = open_window(tmp_path / "window")
    closed.session.wait_for_run(tmp_path / "out")
    closed.close()
    window = open_window(tmp_path / "window")
    window.open_unfinished()
    with qtbot.waitSignal(window.session.shown.run_opened):
        run = start(tmp_path / "out")
    assert window.session.shown.follows
    finish(run)
    qtbot.waitUntil(lambda: not window.session.shown.follows)
    assert window.preferences.text("unfinished_run") == ""


def test_a_run_that_its_job_ended_while_no_window_was_open_is_shown_once_more(open_window, qtbot, tmp_path):
    window = open_window(tmp_path / "window")
    finished_run(tmp_path / "out")
    window.preferences.set_text("unfinished_run", str(tmp_path / "out"))
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_unfinished()
    qtbot.waitUntil(lambda: window.preferences.text("unfinished_run") == "")


def test_what_waits_in_the_queue_is_submitted_as_one_array(watcher, tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 12\n")
    (tmp_path / "sbatch").chmod(0o755)
    (tmp_path / "ptycho").mkdir()
    (tmp_path / "ptycho" / "site.toml").write_text(f'command = ["{tmp_path / "sbatch"}"]\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    session = Session(queue_file=tmp_path / "queue" / "queue.json")
    told = []
    session.message.connect(lambda severity, text: told.append((severity, text)))
    for name in "ab":
        session.queue.add(QueuedRun(ScanSource(tmp_path / f"{name}.npz"), {}, tmp_path / name))
    try:
        with watcher.qtbot.waitSignal(session.shown.recorded):
            session.submit_queue()
        assert told == [("info", "Submitted as job 12_0 to job 12_1. Runs tells how they go on.")]
        watcher.qtbot.waitUntil(lambda: session.queue.index(1, 4).data() == "job 12_1")
        assert session.queue.waiting == 0
        assert read_job(tmp_path / "b").id == "12_1"
    finally:
        session.shut_down()


def test_the_picture_that_a_job_has_made_is_shown_when_it_is_over(watcher, run, tmp_path):
    watcher.open(tmp_path / "out")
    with watcher.qtbot.waitSignal(watcher.session.shown.reconstructed) as told:
        made = {"checkpoint": str(tmp_path / "out/checkpoints/last.ckpt"), "date": "2999-01-01T00:00:00+00:00"}
        made |= {"same_scan": True, "polish_epochs": 0, "run": None}
        write_results(reconstruction(metrics=reconstruction().metrics | made), tmp_path / "out")
        finish(run)
    assert told.args[0].checkpoint == tmp_path / "out/checkpoints/last.ckpt"
    assert watcher.session.shown.reconstruction is told.args[0].reconstruction


def test_a_submission_that_is_refused_is_said(watcher, scan_path, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "ptycho").mkdir()
    (tmp_path / "ptycho" / "site.toml").write_text('patition = "gpu"\n')
    with watcher.qtbot.waitSignal(watcher.session.loader.opened):
        watcher.session.loader.open(ScanSource(scan_path))
    watcher.session.submit(tmp_path / "out")
    watcher.qtbot.waitUntil(lambda: any("did you mean partition" in text for _, text in watcher.messages))
