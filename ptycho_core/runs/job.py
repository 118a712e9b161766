"""A run as a job: handed over, its state, and taken back. No torch here.

::

    out/job/job.json     the job: its number, by which command, when
    out/job/ptycho.sh    its script
    out/job/job-*.log    what it prints
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any, ClassVar

from ptycho_core.base.atomic import atomic_write, explain_write_errors, write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.command_line import submitted_script
from ptycho_core.runs.record import JOB, RECORD, folders_with, read_run
from ptycho_core.runs.run import put_back, refuse_folder, resumable, set_aside
from ptycho_core.runs.site import Site, is_slurm

JOB_RECORD = f"{JOB}/job.json"
_SCRIPT = "ptycho.sh"
_WAIT_S = 30.0
_GOES_ON = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "STOPPED")


@dataclass(frozen=True)
class Job:
    """A job that was handed over.

    Parameters
    ----------
    id
        SLURM's number, or that of the process.
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
            return ProcessMark.current().job == self.id
        return self.process.here and os.getsid(0) == self.process.pid


@dataclass(frozen=True)
class JobState:
    """What became of a job, in the batch system's word, and whether nothing more comes of it."""

    word: str
    over: bool


@dataclass(frozen=True)
class WaitingRun:
    """A run directory whose job has not begun the run yet, what is known of the job, and ``failed`` once it is over."""

    folder: Path
    reason: str
    status: str = "waiting"


def submit(
    folder: Path,
    command: str,
    config: Config,
    site: Site,
    files: Mapping[Path, Any] | None = None,
    *,
    resumes: bool = False,
) -> Job:
    """Write a run's job script into its folder and hand it over; an earlier run there is set aside, once it is taken.

    Parameters
    ----------
    folder
        Of the run, new or, where it is resumed, there already.
    command
        Quoted for a shell, as of `command_line`.
    config
        What it trains with.
    site
        How jobs are run.
    files
        What the command reads beside the scan, as of `ScanSource.needed_files`.
    resumes
        Whether the command goes on with the run in the folder.

    Raises
    ------
    InputError
        A run in the folder goes on, or cannot be resumed; or the job asks for no number of devices.
    PtychoError
        The folder cannot be written, or the job was refused: in the batch system's own words.
    """
    folder = folder.absolute()
    refuse_folder(folder)
    refuse_job(folder)
    resumptions = len(resumable(folder).resumed) if resumes else None
    place, script = folder / JOB, folder / JOB / _SCRIPT
    text = submitted_script(command, config, site, folder, resumes=resumes)
    with explain_write_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    for path, body in (files or {}).items():
        write_json(path, body)
    with atomic_write(script) as temporary:
        temporary.write_text(text, encoding="utf-8")
    earlier = None if resumes else set_aside(folder)
    try:
        job = _hand_over(script, site, resumptions)
    except PtychoError:
        if earlier is not None:
            put_back(earlier, folder)
        raise
    write_json(folder / JOB_RECORD, encode(job))
    return job


def _hand_over(script: Path, site: Site, resumptions: int | None) -> Job:
    if site.slurm:
        number = _ask([*site.command, "--parsable", str(script)]).partition(";")[0]
        return Job(number, site.command, datetime.now(UTC), resumptions)
    process = _start([*site.command, str(script)], script.parent)
    return Job(str(process.pid), site.command, datetime.now(UTC), resumptions, process)


def read_job(folder: Path) -> Job | None:
    """Return the job that was submitted for a run's folder last; None if none was.

    Raises
    ------
    InputError
        Its record is damaged.
    """
    path = folder / JOB_RECORD
    return decode(Job, read_json(path, "the job"), str(path)) if path.exists() else None


def refuse_job(folder: Path) -> None:
    """Raise `InputError` where another job than this one is to train in a folder, or still does."""
    job = read_job(folder)
    if job is None or job.is_this:
        return
    if (state := job_state(job)) is not None and not state.over:
        raise InputError(f"job {job.id} of {folder} is {state.word}: stop it, or take another folder")


def job_state(job: Job) -> JobState | None:
    """Return what became of a job; None where that cannot be seen from this machine."""
    if job.process is not None:
        if not job.process.here:
            return None
        alive = job.process.alive(job.submitted)
        return JobState("RUNNING" if alive else "ended", not alive)
    try:
        word = _ask(_beside(job, "squeue", "--noheader", f"--jobs={job.id}", "--states=all", "--format=%T"))
    except PtychoError as error:
        if "Invalid job id" not in str(error):
            return None
        word = ""
    if not word:  # it is forgotten some minutes after its end
        with contextlib.suppress(PtychoError):
            word = _ask(_beside(job, "sacct", "--noheader", "--allocations", f"--jobs={job.id}", "--format=State"))
    word = word.split()[0] if word else "ended"
    return JobState(word, word not in _GOES_ON)


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
    """Return the runs in ``root`` and up to ``depth`` folders below that their jobs have not begun."""
    found = []
    for folder in folders_with(root, depth, JOB_RECORD):
        if (folder / RECORD).exists():
            continue
        try:
            job = read_job(folder)
        except InputError as error:
            found.append(WaitingRun(folder, str(error), "failed"))
            continue
        if job is not None:
            state = job_state(job)
            if state is not None and state.over:
                found.append(WaitingRun(folder, ended_unbegun(folder, job, state), "failed"))
            else:
                told = f"job {job.id}, submitted {job.submitted.astimezone():%Y-%m-%d %H:%M}"
                found.append(WaitingRun(folder, f"{told}, is {state.word}" if state else told))
    return found


def cancel_job(job: Job) -> None:
    """Take a job back.

    Raises
    ------
    PtychoError
        The batch system refuses, or the process is on another machine.
    """
    if job.process is None:
        _ask(_beside(job, "scancel", job.id))
    elif not job.process.here:
        raise PtychoError(f"job {job.id} is a process on {job.process.host}: take it back there")
    elif job.process.alive(job.submitted):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(job.process.pid, signal.SIGTERM)


def log_of(folder: Path, job: Job) -> Path:
    """Return the file of what a job prints."""
    return folder / JOB / ("job.log" if job.process is not None else f"job-{job.id}.log")


def _beside(job: Job, tool: str, *words: str) -> list[str]:
    """Return a command of SLURM's that is called as ``sbatch`` was."""
    swapped = [str(PurePath(word).with_name(tool)) if is_slurm((word,)) else word for word in job.command]
    return [*swapped, *words]


def _ask(words: list[str]) -> str:
    """Return what a command prints.

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
        said = " ".join((done.stderr or done.stdout).split())
        raise PtychoError(f"{words[0]} refuses: {said or f'exit code {done.returncode}'}")
    return done.stdout.strip()


def _start(words: list[str], place: Path) -> ProcessMark:
    """Start a command in a session of its own, which outlives this process."""
    log, flags = str(place / "job.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o666)]
    try:
        number = os.posix_spawnp(
            words[0], words, os.environ, file_actions=[*files, (os.POSIX_SPAWN_DUP2, 1, 2)], setsid=True
        )
    except OSError as error:
        raise PtychoError(f"{words[0]} cannot be called: {error.strerror}") from error
    return ProcessMark.of(number)
