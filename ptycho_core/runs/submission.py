"""Runs are handed over as jobs: one, or several as one array. No torch here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import atomic_write, explain_write_errors, write_json
from ptycho_core.base.build_config import build_config
from ptycho_core.base.codec import encode
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.command_line import SCRIPT, array_script, command_line, submitted_script
from ptycho_core.runs.job import JOB_RECORD, Job, ask_slurm, cancel_job, refuse_job
from ptycho_core.runs.queue import Entry, Queue, QueuedRun
from ptycho_core.runs.record import JOB
from ptycho_core.runs.run import put_back, refuse_folder, resumable, set_aside
from ptycho_core.runs.site import Site

_ARRAY = "array.sh"


@dataclass(frozen=True)
class Submitted:
    """A run that is to be handed over.

    Parameters
    ----------
    folder
        Of the run, new or, where it is resumed, there already.
    command
        Quoted for a shell, as of `command_line`.
    config
        What it trains with.
    files
        What the command reads beside the scan, as of `ScanSource.needed_files`.
    resumes
        Whether the command goes on with the run in the folder.
    """

    folder: Path
    command: str
    config: Config
    files: Mapping[Path, Any] = field(default_factory=dict)
    resumes: bool = False


def submitted(queued: QueuedRun) -> Submitted:
    """Return what is handed over for a new run on a scan.

    Raises
    ------
    InputError
        The scan was not read from a file, or a setting is not valid.
    """
    command = command_line(queued.settings, queued.source, queued.folder, queued.further)
    return Submitted(queued.folder, command, build_config(queued.settings), queued.source.needed_files(queued.folder))


def submit_queue(queue: Queue, site: Site) -> list[Entry]:
    """Hand all that waits in a queue over as one array of jobs; return what was.

    Raises
    ------
    InputError, PtychoError
        As `submit_array`; the queue is as before then.
    """

    def submit(runs: list[QueuedRun]) -> list[str]:
        return [f"job {job.id}" for job in submit_array([submitted(run) for run in runs], site)]

    return queue.hand_over(submit)


def submit(run: Submitted, site: Site) -> Job:
    """Write a run's job script into its folder and hand it over; an earlier run there is set aside, once it is taken.

    Raises
    ------
    InputError
        A run in the folder goes on, or cannot be resumed; or the job asks for no number of devices.
    PtychoError
        The folder cannot be written, or the job was refused: in the batch system's own words.
    """
    with _prepared([run], site) as [(folder, resumptions)]:
        script = folder / JOB / SCRIPT
        process = None if site.slurm else _start([*site.command, str(script)], script.parent)
        number = str(process.pid) if process else _sbatch(script, site)
    [job] = _recorded([(folder, Job(number, site.command, datetime.now(UTC), resumptions, process))])
    return job


def submit_array(runs: Sequence[Submitted], site: Site) -> list[Job]:
    """Hand several runs over as one array of jobs, each as `submit` does; all of them or none.

    Raises
    ------
    InputError
        As `submit` for any of them; they ask for different nodes or devices, or jobs do not go to SLURM.
    PtychoError
        As `submit`.
    """
    if not site.slurm:
        raise InputError("only SLURM has arrays of jobs, and there is none here: ptycho queue run does what waits")
    text = array_script(site, {run.folder.absolute(): run.config for run in runs})
    with _prepared(runs, site) as places:
        script = places[0][0] / JOB / _ARRAY
        _write_script(script, text)
        number = _sbatch(script, site)
    now = datetime.now(UTC)
    return _recorded(
        [
            (folder, Job(f"{number}_{task}", site.command, now, resumptions))
            for task, (folder, resumptions) in enumerate(places)
        ]
    )


@contextlib.contextmanager
def _prepared(runs: Sequence[Submitted], site: Site) -> Iterator[list[tuple[Path, int | None]]]:
    """Write scripts and set earlier runs aside: give folders and how often each run was resumed.

    What was set aside comes back where the job is refused.
    """
    places, scripts = [], []
    for run in runs:
        folder = run.folder.absolute()
        refuse_folder(folder)
        refuse_job(folder)
        places.append((folder, len(resumable(folder).resumed) if run.resumes else None))
        scripts.append(submitted_script(run.command, run.config, site, folder, resumes=run.resumes))
    for (folder, _), script, run in zip(places, scripts, runs, strict=True):
        with explain_write_errors(folder / JOB):
            (folder / JOB).mkdir(parents=True, exist_ok=True)
        for path, body in run.files.items():
            write_json(path, body)
        _write_script(folder / JOB / SCRIPT, script)
    earlier: dict[Path, Path] = {}
    try:
        for (folder, _), run in zip(places, runs, strict=True):
            if not run.resumes and (aside := set_aside(folder)) is not None:
                earlier[folder] = aside
        yield places
    except PtychoError:
        for folder, aside in earlier.items():
            put_back(aside, folder)
        raise


def _write_script(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sbatch(script: Path, site: Site) -> str:
    """Return SLURM's number of the job that it makes of a script."""
    try:
        return ask_slurm([*site.command, "--parsable", str(script)]).partition(";")[0]
    except PtychoError as error:
        raise PtychoError(f"{error} (the script is {script})") from error


def _recorded(jobs: Sequence[tuple[Path, Job]]) -> list[Job]:
    """Record jobs in the folders of their runs; where one cannot be, all are taken back: nobody would know of them."""
    try:
        for folder, job in jobs:
            write_json(folder / JOB_RECORD, encode(job))
    except PtychoError:
        for _, job in jobs:
            with contextlib.suppress(PtychoError):
                cancel_job(job)
        raise
    return [job for _, job in jobs]


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
