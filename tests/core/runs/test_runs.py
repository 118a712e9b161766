from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import (
    BatchDone,
    CheckpointRemoved,
    EpochDone,
    PreviewReady,
    RunFailed,
    RunStarted,
    to_json,
)
from ptycho_core.base.process import ProcessMark
from ptycho_core.formats import read_scan
from ptycho_core.runs import run as runs
from ptycho_core.runs.recorded_scan import Fingerprint, fingerprint, is_recorded_file, open_recorded, record_scan
from ptycho_core.runs.run import BrokenRun, find_runs, read_metrics, read_run, resume_run
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers.run_folders import COMMAND, SCAN, finish, finished_run, saved, start, through_json


def test_a_run_is_rebuilt_from_its_directory_alone(tmp_path):
    run = start(tmp_path / "out", gridsize=3, logger=("csv", "tensorboard"))
    run.update(free_indexes=(3, 5), validation_indexes=(8,))
    run.record(RunStarted(str(tmp_path), "the CPU, because there is no GPU", 5, 10, 1000))
    run.record(EpochDone(0, 9, {"poisson_val_loss": 0.7, "grad_norm": float("nan")}, 1.0))
    first = saved(run.info.folder, "epoch=00-poisson_val_loss=0.7000.ckpt", 0, 0.7)
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
    run.record(saved(run.info.folder, "last.ckpt", 0, None, rank=0))
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
    run.record(EpochDone(0, 9, {"poisson_val_loss": float("nan"), "mae_val_loss": 1.5}, 1.0))
    metrics = read_run(tmp_path).metrics
    assert np.isnan(metrics["poisson_val_loss"])
    assert metrics["mae_val_loss"] == 1.5


@pytest.mark.parametrize(("mode", "order"), [("min", ["b", "c", "a"]), ("max", ["a", "c", "b"])])
def test_the_checkpoint_table_is_ranked_anew_as_files_come_and_go(tmp_path, mode, order):
    run = start(tmp_path)
    for name, value in (("a", 0.9), ("b", 0.1), ("gone", 0.5), ("c", 0.4), ("nan", None)):
        run.record(saved(tmp_path, f"{name}.ckpt", 0, value, mode=mode))
    run.record(CheckpointRemoved(str(tmp_path / "checkpoints/gone.ckpt")))
    for epoch in (1, 2):
        run.record(saved(tmp_path, "last.ckpt", epoch, None, rank=0))
    info = read_run(tmp_path)
    assert [(Path(c.path).stem, c.rank) for c in info.checkpoints] == [
        *((name, place) for place, name in enumerate([*order, "nan"], 1)),
        ("last", 0),
    ]
    assert info.best_checkpoint == tmp_path / f"checkpoints/{order[0]}.ckpt"


def happened(folder):
    return [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]


def test_what_happens_is_a_line_each_in_the_folder_pictures_apart(tmp_path):
    run = start(tmp_path)
    run.record(RunStarted(str(tmp_path), "the CPU", 5, 10, 1000))
    assert happened(tmp_path) == ["RunStarted"]
    steps = [BatchDone(0, step, {"grad_norm": 0.5}) for step in range(3)]
    for event in steps:
        run.record(event)
    run.record(PreviewReady(0, 2, np.ones((4, 4), np.complex64), np.ones((2, 2), np.complex64)))
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
        run.record(BatchDone(0, step, {}))
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


def test_a_folder_whose_run_is_alive_is_refused(tmp_path):
    start(tmp_path)
    with pytest.raises(InputError, match=f"still training .process {os.getpid()} on"):
        start(tmp_path)
    assert read_run(tmp_path).status == "running"


