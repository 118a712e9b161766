"""The scans of a run, read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.runs.record import RunInfo
from ptycho_core.runs.recorded_scan import is_recorded_file, open_recorded
from ptycho_core.scan.scan import Scan


@dataclass(frozen=True)
class RunScans:
    """On which a run trains: the first scan, further ones, and the one that validates in place of parts of these."""

    first: Scan
    further: tuple[Scan, ...]
    test: Scan | None


def open_scans(info: RunInfo, moved: Sequence[Path] = (), moved_test: Path | None = None) -> RunScans:
    """Read and preprocess the scans of a run as before.

    Parameters
    ----------
    info
        Of the run.
    moved
        Files of scans that lie elsewhere now, in any order.
    moved_test
        The same of the scan that validates.

    Raises
    ------
    InputError
        As `open_recorded`; or a file is of no scan of the run.
    """
    recorded = info.recorded_scans
    places: list[Path | None] = [None] * len(recorded)
    for path in moved:
        if len(recorded) == 1 == len(moved):  # which says best what is wrong with it
            places[0] = path
            continue
        found = [place for place, one in enumerate(recorded) if one.file and is_recorded_file(path, one.file)]
        if not found:
            raise InputError(f"{path} is none of the {len(recorded)} files that the run was trained on")
        places[found[0]] = path
    first, *further = (open_recorded(one, path) for one, path in zip(recorded, places, strict=True))
    return RunScans(first, tuple(further), open_recorded(info.test_scan, moved_test) if info.test_scan else None)
