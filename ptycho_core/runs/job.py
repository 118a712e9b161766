"""A run as a job: what is known of it, its state, and how it is taken back. No torch here.

::

    out/job/job.json     the job: its number, by which command, when
    out/job/ptycho.sh    its script
    out/job/array.sh     of the first of several runs: the script of their array, whose tasks run those above
    out/job/job-*.log    what it prints
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import ClassVar

from ptycho_core.base.codec import decode, read_json
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.process import ProcessMark, batch_job
from ptycho_core.runs.record import JOB, RECORD, RunInfo, folders_with, read_run
from ptycho_core.runs.site import is_slurm

JOB_RECORD = f"{JOB}/job.json"
_WAIT_S = 30.0
_GOES_ON = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "STOPPED")


@dataclass(frozen=True)
class Job:
    """A job that was handed over.

    Parameters
    ----------
    id
        SLURM's number, as 12_3 for a task of an array, or that of the process.
    command
        That took its script.
    submitted
        When, UTC.
    resumptions
        Of the run that it goes on with, before it did; None for a new run.
    process
        That runs the script, where no SLURM does.
    """

    LAYOUT: ClassVar[int] = 1

    id: str
    command: tuple[str, ...]
    submitted: datetime
    resumptions: int | None = None
    process: ProcessMark | None = None

    @property
    def is_this(self) -> bool:
        """Whether this process is part of it: of SLURM's job, or of the session that runs its script."""
        if self.process is None:
            return batch_job() == self.id
        return self.process.here and os.getsid(0) == self.process.pid


@dataclass(frozen=True)
class JobState:
    """What became of a job, in the batch system's word, and whether nothing more comes of it."""

    word: str
    over: bool


@dataclass(frozen=True)
class WaitingRun:
    """A run directory whose job has not begun the run yet, what is known of the job, and ``failed`` once it is over.

    ``run`` is the one with which the job is to go on, where it is none that is new.
    """

    folder: Path
    reason: str
    status: str = "waiting"
    run: RunInfo | None = None


def read_job(folder: Path) -> Job | None:
    """Return the job that was submitted for a run's folder last; None if none was.

    Raises
    ------
    InputError
        Its record is damaged.
    """
    path = folder / JOB_RECORD
    return decode(Job, read_json(path, "the job"), str(path)) if path.exists() else None


def job_of(info: RunInfo) -> Job | None:
    """Return the job that trained a run and makes its picture then; None where none did.

    Raises
    ------
    InputError
        As `read_job`.
    """
    job = read_job(info.folder)
    return job if job is not None and (job.process is not None or job.id == info.process.job) else None


def refuse_job(folder: Path) -> None:
    """Raise `InputError` where another job than this one is to train in a folder, or still does."""
    job = read_job(folder)
    if job is None or job.is_this:
        return
    if (state := job_state(job)) is not None and not state.over:
        raise InputError(f"job {job.id} of {folder} is {state.word}: stop it, or take another folder")


def job_state(job: Job) -> JobState | None:
    """Return what became of a job; None where that cannot be seen from this machine."""
    return job_states([job])[0]


def job_states(jobs: Sequence[Job]) -> list[JobState | None]:
    """Return what became of each job, as `job_state`; the batch system is asked once for all of them."""
    words: dict[tuple[tuple[str, ...], str], str] = {}
    for command in {job.command for job in jobs if job.process is None}:
        numbers = [job.id for job in jobs if job.process is None and job.command == command]
        words |= {(command, number): word for number, word in _words_of(command, numbers).items()}
    return [_state(job, words.get((job.command, job.id))) for job in jobs]


def _state(job: Job, word: str | None) -> JobState | None:
    if job.process is None:
        return None if word is None else JobState(word, word not in _GOES_ON)
    if not job.process.here:
        return None
    alive = job.process.alive(job.submitted)
    return JobState("RUNNING" if alive else "ended", not alive)