def test_a_run_whose_process_was_killed_is_interrupted_and_its_folder_is_free(tmp_path):
    code = f"""
import sys, pathlib
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.helpers.run_folders import start
start(pathlib.Path({str(tmp_path)!r}))
print("started", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "started\n"
        assert read_run(tmp_path).status == "running"
        with pytest.raises(InputError, match="still training"):
            start(tmp_path)
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but its parent has not asked: a zombie
        assert read_run(tmp_path).status == "interrupted"
    info = read_run(tmp_path)
    assert info.status == "interrupted"
    assert str(child.pid) in info.reason
    assert info.ended == info.updated
    assert start(tmp_path).info.log_version == 1


def edit_record(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_reused_process_number_does_not_keep_a_dead_run_alive(tmp_path):
    run = start(tmp_path)
    edit_record(tmp_path, process={"pid": os.getpid(), "host": run.info.process.host, "started": "1"})
    assert read_run(tmp_path).status == "interrupted"


def test_a_run_on_another_host_is_alive_while_it_is_heard_of(tmp_path):
    start(tmp_path)
    elsewhere = {"pid": os.getpid(), "host": "node17.invalid", "started": "1"}
    edit_record(tmp_path, process=elsewhere)
    assert read_run(tmp_path).status == "running"
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    edit_record(tmp_path, process=elsewhere, updated=long_ago.isoformat())
    os.utime(tmp_path / "run.json", (long_ago.timestamp(),) * 2)
    assert read_run(tmp_path).status == "interrupted"


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_where_there_is_no_proc_the_process_list_tells_what_runs(monkeypatch):
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self, **kw: "proc" not in self.parts and exists(self, **kw))
    mark = ProcessMark.current()
    assert " " in mark.started  # the words of ps, not the ticks of /proc
    assert mark.alive(datetime.now(UTC))
    assert not replace(mark, pid=2**22 + 1).alive(datetime.now(UTC))
    assert not replace(mark, started="Mon Jan  1 00:00:00 2001").alive(datetime.now(UTC))


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


def test_a_scan_is_known_again_by_its_bytes(tmp_path):
    scan = tmp_path / "scan.npz"
    scan.write_bytes(b"patterns" * 1000)
    recorded = fingerprint(scan)
    assert recorded == Fingerprint(scan, 8000, hashlib.sha256(b"patterns" * 1000).hexdigest())
    assert is_recorded_file(scan.rename(tmp_path / "moved.npz"), recorded)
    (tmp_path / "other.npz").write_bytes(b"Patterns" * 1000)
    assert not is_recorded_file(tmp_path / "other.npz", recorded)
    with pytest.raises(InputError, match=r"cannot read .*gone\.npz: No such file"):
        is_recorded_file(tmp_path / "gone.npz", recorded)


def test_all_that_reading_a_scan_again_takes_is_kept(tmp_path):
    (tmp_path / "scan.npz").write_bytes(b"patterns")
    (tmp_path / "positions.csv").write_bytes(b"1,2")
    scan = Scan(Patterns(np.ones((3, 8, 8), np.float32)), np.zeros((3, 2)))
    assert record_scan(scan).file is None
    info = record_scan(
        scan.replace(
            source=ScanSource(tmp_path / "scan.npz", tmp_path / "positions.csv", {"data": "counts"}, "plain-npz"),
            history=("squared",),
        )
    )
    assert encode(info) == {
        **encode(fingerprint(tmp_path / "scan.npz")),
        "positions": encode(fingerprint(tmp_path / "positions.csv")),
        "settings": {"data": "counts"},
        "mapping": None,
        "preprocessing": {"version": 1, "steps": []},
        "format": "plain-npz",
        "growing": False,
        "pixel_size_m": None,
        "shape": [3, 8, 8],
        "history": ["squared"],
    }


@pytest.fixture
def simulated_path(tmp_path):
    return write_simulation(simulate(SimulationSpec(size=16, n_patterns=20)), tmp_path / "scan.npz")[0]


def test_a_scan_is_read_again_as_it_was_read_from_wherever_it_is_now(simulated_path, tmp_path):
    scan = read_scan(simulated_path, settings={"energy_ev": "9000"})
    info = through_json(record_scan(scan))
    moved = simulated_path.rename(tmp_path / "moved.npz")
    again = open_recorded(info, moved)
    assert again.geometry.energy_ev == 9000
    np.testing.assert_array_equal(again.patterns[:], read_scan(moved).patterns[:])
    with pytest.raises(InputError, match=r"cannot read .*scan\.npz"):
        open_recorded(info)


def test_another_scan_than_the_recorded_one_is_not_read(simulated_path, tmp_path):
    info = record_scan(read_scan(simulated_path))
    other = write_simulation(simulate(SimulationSpec(size=16, n_patterns=21)), tmp_path / "other.npz")[0]
    with pytest.raises(InputError, match=r"other\.npz is not the file that the run has read"):
        open_recorded(info, other)


def test_a_scan_that_was_changed_after_reading_is_not_taken_for_the_file_alone(simulated_path):
    info = record_scan(read_scan(simulated_path).replace("cropped to 8 pixels"))
    with pytest.raises(InputError, match=r"cannot be made from .*scan\.npz again, because of: cropped to 8 pixels"):
        open_recorded(info)
    with pytest.raises(InputError, match="not read from a file"):
        open_recorded(replace(info, path=None))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"path": 3}, "scan.path must be a text"),
        ({"sha256": None}, "scan: a scan that is in a file needs size and sha256"),
        ({"positions": {"path": "/data/p.csv"}}, "scan.positions lacks size, sha256"),
        ({"shape": [36, 16]}, "scan: shape must be three whole numbers"),
        ({"history": "squared"}, "scan.history must be a list"),
        ({"settings": {"energy_ev": 9000}}, "scan.settings.energy_ev must be a text"),
    ],
)
def test_a_record_whose_scan_is_damaged_says_where(tmp_path, damage, words):
    finished_run(tmp_path)
    body = json.loads((tmp_path / "run.json").read_text())
    body["scan"].update(damage)
    (tmp_path / "run.json").write_text(json.dumps(body))
    with pytest.raises(InputError, match=rf"^the run's record .*run\.json: {re.escape(words)}"):
        read_run(tmp_path)
    del body["scan"]["preprocessing"]
    (tmp_path / "run.json").write_text(json.dumps(body))
    assert isinstance(find_runs(tmp_path)[0], BrokenRun)


@pytest.mark.parametrize("part", ["preprocessing", "mapping"])
def test_a_run_is_listed_and_its_scan_refused_where_what_was_done_to_it_is_not_known(tmp_path, part):
    finished_run(tmp_path)
    body = json.loads((tmp_path / "run.json").read_text())
    body["scan"][part] = {"version": 99}
    (tmp_path / "run.json").write_text(json.dumps(body))
    with pytest.raises(InputError, match="the run's record"):
        open_recorded(read_run(tmp_path).scan)


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
