"""Who is at work in a folder: one process at a time says so in a file there, on whatever share. No torch here.

::

    FOLDER/.watched-<k>    the process, as JSON; it renews the file's time every ten seconds

A file is made by one process alone, on NFS too, where a lock may hold on one machine only. One that a process has left
which was killed is taken over by making that of the next number: of several that try, one does. No clock is asked but
that of this machine which only runs forward.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.base.process import ProcessMark
from ptycho_core.base.repeated import repeated
from ptycho_core.runs.own_folder import own_folder

_MARK = ".watched-"
_SIGN_EVERY_S = 10.0
_LOOK_EVERY_S = 0.2
_SILENCE_S = 120.0
"""A process on another host, which gives a sign of life every ten seconds, counts as gone after this."""
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


def stand_in_for(folder: Path, environment: Mapping[str, str]) -> Path:
    """Return where a user's processes say to each other that they are at work in a folder, if not in that itself."""
    return own_folder(environment) / "watched" / hashlib.sha256(bytes(folder.resolve())).hexdigest()[:16]


@contextmanager
def alone_in(
    folder: Path, token: StopToken, tell: Callable[[str], object], *, stand_in: Path | None = None
) -> Iterator[None]:
    """Be the only one at work in a folder, for as long as the block lasts.

    Parameters
    ----------
    folder
        There already.
    token
        Ends the waiting for another process's sign of life. Is stopped where another process takes over, as it may
        where the folder was out of reach of this one for minutes.
    tell
        Told in a sentence what is waited for, whose place is taken, and what does not hold.
    stand_in
        Folder for the file, made where it is missing, if nothing can be written to the first one, which is told: only
        those hear of this process then who have the same one, and nobody where nothing can be written there either.

    Raises
    ------
    InputError
        Another process is at work there, or has taken over in the end.
    PtychoError
        The folder cannot be written to, and nothing stands in for it.
    """
    mark = _make_somewhere(folder, token, tell, stand_in)
    if mark is None:
        yield
        return
    lost = threading.Event()

    def live() -> None:
        if not lost.is_set() and not _renew(mark):
            lost.set()
            token.stop(f"another process has taken over {folder}")

    try:
        with repeated(live, _SIGN_EVERY_S, "presence"):
            yield
    finally:
        if not lost.is_set():
            with contextlib.suppress(OSError):
                mark.unlink()
    if lost.is_set():
        raise InputError(f"{folder} was out of reach so long that another process has taken over: leave it to that one")


def _make_somewhere(
    folder: Path, token: StopToken, tell: Callable[[str], object], stand_in: Path | None
) -> Path | None:
    """Make the mark of this process, in the folder or else in what stands in for it; None where neither is possible."""
    try:
        with explain_write_errors(folder) if stand_in is None else contextlib.nullcontext():
            return _take(folder, folder, token, tell)
    except OSError as error:
        if error.errno not in _NO_RIGHT or stand_in is None:
            raise InputError(f"the folder {folder} cannot be read: {error.strerror}") from error
    whose, mark = "another", None
    with contextlib.suppress(OSError):
        stand_in.mkdir(parents=True, exist_ok=True)
        whose, mark = "another user's", _take(stand_in, folder, token, tell)
    tell(f"nothing can be written to {folder}: {whose} watcher there, which writes elsewhere, is not noticed")
    return mark


def _take(place: Path, folder: Path, token: StopToken, tell: Callable[[str], object]) -> Path:
    """Make the mark of this process in a place, once there is none of another one at work in the folder; return it."""
    while True:
        earlier = _marks(place)
        if earlier:
            _refuse_if_alive(earlier[-1], folder, token, tell)
        number = int(earlier[-1].name.removeprefix(_MARK)) + 1 if earlier else 1
        mark = place / f"{_MARK}{number}"
        try:
            _make(mark)
        except FileExistsError:
            continue  # another one was faster
        for path in earlier:
            with contextlib.suppress(OSError):
                path.unlink()
        return mark


def _make(mark: Path) -> None:
    file = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(file, "w", encoding="utf-8") as opened:
        json.dump(encode(ProcessMark.current()), opened)


def _marks(folder: Path) -> list[Path]:
    """Return the marks in a folder, the one that holds last."""
    names = [name for name in os.listdir(folder) if re.fullmatch(re.escape(_MARK) + r"\d+", name)]
    return [folder / name for name in sorted(names, key=lambda name: int(name.removeprefix(_MARK)))]


def _refuse_if_alive(mark: Path, folder: Path, token: StopToken, tell: Callable[[str], object]) -> None:
    who, gone = "another process", None
    with contextlib.suppress(InputError):  # it is being written, or was cut
        process = decode(ProcessMark, read_json(mark, "the mark"), str(mark))
        who = f"process {process.pid} on {process.host}"
        gone = not process.alive(datetime.now(UTC)) if process.here else None
    if gone is None:  # which cannot be seen from here
        tell(f"{who} is at work in {folder}, or was killed there: waiting for a sign of life, {_SILENCE_S:.0f} s")
        gone = _is_silent(mark, token)
    if not gone and token.stop_requested:
        raise InputError(f"stopped before it was known whether {who} is still at work in {folder}")
    if not gone:
        raise InputError(f"another watcher is at work in {folder}, {who}: end that one, or take another folder")
    tell(f"{who}, which was at work in {folder}, has ended without a word: its place is taken")


def _is_silent(mark: Path, token: StopToken) -> bool:
    """Watch whether the time of a mark stays the same for long; a mark that goes is silent too."""
    first, end = _time_of(mark), time.monotonic() + _SILENCE_S
    while time.monotonic() < end and not token.stop_requested:
        if (now := _time_of(mark)) is None or now != first:
            return now is None
        time.sleep(_LOOK_EVERY_S)
    return not token.stop_requested


def _time_of(mark: Path) -> int | None:
    """Return the time of a file, None where it is gone; it is opened, which makes NFS ask for it anew."""
    try:
        with open(mark, "rb") as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _renew(mark: Path) -> bool:
    """Give a sign of life; return whether the mark still holds. A folder that is out of reach is tried again later."""
    with contextlib.suppress(OSError):
        if not (marks := _marks(mark.parent)):
            _make(mark)  # somebody has tidied up
        elif marks[-1] != mark:
            return False
        else:
            os.utime(mark)
    return True
