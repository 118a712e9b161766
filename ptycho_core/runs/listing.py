"""A list of runs: with those that wait for a job, and apart what is part of a search or was replaced. No torch here."""

from __future__ import annotations

import contextlib
import re
from enum import StrEnum
from pathlib import Path

from ptycho_core.runs.job import JOB_RECORD, WaitingRun, find_waiting
from ptycho_core.runs.record import NOTE, PREVIOUS, RECONSTRUCTION, RECORD, BrokenRun, RunInfo, find_runs, folders_with
from ptycho_core.runs.results import METRICS_FILE
from ptycho_core.runs.trials import TRIAL

Found = RunInfo | WaitingRun | BrokenRun
"""What a list has a row for."""


class Kind(StrEnum):
    """What a run is to its operator."""

    RUN = "run"
    TRIAL = "trial of a search"
    EARLIER = "earlier version"


def kind_of(folder: Path) -> Kind:
    """Return what the run in a folder is: its place tells."""
    if folder.parent.name == PREVIOUS:
        return Kind.EARLIER
    return Kind.TRIAL if re.fullmatch(rf"{TRIAL}\d+", folder.name) else Kind.RUN


def find_listed(root: str | Path, depth: int = 5) -> list[Found]:
    """Return what waits in ``root`` and up to ``depth`` folders below it, then the runs as `find_runs`."""
    waiting = find_waiting(Path(root).absolute(), depth)
    told = {each.folder for each in waiting}
    return [*waiting, *(run for run in find_runs(root, depth) if run.folder not in told)]


def info_of(found: Found) -> RunInfo | None:
    """Return the record of a run, also of one with which a job waits to go on; None where there is none to read."""
    return found.run if isinstance(found, WaitingRun) else found if isinstance(found, RunInfo) else None


def stamp_of(root: Path, depth: int = 5) -> frozenset[tuple[Path, int]]:
    """Return what changes whenever a run in ``root`` begins, records something, is reconstructed, noted or removed."""
    stamps = set()
    for folder in folders_with(root.absolute(), depth, RECORD, JOB_RECORD):
        for name in (RECORD, JOB_RECORD, NOTE, f"{RECONSTRUCTION}/{METRICS_FILE}"):
            with contextlib.suppress(OSError):
                stamps.add((folder / name, (folder / name).stat().st_mtime_ns))
    return frozenset(stamps)
