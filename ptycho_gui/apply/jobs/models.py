"""The job that looks for models which suit a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.runs.models import Fit, find_models, fitting
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.worker import Job


def find_fitting_job(folder: Path, scan: Scan) -> Job:
    """Find the models in a folder, those first that suit a scan best. Result: list of `Fit`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Fit]:
        return fitting(find_models(folder), scan)

    return job
