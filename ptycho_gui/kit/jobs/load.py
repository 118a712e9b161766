"""Jobs that open a scan: what it is at once, and what takes a pass over a large one afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptycho_core import preprocessing
from ptycho_core.base.events import StopToken
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import Inspection, look_at
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Step
from ptycho_core.scan.steps_json import steps_from_dict
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True)
class Source:
    """Where a scan is, how it is read, and what is done to it then: the arguments of `read_scan`, and steps."""

    path: Path
    positions_file: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    steps: tuple[Step, ...] = ()
    mapping: Mapping | None = None


def read_source(source: Source) -> Scan:
    """Read and preprocess a scan, in a worker's thread."""
    return preprocessing.apply(_read(source), source.steps)


def _read(source: Source) -> Scan:
    return read_scan(
        source.path,
        positions_file=source.positions_file,
        settings=source.settings,
        format=source.format,
        mapping=source.mapping,
    )


def recorded_source(recorded: dict[str, Any]) -> Source:
    """Return where a scan is of which `runs.scan_info` tells.

    Raises
    ------
    InputError
        The record names steps that this program does not know.
    """
    positions, mapping = recorded["positions"], recorded.get("mapping")
    return Source(
        Path(recorded["path"]),
        Path(positions["path"]) if positions else None,
        dict(recorded["settings"]),
        recorded["format"],
        steps_from_dict(recorded["preprocessing"], "the run's record"),
        mapping and Mapping.from_dict(mapping, "the run's record"),
    )


def load(source: Source) -> Job:
    """Read, preprocess and look at a scan, of a large one at a sample. Result: `Inspection`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Inspection:
        emit(Progress("reading the file"))
        scan = _read(source)
        for done, step in enumerate(source.steps):
            token.leave_if_cancelled()
            emit(Progress(f"preprocessing: {step.name}", done, len(source.steps)))
            scan = preprocessing.apply(scan, (step,))
        token.leave_if_cancelled()
        return look_at(scan, progress=_telling("looking at the patterns", emit, token))

    return job


def count_all(looked: Inspection) -> Job:
    """Look at all patterns of a scan of which only a sample was looked at. Result: `Inspection`."""
    return lambda emit, token: look_at(looked.scan, True, _telling("counting the patterns", emit, token))


def _telling(stage: str, emit: Callable[[Any], None], token: StopToken) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        token.leave_if_cancelled()
        emit(Progress(stage, done, total))

    return progress
