"""The queue of runs: what waits, in which order, and what became of it, in a file that survives whoever works on it.

One file for each user, written whole or not at all, and locked while it is changed: the window and `ptycho queue` may
use it at the same time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from filelock import FileLock, Timeout

from ptycho_core.base.atomic import explain_write_errors, write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import Status
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.own_folder import own_folder
from ptycho_core.runs.record import RECORD
from ptycho_core.scan.mapping import Mapping as ScanMapping
from ptycho_core.scan.source import ScanSource, sources_alike
from ptycho_core.scan.steps_json import steps_from_dict, steps_to_dict

_LOCK_S = 10.0
_WHAT = "the queue"
_HANDED = "is being handed over"
_INTERRUPTED = "interrupted: Resume goes on with it"


class QueueState(StrEnum):
    """What became of a run in the queue."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    SUBMITTED = "submitted"


def state_after(status: Status) -> QueueState:
    """Return what becomes of a run in the queue whose training has ended: one that was stopped is done."""
    return {Status.FAILED: QueueState.FAILED, Status.CANCELLED: QueueState.SKIPPED}.get(status, QueueState.DONE)


@dataclass(frozen=True)
class QueuedRun:
    """A run to be done: on which scan, with which settings (those that differ from the defaults), into which folder.

    ``further`` are files of scans that it trains on too, which are read as the first one is.
    """

    source: ScanSource
    settings: dict[str, Any]
    folder: Path
    further: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A run in the queue, known by its ``key``; ``reason`` says why it is in its state."""

    run: QueuedRun
    key: str
    state: QueueState = QueueState.WAITING
    reason: str = ""
    process: ProcessMark | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more is to be done."""
        return self.state not in (QueueState.WAITING, QueueState.RUNNING)


@dataclass(frozen=True)
class _Kept:
    """An `Entry` in the file, of primitives."""

    key: str
    state: QueueState
    scan: Path
    folder: Path
    reason: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    positions: Path | None = None
    answers: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    mapping: dict[str, Any] | None = None
    steps: dict[str, Any] | None = None
    further: tuple[Path, ...] = ()
    process: ProcessMark | None = None


@dataclass(frozen=True)
class _File:
    LAYOUT: ClassVar[int] = 1
    runs: tuple[_Kept, ...] = ()


def queue_path(environment: Mapping[str, str]) -> Path:
    """Return where a user's queue is."""
    return own_folder(environment) / "queue.json"