def _words_of(command: tuple[str, ...], numbers: list[str]) -> dict[str, str]:
    """Return SLURM's words for jobs by their numbers, "ended" for one that it forgot; none where it is silent."""
    among = f"--jobs={','.join(numbers)}"
    try:
        listed = ask_slurm(_beside(command, "squeue", "--noheader", "--array", among, "--states=all", "--format=%i:%T"))
    except PtychoError as error:
        if "Invalid job id" not in str(error):
            return {}
        listed = ""
    words = dict.fromkeys(numbers, "ended") | _by_number(listed, numbers)
    if forgotten := [number for number in numbers if words[number] == "ended"]:  # as it is some minutes after its end
        form = ("--noheader", "--allocations", "--parsable2", "--delimiter=:", "--format=JobID,State")
        with contextlib.suppress(PtychoError):
            words |= _by_number(ask_slurm(_beside(command, "sacct", *form, among)), forgotten)
    return words


def _by_number(listed: str, numbers: list[str]) -> dict[str, str]:
    """Return the first word that is said of each job, in a line that begins with its number and a colon."""
    said = (line.partition(":") for line in listed.split("\n"))
    return {number: state.split()[0] for number, _, state in said if number in numbers and state}


def waits(folder: Path) -> Job | None:
    """Return the job of a folder whose run it has not begun, or not resumed, yet; None if there is none.

    Raises
    ------
    InputError
        As `read_job`.
    """
    job = read_job(folder)
    if job is None:
        return None
    try:
        info = read_run(folder)
    except InputError:
        return job
    begun = job.resumptions is None or len(info.resumed) > job.resumptions
    return None if begun else job


def ended_unbegun(folder: Path, job: Job, state: JobState) -> str:
    """Return what to say of a job that has ended before its run began."""
    return f"job {job.id} has ended before its run began: {state.word}; {log_of(folder, job)} tells more"


def find_waiting(root: Path, depth: int) -> list[WaitingRun]:
    """Return the runs in ``root`` and up to ``depth`` folders below that their jobs have not begun, or not resumed.

    A run that a job was to go on with, and did not, is not among them: it is as it was.
    """
    found, waiting = [], []
    for folder in folders_with(root, depth, JOB_RECORD):
        try:
            if (job := waits(folder)) is not None:
                waiting.append((folder, job, read_run(folder) if (folder / RECORD).exists() else None))
        except InputError as error:
            if not (folder / RECORD).exists():
                found.append(WaitingRun(folder, str(error), "failed"))
    for (folder, job, run), state in zip(waiting, job_states([job for _, job, _ in waiting]), strict=True):
        if state is None or not state.over:
            told = f"job {job.id}, submitted {job.submitted.astimezone():%Y-%m-%d %H:%M}"
            found.append(WaitingRun(folder, f"{told}, is {state.word}" if state else told, run=run))
        elif run is None:
            found.append(WaitingRun(folder, ended_unbegun(folder, job, state), "failed"))
    return found


def cancel_job(job: Job) -> None:
    """Take a job back.

    Raises
    ------
    PtychoError
        The batch system refuses, or the process is on another machine.
    """
    if job.process is None:
        ask_slurm(_beside(job.command, "scancel", job.id))
    elif not job.process.here:
        raise PtychoError(f"job {job.id} is a process on {job.process.host}: take it back there")
    elif job.process.alive(job.submitted):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(job.process.pid, signal.SIGTERM)


def log_of(folder: Path, job: Job) -> Path:
    """Return the file of what a job prints."""
    return folder / JOB / ("job.log" if job.process is not None else f"job-{job.id}.log")


def _beside(command: tuple[str, ...], tool: str, *words: str) -> list[str]:
    """Return a command of SLURM's that is called as ``sbatch`` is by this one."""
    swapped = [str(PurePath(word).with_name(tool)) if is_slurm((word,)) else word for word in command]
    return [*swapped, *words]


def ask_slurm(words: list[str]) -> str:
    """Return what one of SLURM's commands prints.

    Raises
    ------
    PtychoError
        It cannot be called, refuses, or does not answer.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_WAIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise PtychoError(f"{words[0]} does not answer: try again") from None
    except OSError as error:
        raise PtychoError(f"{words[0]} cannot be called: {error.strerror}") from error
    if done.returncode:
        said = "; ".join(filter(None, map(_without_mark, (done.stderr or done.stdout).splitlines())))
        raise PtychoError(f"{words[0]} refuses: {said or f'exit code {done.returncode}'}")
    return done.stdout.strip()


def _without_mark(line: str) -> str:
    """Return a line of what one of SLURM's commands says, without "sbatch: error:" before it."""
    return " ".join(re.sub(r"^\w+: (error|fatal): ", "", line).split())
