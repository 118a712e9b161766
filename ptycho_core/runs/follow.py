"""Follow a run through its folder alone, whoever trains it and where: its events as they come, and its end.

Its files are looked at again and again, which every share can do; no torch here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import (
    CheckpointRemoved,
    CheckpointSaved,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    Status,
    StopToken,
    from_json,
)
from ptycho_core.runs.job import JobState, ended_unbegun, job_of, job_state, waits
from ptycho_core.runs.previews import newest_preview
from ptycho_core.runs.record import CHECKPOINTS, EVENTS, PREVIOUS, RECORD, RunInfo, read_run

_EVERY_S = 0.5
_JOB_EVERY_S = 5.0
_QUIET_S = 30.0
SILENCE_S = 120.0
"""A process on another host, which gives a sign of life every ten seconds, counts as gone after this."""
_PATIENCE_S = 600.0
"""How long a folder may be out of reach."""


class Follower:
    """Reads what a run's folder tells anew, from the run's first event on.

    Parameters
    ----------
    folder
        Of the run.
    clock
        Seconds that only go forward; clocks of other machines are not asked.

    Attributes
    ----------
    info
        The run's record, as it was when it was looked at last. Its folder is another one when a later run has taken
        the first.
    scan
        The place, among those of the run, of the scan whose pictures are told.
    over
        Whether the run has ended, all its events were read, and the job that trained it, if one did, is over: until
        then it may go on with the run, or makes its picture.

    Raises
    ------
    InputError
        As `read_run`.
    """

    def __init__(self, folder: str | Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.info, self.scan, self.over = read_run(folder), 0, False
        self._clock = clock
        self._read, self._heard, self._sign = 0, clock(), (0, 0, 0)
        self._previews: dict[int, int] = {}
        self._job_asked = -math.inf
        self._job_state: JobState | None = None

    def look(self) -> list[Event]:
        """Return the events since the last look, and the newest picture. Paths in them are those of this machine.

        A line that is still being written waits for its end; one that a crash has cut, or that another version of the
        program wrote, is passed over.

        Raises
        ------
        InputError
            The folder is out of reach, or the run is not in it any more.
        """
        known = self.info.status != Status.RUNNING  # the record tells the end before the last event is written
        try:
            self.info, stamp = self._record()
            lines = self._new_lines()
        except (InputError, OSError) as error:
            self._heard = self._clock()
            if isinstance(error, InputError):
                raise
            raise InputError(f"the run in {self.info.folder} cannot be read: {error.strerror}") from error
        if (sign := (*stamp, self._read)) != self._sign:
            self._sign, self._heard = sign, self._clock()
        found = [self._here(event) for line in lines if (event := _event(line)) is not None]
        self._add_preview(found)
        ended = bool(found) and isinstance(found[-1], RunFinished | RunFailed)
        self._end_if_silent()
        if self.info.status == Status.RUNNING:
            return found
        self.over = (known or ended) and ((job := self._job()) is None or job.over)
        return found

    def _record(self) -> tuple[RunInfo, tuple[int, int]]:
        """Return the record of the run that is followed, also when a later one has taken its folder, and its state."""
        before = self.info
        aside = before.folder / PREVIOUS / f"version_{before.log_version}"
        for folder in (before.folder, aside):
            if (folder / RECORD).exists():
                found = (folder / RECORD).stat()
                stamp = (found.st_mtime_ns, found.st_size)
                gone = before.process.here and not before.process.alive(before.updated)
                if stamp == self._sign[:2] and folder == before.folder and not gone:
                    return before, stamp  # records of large scans take long to read
                if (info := read_run(folder)).started == before.started:
                    return info, stamp
        raise InputError(f"the run is not in {before.folder} any more, or that is out of reach")

    def _new_lines(self) -> list[bytes]:
        path = self.info.folder / EVENTS
        if not path.exists():
            return []
        with open(path, "rb") as file:
            file.seek(self._read)
            *lines, rest = file.read().split(b"\n")
            self._read = file.tell() - len(rest)
        return lines

    def _add_preview(self, found: list[Event]) -> None:
        """Put the newest picture that the run's process has kept, if it is new, before the events."""
        with contextlib.suppress(InputError):
            scan = self.scan  # which another thread may change
            if newest := newest_preview(self.info.folder_of_scan(scan), self._previews.get(scan, -1)):
                self._previews[scan], preview = newest
                found.insert(0, dataclasses.replace(preview, scan=scan))

    def _here(self, event: Event) -> Event:
        """Return an event with the paths of this machine, where the share may have another name."""
        folder = self.info.folder
        match event:
            case CheckpointSaved() | CheckpointRemoved():
                return dataclasses.replace(event, path=str(folder / CHECKPOINTS / PurePath(event.path).name))
            case RunStarted() | RunFinished() | RunFailed():
                return dataclasses.replace(event, run_dir=str(folder))
        return event

    def _job(self) -> JobState | None:
        """Return the state of the job that trains the run, asked for now and then; None where it is not known."""
        if self._clock() - self._job_asked >= _JOB_EVERY_S:
            self._job_asked, self._job_state = self._clock(), None
            with contextlib.suppress(InputError):
                if (job := job_of(self.info)) is not None:
                    self._job_state = job_state(job)
        return self._job_state

    def _end_if_silent(self) -> None:
        silent_s, process = self._clock() - self._heard, self.info.process
        if self.info.status != Status.RUNNING or process.here or silent_s < _QUIET_S:
            return
        if (job := self._job()) is not None and job.over:
            reason = f"its job {process.job} has ended: {job.word}"
        elif silent_s >= SILENCE_S:
            whose = f"{process.pid} on {process.host}"
            reason = f"nothing was heard of its process ({whose}) for {SILENCE_S / 60:.0f} minutes"
        else:
            return
        self.info = dataclasses.replace(self.info, status=Status.INTERRUPTED, reason=reason, ended=self.info.updated)


