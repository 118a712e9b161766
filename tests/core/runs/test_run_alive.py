"""Whether a run still goes on, by the process that began it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.record import read_run
from tests.helpers.run_folders import edit_record, start


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
