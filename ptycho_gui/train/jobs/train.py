"""Jobs that train: each is one call of the core's `train`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import write_json
from ptycho_core.base.build_config import build_config
from ptycho_core.base.events import StopToken
from ptycho_core.runs.command_line import command_line
from ptycho_core.runs.queue import QueuedRun
from ptycho_core.runs.record import RunInfo, read_run
from ptycho_core.runs.reopening import open_alike, open_scans
from ptycho_core.runs.run import resumable, resumed_config
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress

_LOADING = "loading the training software"


def train_job(queued: QueuedRun, opened: Scan | None = None) -> Job:
    """Train as it is described, on its scan, which may be ``opened``. Result: `RunInfo` of the run when it ended."""
    settings, folder = queued.settings, queued.folder

    def job(emit: Callable[[Any], None], token: StopToken) -> RunInfo:
        emit(Progress("reading the scans" if queued.further else "reading the scan"))
        command = command_line(settings, queued.source, folder, queued.further)
        scans = open_alike(queued.source, queued.further, opened)
        for path, body in queued.source.needed_files(folder).items():
            write_json(path, body)
        emit(Progress(_LOADING))
        leave_one_core_to_the_window()
        from ptycho_core.engines.training import train

        return train(
            build_config(settings),
            scans.first,
            folder,
            further_scans=scans.further,
            events=emit,
            stop=token,
            command=command,
        )

    return job


def resume_job(folder: Path, changes: dict[str, Any]) -> Job:
    """Go on with the run in ``folder`` on its own scan, read again. Result as of `train_job`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> RunInfo:
        info = resumable(folder)
        config = resumed_config(info, changes)
        emit(Progress("reading the run's scan"))
        scans = open_scans(info)
        emit(Progress(_LOADING))
        leave_one_core_to_the_window()
        from ptycho_core.engines.training import train

        command = f"ptycho train --resume {shlex.quote(str(folder))}"
        return train(
            config,
            scans.first,
            folder,
            test_scan=scans.test,
            further_scans=scans.further,
            events=emit,
            stop=token,
            command=command,
            resume=True,
        )

    return job


def record_job(folder: Path) -> Job:
    """Read a run's record. Result: `RunInfo`."""
    return lambda emit, token: read_run(folder)
