"""The job that looks for models which suit a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.runs.models import Suitability, by_suitability, find_models
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.worker import Job


def find_suitable_job(folder: Path, scan: Scan) -> Job:
    """Find the models in a folder, those first that suit a scan best. Result: list of `Suitability`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Suitability]:
        return by_suitability(find_models(folder), scan)

    return job
