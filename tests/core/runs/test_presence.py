"""One process at a time in a folder: whoever else comes, and whatever became of the one before."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import StopToken
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs import presence
from ptycho_core.runs.presence import alone_in, stand_in_for

HERE = ProcessMark.current()
ELSEWHERE = dataclasses.replace(HERE, host="node17")


def mark(folder: Path, process: ProcessMark, number: int = 1) -> Path:
    path = folder / f".watched-{number}"
    path.write_text(json.dumps(encode(process)))
    return path


def marks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def enter(folder: Path, **given) -> list[str]:
    """Be in a folder for a moment; return what was told."""
    told: list[str] = []
    with alone_in(folder, StopToken(), told.append, **given):
        assert len(marks(folder)) == 1
    return told


def test_a_second_one_is_refused_and_after_the_first_one_nothing_is_left(tmp_path):
    with alone_in(tmp_path, StopToken(), print):
        with (
            pytest.raises(InputError, match=rf"another watcher is at work in .*, process {os.getpid()} on {HERE.host}"),
            alone_in(tmp_path, StopToken(), print),
        ):
            pass
        assert marks(tmp_path) == [".watched-1"]
    assert marks(tmp_path) == []


def test_the_place_of_one_that_was_killed_is_taken_and_said(tmp_path):
    code = "import os, sys; from ptycho_core.runs.presence import *; from pathlib import Path\n"
    code += "with alone_in(Path(sys.argv[1]), StopToken(), print): os.kill(os.getpid(), 9)"
    killed = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    killed.wait()
    assert marks(tmp_path) == [".watched-1"]
    (said,) = enter(tmp_path)
    assert said == (
        f"process {killed.pid} on {HERE.host}, which was at work in {tmp_path}, has ended without a word: "
        "its place is taken"
    )
    assert marks(tmp_path) == []


def test_one_elsewhere_that_gives_a_sign_of_life_is_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(presence, "_SILENCE_S", 3600.0)
    path, told, over = mark(tmp_path, ELSEWHERE), [], threading.Event()

    def live():
        times = itertools.count(9000, -1)  # of a clock that runs backwards
        while not over.wait(0.01):
            os.utime(path, (next(times),) * 2)

    alive = threading.Thread(target=live)
    alive.start()
    try:
        with (
            pytest.raises(InputError, match=f"another watcher is at work in .*, process {HERE.pid} on node17"),
            alone_in(tmp_path, StopToken(), told.append),
        ):
            pass
    finally:
        over.set()
        alive.join()
    assert "waiting for a sign of life, 3600 s" in told[0]
    assert marks(tmp_path) == [".watched-1"]


def test_one_elsewhere_that_stays_silent_is_gone_and_so_is_a_mark_that_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(presence, "_SILENCE_S", 0.3)
    mark(tmp_path, ELSEWHERE, 7)
    assert "process" in enter(tmp_path)[1]
    (tmp_path / ".watched-1").write_text('{"pid": 1')
    assert enter(tmp_path)[1].startswith("another process, which was at work in")


def test_of_many_that_find_a_place_empty_or_left_one_takes_it(tmp_path):
    mark(tmp_path, dataclasses.replace(HERE, started="long ago"))
    inside, refused, go = [], [], threading.Barrier(8)

    def come():
        go.wait()
        with contextlib.ExitStack() as kept:
            try:
                kept.enter_context(alone_in(tmp_path, StopToken(), lambda sentence: None))
                inside.append(1)
            except InputError:
                refused.append(1)
            go.wait()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(inside), len(refused)) == (1, 7)


def test_who_was_taken_for_gone_notices_and_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(presence, "_SIGN_EVERY_S", 0.01)
    token = StopToken()

    def work():
        with alone_in(tmp_path, token, print):
            mark(tmp_path, ELSEWHERE, 2)
            while not token.stop_requested:
                time.sleep(0.01)

    with pytest.raises(InputError, match="was out of reach so long that another process has taken over"):
        work()
    assert marks(tmp_path) == [".watched-1", ".watched-2"]
    assert "has taken over" in token.reason


def test_a_mark_is_renewed_and_made_again_where_somebody_tidied_up(tmp_path, monkeypatch):
    monkeypatch.setattr(presence, "_SIGN_EVERY_S", 0.01)
    with alone_in(tmp_path, StopToken(), print):
        path = tmp_path / ".watched-1"
        os.utime(path, (1000, 1000))
        while path.stat().st_mtime == 1000:
            time.sleep(0.01)
        path.unlink()
        while not path.exists():
            time.sleep(0.01)
    assert marks(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_is_refused_or_told(tmp_path, monkeypatch):
    def never(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(presence.os, "open", never)
    with (
        pytest.raises(PtychoError, match=r"cannot write .*: Permission denied"),
        alone_in(tmp_path, StopToken(), print),
    ):
        pass


def test_where_a_folder_cannot_be_written_to_those_of_the_same_user_hear_of_each_other(tmp_path, monkeypatch):
    folder, own = tmp_path / "scans", tmp_path / "own"
    folder.mkdir()
    stand_in, made, told = stand_in_for(folder, {"XDG_DATA_HOME": str(own)}), os.open, []

    def refuse_in_folder(path, *args):
        if Path(path).parent == folder:
            raise PermissionError(13, "Permission denied")
        return made(path, *args)

    monkeypatch.setattr(presence.os, "open", refuse_in_folder)
    with alone_in(folder, StopToken(), told.append, stand_in=stand_in):
        with (
            pytest.raises(InputError, match=rf"another watcher is at work in {folder}, process"),
            alone_in(folder, StopToken(), print, stand_in=stand_in),
        ):
            pass
        assert (marks(folder), marks(stand_in)) == ([], [".watched-1"])
    assert marks(stand_in) == []
    assert told == [
        f"nothing can be written to {folder}: another user's watcher there, which writes elsewhere, is not noticed"
    ]
    assert stand_in_for(tmp_path, {"XDG_DATA_HOME": str(own)}) != stand_in
