"""A job that hands a run over: to SLURM, or to a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.runs.follow import wait_for_run
from ptycho_core.runs.queue import Queue, QueuedRun
from ptycho_core.runs.site import read_site
from ptycho_core.runs.submission import submit, submit_queue, submitted
from ptycho_gui.kit.threads.worker import Job, Progress


def submit_job(queued: QueuedRun) -> Job:
    """Hand a run over as the site's file says. Result: the core's `Job`."""
    return lambda emit, token: submit(submitted(queued), read_site(os.environ))


def submit_queue_job(path: Path) -> Job:
    """Hand what waits in the queue in a file over as one array of jobs. Result: the entries that were."""
    return lambda emit, token: submit_queue(Queue(path), read_site(os.environ))


def wait_job(folder: Path) -> Job:
    """Wait until the job of a folder has begun its run, and tell its state as `Progress`. Result: the folder."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        wait_for_run(folder, token, lambda sentence: emit(Progress(sentence)))
        token.leave_if_cancelled()
        return folder

    return job
