"""What happens in a run, a line each in its folder."""

from __future__ import annotations

import json

import numpy as np

from ptycho_core.base.config import Config
from ptycho_core.base.events import (
    BatchDone,
    PreviewReady,
    RunFailed,
    RunStarted,
    to_json,
)
from ptycho_core.runs import run as runs
from ptycho_core.runs.run import resume_run
from tests.helpers.run_folders import COMMAND, finished_run, start


def happened(folder):
    return [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_what_happens_is_a_line_each_in_the_folder_pictures_apart(tmp_path):
    run = start(tmp_path)
    run.record(RunStarted(str(tmp_path), "the CPU", 5, 10, 1000))
    assert happened(tmp_path) == ["RunStarted"]
    steps = [BatchDone(1, step, {"grad_norm": 0.5}) for step in range(3)]
    for event in steps:
        run.record(event)
    run.record(PreviewReady(1, 2, np.ones((4, 4), np.complex64), np.ones((2, 2), np.complex64)))
    run.record(RunFailed(str(tmp_path), "the loss became NaN"))
    assert happened(tmp_path) == ["RunStarted", "BatchDone", "BatchDone", "BatchDone", "RunFailed"]
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert lines[1:4] == [to_json(event) for event in steps]


def test_the_first_step_after_a_second_is_written_with_those_that_waited(tmp_path, monkeypatch):
    clock = iter((100.0, 100.2, 100.9, 101.0))
    monkeypatch.setattr(runs.time, "monotonic", lambda: next(clock))
    run = start(tmp_path)
    known = []
    for step in range(4):
        run.record(BatchDone(1, step, {}))
        known.append(len(happened(tmp_path)))
    assert known == [1, 1, 1, 4]


def test_a_resumed_run_goes_on_in_its_events_after_a_line_that_a_crash_cut_short(tmp_path):
    finished_run(tmp_path)
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"event": "Batch')
    resume_run(tmp_path, config=Config(), command=COMMAND).record(RunFailed("out", "no memory"))
    before, cut, after = (tmp_path / "events.jsonl").read_text().splitlines()[-3:]
    assert json.loads(before)["event"] == "RunFinished"
    assert cut == '{"event": "Batch'
    assert json.loads(after)["event"] == "RunFailed"


def test_events_of_an_earlier_run_move_aside_with_it(tmp_path):
    finished_run(tmp_path)
    start(tmp_path).record(RunFailed("out", "no memory"))
    assert happened(tmp_path) == ["RunFailed"]
    assert happened(tmp_path / "previous/version_0")[-1] == "RunFinished"
