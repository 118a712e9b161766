"""The job that makes the best picture that some minutes allow: one call of the core's `best_picture`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import write_json
from ptycho_core.base.errors import Fix
from ptycho_core.base.events import StopToken
from ptycho_core.runs.record import RunInfo
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress
from ptycho_gui.result.jobs.reconstruct import Reconstructed


@dataclass(frozen=True, eq=False)
class BestPictured:
    """The picture, the runs that were made for it, in order, and what was put right in the scan before."""

    made: Reconstructed
    fits: tuple[RunInfo, ...]
    prepared: tuple[Fix, ...]


def best_picture_job(source: ScanSource, folder: Path, minutes: float, accelerator: str) -> Job:
    """Inspect, prepare, fit, take up what helps, and reconstruct, in ``folder``. Result: `BestPictured`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> BestPictured:
        words = ["ptycho", "now", str(source.file), "--output-dir", str(folder), "--minutes", f"{minutes:g}"]
        words += ["--accelerator", accelerator]
        for path, body in source.needed_files(folder).items():
            write_json(path, body)
        emit(Progress("loading the training software"))
        leave_one_core_to_the_window()
        from ptycho_core.engines.best_picture import best_picture

        best = best_picture(
            source,
            folder,
            minutes=minutes,
            accelerator=accelerator,
            events=emit,
            stop=token,
            command=shlex.join([*words, *source.to_flags(folder)]),
        )
        found, written = best.reconstruction, best.written
        made = Reconstructed(found, best.checkpoint, folder, written.files, written.earlier)
        return BestPictured(made, best.fits, best.prepared)

    return job
