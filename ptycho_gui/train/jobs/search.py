"""The job that searches settings: one call of the core's `tune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.runs.recorded_scan import record_scan
from ptycho_core.runs.trials import Outcome, folder_for
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress


def tune_job(scan: Scan, base: Path, settings: dict[str, Any], varied: dict[str, list[Any]], patterns: int) -> Job:
    """Try each combination of settings that is not done yet, in ``base`` or a folder beside it where another search is.

    Tells each `Outcome`. Result: all of them.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Outcome]:
        emit(Progress("loading the training software"))
        leave_one_core_to_the_window()
        from ptycho_core.engines.tune import part_of, tune

        folder = folder_for(base, settings, varied, record_scan(part_of(scan, patterns)))
        return tune(scan, folder, settings, varied, patterns=patterns, events=emit, stop=token, told=emit)

    return job
