"""The queue in its file: what survives, and that one run is done at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.process import SILENCE
from ptycho_core.cli import main
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.queue import Queue, QueuedRun, QueueState, queue_path
from ptycho_core.runs.record import read_run
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Crop, MaskRectangle
from ptycho_core.simulation import simulate
from tests.helpers import specs
from tests.helpers.training_runs import SCAN, SMALL

SOURCE = ScanSource(
    Path("/data/a.h5"), Path("/data/a.csv"), {"energy_ev": "9000"}, steps=(Crop(12), MaskRectangle(0, 0, 2, 2))
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "queue.json"


def states(path):
    return [entry.state for entry in Queue(path).entries]


def test_entries_survive_whoever_made_them(path):
    queue = Queue(path)
    queue.add(QueuedRun(SOURCE, {"preset": "quick", "logger": ("csv", "none")}, Path("/out/a")))
    queue.add(QueuedRun(ScanSource(Path("/data/b.h5")), {}, Path("/out/b"), (Path("/data/c.h5"),)))
    again = Queue(path)
    assert [entry.run.source for entry in again.entries] == [SOURCE, ScanSource(Path("/data/b.h5"))]
    assert [entry.run.further for entry in again.entries] == [(), (Path("/data/c.h5"),)]
    assert again.entries[0].run.settings == {"preset": "quick", "logger": ["csv", "none"]}
    again.move(again.entries[1].key, 0)
    again.remove(again.entries[1].key)
    assert [entry.run.folder for entry in Queue(path).entries] == [Path("/out/b")]


def test_a_run_whose_process_was_killed_is_interrupted_and_the_rest_waits(path):
    for name in "ab":
        Queue(path).add(QueuedRun(ScanSource(Path(f"/data/{name}.h5")), {}, Path(f"/out/{name}")))
    code = "import sys, os, signal; from pathlib import Path; from ptycho_core.runs.queue import Queue; "
    code += "Queue(Path(sys.argv[1])).take(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code, str(path)])
    first, second = Queue(path).entries
    assert (first.state, first.reason) == (QueueState.FAILED, "interrupted: Resume goes on with it")
    assert second.state == QueueState.WAITING


def test_a_run_of_another_machine_that_gives_no_sign_of_life_was_interrupted(path, tmp_path):
    for name in "ab":
        Queue(path).add(QueuedRun(ScanSource(Path(f"/data/{name}.h5")), {}, tmp_path / name))
    Queue(path).take()
    record = tmp_path / "a" / "run.json"
    record.parent.mkdir()
    record.write_text("{}")
    path.write_text(path.read_text().replace(platform.node(), "another-machine"))
    assert states(path) == ["running", "waiting"]
    long_ago = time.time() - 2 * SILENCE.total_seconds()
    os.utime(record, (long_ago, long_ago))
    assert states(path) == ["failed", "waiting"]
    assert Queue(path).take().run.folder == tmp_path / "b"


def test_a_run_that_another_program_took_out_meanwhile_is_not_moved(path):
    for name in "ab":
        Queue(path).add(QueuedRun(ScanSource(Path(f"/data/{name}.h5")), {}, Path(f"/out/{name}")))
    here = Queue(path)
    Queue(path).remove(here.entries[0].key)
    here.move(here.entries[0].key, 1)
    assert [entry.run.folder for entry in here.entries] == [Path("/out/b")]


def test_one_run_is_done_at_a_time_whoever_takes_it(path):
    for name in "ab":
        Queue(path).add(QueuedRun(ScanSource(Path(f"/data/{name}.h5")), {}, Path(f"/out/{name}")))
    taken = Queue(path).take()
    assert Queue(path).take() is None
    Queue(path).end(taken.key, QueueState.DONE, "all epochs are done")
    assert Queue(path).take().run.folder == Path("/out/b")


def test_two_runs_cannot_share_a_folder_and_a_damaged_file_is_said(path):
    Queue(path).add(QueuedRun(ScanSource(Path("/data/a.h5")), {}, Path("/out/a")))
    with pytest.raises(InputError, match="another run in the queue writes into"):
        Queue(path).add(QueuedRun(ScanSource(Path("/data/b.h5")), {}, Path("/out/a")))
    path.write_text(json.dumps({"version": 1, "runs": [{"key": "1"}]}))
    with pytest.raises(InputError, match=r"runs\[0\] lacks state"):
        Queue(path)


def test_the_queue_of_a_user_is_among_the_data_of_programs():
    assert queue_path({"XDG_DATA_HOME": "/home/me/data"}) == Path("/home/me/data/ptycho/queue.json")
    assert queue_path({}) == Path.home() / ".local/share/ptycho/queue.json"


def test_the_command_does_what_waits_and_goes_on_after_a_failure(path, tmp_path, capsys):
    scan = write_scan(SCAN, tmp_path / "scan.npz", "ptychopinn")
    queue = Queue(path)
    queue.add(QueuedRun(ScanSource(tmp_path / "gone.npz"), {}, tmp_path / "first"))
    also = write_scan(simulate(dataclasses.replace(specs.SMALL, seed=4)).scan, tmp_path / "also.npz", "ptychopinn")
    queue.add(QueuedRun(ScanSource(scan), {**SMALL, "max_epochs": 2}, tmp_path / "second", (also,)))
    assert main(["queue", "list", "--file", str(path), "--json"]) == 0
    assert [row["state"] for row in json.loads(capsys.readouterr().out)] == ["waiting", "waiting"]
    assert main(["queue", "run", "--file", str(path), "--quiet"]) == 3
    assert states(path) == ["failed", "done"]
    assert read_run(tmp_path / "second").status == "finished"
    assert read_run(tmp_path / "second").scan_names == ["scan.npz", "also.npz"]
    for place in ("second", "second/scans/2-also"):
        assert (tmp_path / place / "reconstruction/metrics.json").exists()
    assert main(["queue", "list", "--file", str(path)]) == 0
    said = capsys.readouterr().err
    assert "gone.npz" in said
    assert "scan.npz and 1 more" in said
    assert "all 2 epochs are done" in said


def test_a_run_that_a_fault_of_the_program_ends_does_not_stop_the_rest(path, tmp_path, monkeypatch):
    scan = write_scan(SCAN, tmp_path / "scan.npz", "ptychopinn")
    for name in ("first", "second"):
        Queue(path).add(QueuedRun(ScanSource(scan), SMALL, tmp_path / name))

    def fail(config, scan, folder, **more):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("ptycho_core.engines.training.train", fail)
    assert main(["queue", "run", "--file", str(path), "--quiet"]) == 3
    told = {(entry.state, entry.reason) for entry in Queue(path).entries}
    assert told == {(QueueState.FAILED, "internal error: ZeroDivisionError: by zero")}


def test_the_command_leaves_a_queue_alone_that_another_program_works_on(path):
    Queue(path).add(QueuedRun(ScanSource(Path("/data/a.h5")), {}, Path("/out/a")))
    Queue(path).take()
    assert main(["queue", "run", "--file", str(path)]) == PtychoError.exit_code
