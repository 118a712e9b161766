"""The job that watches a folder: one call of the core's `watch`, and one that looks at the folder before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import InputError, Problem
from ptycho_core.base.events import StopToken
from ptycho_core.runs.arrivals import Arrivals
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.jobs.checks import Looked
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True)
class Watched:
    """A folder in which scans arrive, where their results go, and what is done: as `engines.watch.Rules` has it."""

    folder: Path
    out: Path
    checkpoint: Path
    source: ScanSource
    globs: tuple[str, ...]
    exports: tuple[str, ...] = ()


def watch_job(watched: Watched, accelerator: str) -> Job:
    """Watch until stopped. Result: `Watched`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Watched:
        emit(Progress("loading the reconstruction software"))
        leave_one_core_to_the_window()
        from ptycho_core.engines.watch import Rules, watch

        emit(Progress(f"waiting for scans in {watched.folder}"))
        options = {"accelerator": accelerator}
        rules = Rules(watched.checkpoint, watched.source, watched.globs, watched.exports, options)
        watch(watched.folder, watched.out, rules, emit, token)
        return watched

    return job


def look_at_watched(folder: Path, globs: tuple[str, ...]) -> Job:
    """See how many scans a folder holds already. Result: `Looked`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Looked:
        try:
            there = len(Arrivals(folder, globs).look(()))
        except InputError as error:
            return Looked((Problem("folder", f"{error}."),))
        if not there:
            return Looked(about="No scan is there yet.")
        return Looked(
            about=f"{there} such {'file is' if there == 1 else 'files are'} there, done first if not done yet."
        )

    return job