class Queue:
    """The entries as they were read last, in the order in which they are done.

    Parameters
    ----------
    path
        Of the file, which need not exist; None for a queue that nobody else sees and that is not kept.

    Raises
    ------
    InputError
        The file is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.entries: tuple[Entry, ...] = ()
        self.read()

    def read(self) -> None:
        """Read the entries again. One whose process is gone, or gives no sign of life elsewhere, was interrupted.

        Raises
        ------
        InputError
            The file is damaged.
        """
        if self.path is None or not self.path.exists():
            return
        kept = decode(_File, read_json(self.path, _WHAT), str(self.path)).runs
        self.entries = tuple(_interrupted_if_gone(_entry(each), self.path) for each in kept)

    @property
    def running(self) -> Entry | None:
        """The run that was taken, by any program, and has not ended."""
        return next((entry for entry in self.entries if entry.state == QueueState.RUNNING), None)

    def add(self, run: QueuedRun) -> Entry:
        """Put a run at the end.

        Raises
        ------
        InputError
            Another run that is not over writes into its folder, its scan is in no file, or as `sources_alike`.
        PtychoError
            The queue cannot be written.
        """
        run.source.file  # noqa: B018  raises where there is none
        sources_alike(run.source, run.further)
        with self._changing() as entries:
            if any(not entry.over and entry.run.folder.absolute() == run.folder.absolute() for entry in entries):
                raise InputError(f"another run in the queue writes into {run.folder}: choose another output folder")
            added = Entry(run, secrets.token_hex(4))
            entries.append(added)
        return added

    def remove(self, key: str) -> None:
        """Take a run out, whatever became of it; not the one that runs."""
        with self._changing() as entries:
            entries[:] = [entry for entry in entries if entry.key != key or entry.state == QueueState.RUNNING]

    def move(self, key: str, to: int) -> None:
        """Put a run into another place, if it is still there."""
        with self._changing() as entries:
            for moved in [entry for entry in entries if entry.key == key]:
                entries.remove(moved)
                entries.insert(to, moved)

    def take(self) -> Entry | None:
        """Take the first run that waits: it counts as running in this process. None if none waits, or one runs."""
        with self._changing() as entries:
            if any(entry.state == QueueState.RUNNING for entry in entries):
                return None
            for place, entry in enumerate(entries):
                if entry.state == QueueState.WAITING:
                    mark = ProcessMark.current()
                    entries[place] = dataclasses.replace(entry, state=QueueState.RUNNING, reason="", process=mark)
                    return entries[place]
        return None

    def hand_over(self, submit: Callable[[list[QueuedRun]], list[str]]) -> list[Entry]:
        """Have all that waits done elsewhere, where ``submit`` takes it and tells of each run as what; all or nothing.

        What was taken is over in the queue, which others may use meanwhile.
        """
        with self._changing() as entries:
            waiting = [entry for entry in entries if entry.state == QueueState.WAITING]
            _end(entries, {entry.key: (QueueState.SUBMITTED, _HANDED) for entry in waiting})
        try:
            told = submit([entry.run for entry in waiting]) if waiting else []
        except BaseException:
            with self._changing() as entries:
                _end(entries, {entry.key: (QueueState.WAITING, "") for entry in waiting})
            raise
        ends = {entry.key: (QueueState.SUBMITTED, which) for entry, which in zip(waiting, told, strict=True)}
        with self._changing() as entries:
            _end(entries, ends)
        return [entry for entry in self.entries if entry.key in ends]

    def end(self, key: str, state: QueueState, reason: str) -> None:
        """Say what became of a run that was taken, and why."""
        with self._changing() as entries:
            _end(entries, {key: (state, reason)})

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Entry]]:
        """Give the entries as they are now, and keep what they are afterwards."""
        if self.path is None:
            entries = list(self.entries)
            yield entries
            self.entries = tuple(entries)
            return
        with explain_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=_LOCK_S):
                self.read()
                entries = list(self.entries)
                yield entries
                if tuple(entries) != self.entries:
                    write_json(self.path, encode(_File(tuple(map(_kept, entries))), defaults=False))
                    self.entries = tuple(entries)
        except Timeout:
            raise PtychoError(f"{_WHAT} {self.path} is held by another program: try again") from None


def _end(entries: list[Entry], ends: Mapping[str, tuple[QueueState, str]]) -> None:
    """Give entries, by their keys, another state and the reason for it."""
    for place, entry in enumerate(entries):
        if entry.key in ends:
            state, reason = ends[entry.key]
            entries[place] = dataclasses.replace(entry, state=state, reason=reason, process=None)


def _entry(kept: _Kept) -> Entry:
    source = ScanSource(
        path=kept.scan,
        positions_file=kept.positions,
        settings=kept.answers,
        format=kept.format,
        mapping=None if kept.mapping is None else ScanMapping.from_dict(kept.mapping, _WHAT),
        steps=() if kept.steps is None else steps_from_dict(kept.steps, _WHAT),
    )
    run = QueuedRun(source, kept.settings, kept.folder, kept.further)
    return Entry(run, kept.key, kept.state, kept.reason, kept.process)


def _interrupted_if_gone(entry: Entry, queue: Path) -> Entry:
    if entry.state != QueueState.RUNNING or entry.process is None or entry.process.alive(_last_sign(entry, queue)):
        return entry
    return dataclasses.replace(entry, state=QueueState.FAILED, reason=_INTERRUPTED, process=None)


def _last_sign(entry: Entry, queue: Path) -> datetime:
    """Return when a run that goes on was heard of: a process renews its record; before, it has written the queue."""
    for path in (entry.run.folder / RECORD, queue):
        with contextlib.suppress(OSError):
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


def _kept(entry: Entry) -> _Kept:
    run, source = entry.run, entry.run.source
    return _Kept(
        key=entry.key,
        state=entry.state,
        scan=source.file.absolute(),
        folder=run.folder.absolute(),
        reason=entry.reason,
        settings=run.settings,
        positions=source.positions_file,
        answers=source.settings,
        format=source.format,
        mapping=source.mapping.to_dict() if source.mapping else None,
        steps=steps_to_dict(source.steps) if source.steps else None,
        further=tuple(path.absolute() for path in run.further),
        process=entry.process,
    )
