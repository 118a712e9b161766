"""Jobs that open a scan: what it is at once, and what takes a pass over a large one afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.base.file_state import FileState, changed_since
from ptycho_core.inspection.inspection import Inspection, inspect
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.threads.worker import Job, Progress


def load(source: ScanSource) -> Job:
    """Read, preprocess and look at a scan, of a large one at a sample. Result: `Inspection`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Inspection:
        emit(Progress("reading the file"))
        looking = _telling("looking at the patterns", emit, token)
        scan = open_scan(source.without_steps(), looking)
        for done, step in enumerate(source.steps):
            token.leave_if_cancelled()
            emit(Progress(f"preprocessing: {step.name}", done, len(source.steps)))
            scan = preprocess(scan, (step,))
        token.leave_if_cancelled()
        return inspect(scan, progress=looking)

    return job


def count_all(looked: Inspection) -> Job:
    """Look at all patterns of a scan of which only a sample was looked at. Result: `Inspection`."""
    return lambda emit, token: inspect(looked.scan, True, _telling("counting the patterns", emit, token))


def watch(files: tuple[FileState, ...]) -> Job:
    """Look whether files have changed since they were opened. Result: the files, and `changed_since` of them."""
    return lambda emit, token: (files, changed_since(files))


def _telling(stage: str, emit: Callable[[Any], None], token: StopToken) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        token.leave_if_cancelled()
        emit(Progress(stage, done, total))

    return progress