def wait_for_run(folder: Path, token: StopToken, tell: Callable[[str], object], every_s: float = _EVERY_S) -> None:
    """Wait until the job that was submitted for a folder, if one was, has begun its run, or the token is stopped.

    Parameters
    ----------
    folder
        Of the run.
    token
        Ends the waiting, not the job.
    tell
        Told the job's state, in a sentence, each time that it is another.
    every_s
        Seconds between two looks; the batch system is asked less often.

    Raises
    ------
    PtychoError
        The job has ended before that.
    """
    told, asked = "", -math.inf
    while not token.stop_requested and (job := waits(folder)) is not None:
        if time.monotonic() - asked >= _JOB_EVERY_S:
            state, asked = job_state(job), time.monotonic()
            if state is not None and state.over and waits(folder) is not None:
                raise PtychoError(ended_unbegun(folder, job, state))
            if state is not None and state.word != told:
                tell(f"job {job.id} is {state.word}")
                told = state.word
        time.sleep(every_s)


def follow(
    follower: Follower,
    token: StopToken,
    tell: Callable[[str], object] = lambda sentence: None,
    every_s: float = _EVERY_S,
) -> Iterator[Event]:
    """Yield a run's events as they come, until it is over or the token is stopped; ``follower.info`` is its record.

    Parameters
    ----------
    follower
        Which run, and from which event on.
    token
        Ends the following, not the run.
    tell
        Told once, in a sentence, that the folder is out of reach.
    every_s
        Seconds between two looks.

    Raises
    ------
    InputError
        The folder has been out of reach for ten minutes.
    """
    lost_at: float | None = None
    while not token.stop_requested:
        try:
            found = follower.look()
        except InputError as error:
            if lost_at is None:
                lost_at = time.monotonic()
                tell(f"{error}; waiting for it to come back")
            elif time.monotonic() - lost_at > _PATIENCE_S:
                raise
        else:
            lost_at = None
            yield from found
            if follower.over:
                return
        time.sleep(every_s)


def _event(line: bytes) -> Event | None:
    try:
        return from_json(line.decode())
    except (ValueError, RecursionError, InputError):
        return None
