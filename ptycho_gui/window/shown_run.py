"""`ShownRun`: the run that the window shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.events import Status
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.record import RunInfo

IN_ORDER = (Status.FINISHED, Status.STOPPED)
"""How a run ends that leaves a picture."""


@dataclass(frozen=True, eq=False)
class ShownRun:
    """Where a run is, of which scan, its numbers, and its record once that was read."""

    folder: Path
    scan: Path | None
    history: RunHistory
    info: RunInfo | None = None


def shortcomings(info: RunInfo) -> list[str]:
    """Return what an operator has to know of a run that has ended, beside the reason why it did."""
    missing = info.why_no_picture if info.status in IN_ORDER else ""
    return [*([f"there is no picture, as {missing}"] if missing else []), *info.rollbacks]
