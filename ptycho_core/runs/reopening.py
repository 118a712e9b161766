"""The scans of a run, read to begin it or to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.runs.record import RunInfo
from ptycho_core.runs.recorded_scan import is_recorded_file, open_recorded
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource, sources_alike


@dataclass(frozen=True)
class RunScans:
    """On which a run trains: the first scan, further ones, and the one that validates in place of parts of these."""

    first: Scan
    further: tuple[Scan, ...]
    test: Scan | None


def open_alike(source: ScanSource, further: Sequence[Path], opened: Scan | None = None) -> RunScans:
    """Read the scans of a new run: the first one, and further files as that one is read.

    Parameters
    ----------
    source
        How the first one is read.
    further
        Files of the others.
    opened
        The first one, where it is open already.

    Raises
    ------
    InputError
        As `sources_alike` and `open_scan`.
    """
    from ptycho_core.preprocessing import open_scan  # HDF5 and its filters: not for those who only list runs

    first, *others = sources_alike(source, further)
    return RunScans(open_scan(first) if opened is None else opened, tuple(map(open_scan, others)), None)


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
