"""Jobs of the mapping dialog: what a file holds, and what a mapping makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping import mapped
from ptycho_core.formats.mapping.layout import Node, fingerprint, layout
from ptycho_core.formats.mapping.proposal import Proposal, propose
from ptycho_core.formats.mapping.saved_mappings import SavedMapping, find_for, save_named
from ptycho_core.formats.mapping.shipped_mappings import likely
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.scan.mapping import Coordinate, Mapping, read_mapping, write_mapping
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.survey import survey_of
from ptycho_gui.kit.threads.worker import Job


@dataclass(frozen=True)
class Examined:
    """What is in a file, and in a second one with positions.

    Parameters
    ----------
    root, positions_root
        Their trees.
    proposal
        What seems to be what.
    fingerprint
        Of the layout.
    saved
        Mappings to begin with: those that were saved for this layout, the newest first, then shipped ones that the
        file is like.
    """

    root: Node
    positions_root: Node | None
    proposal: Proposal
    fingerprint: str
    saved: list[SavedMapping]


@dataclass(frozen=True, eq=False)
class PartialMapping:
    """What a form says so far, of a file: ``mapping`` where it is complete, and as much as there is of its parts."""

    path: Path
    positions_file: Path | None
    mapping: Mapping | None
    patterns: str
    axes: str
    coordinates: tuple[Coordinate, Coordinate] | None


@dataclass(frozen=True, eq=False)
class Preview:
    """What a partial makes of its file.

    Parameters
    ----------
    pattern
        (y, x) counts of one pattern, or what is stored where the scan cannot be read.
    bad
        (y, x) True where a pixel is bad.
    positions
        (n, 2) in object pixels, or in the file's unit where the scan cannot be read.
    pixel_size_m
        Object pixel (y, x), where it is known.
    problem
        Why the scan cannot be read; empty where it can.
    answers
        Whether answers would put that right, for which the scan panel asks.
    summary
        How much there is, where it can.
    remarks
        What looks wrong, and what was converted or left out, where it can.
    """

    pattern: NDArray[Any] | None = None
    bad: NDArray[np.bool_] | None = None
    positions: NDArray[np.float64] | None = None
    pixel_size_m: tuple[float, float] | None = None
    problem: str = ""
    answers: bool = False
    summary: str = ""
    remarks: tuple[str, ...] = ()


def examine(path: Path, positions_file: Path | None, folder: Path) -> Job:
    """Look at what is in a file and, where there is one, in that of the positions. Result: `Examined`.

    Parameters
    ----------
    path, positions_file
        The files.
    folder
        Where mappings are saved.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> Examined:
        with ExitStack() as stack:
            store = stack.enter_context(open_store(path))
            other = stack.enter_context(open_store(positions_file, tables=True)) if positions_file else None
            root = layout(store)
            token.leave_if_cancelled()
            mark, other_root = fingerprint(root), None if other is None else layout(other)
            shipped = [SavedMapping(fit.title, fit.mapping, mark) for fit in likely(store, other)]
            return Examined(root, other_root, propose(store, other), mark, [*find_for(folder, mark), *shipped])

    return job


def preview(partial: PartialMapping) -> Job:
    """Read one pattern and the positions as a partial says. Result: `Preview`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Preview:
        if partial.mapping is None:
            return _parts(partial, "")
        try:
            scan = read_scan(partial.path, positions_file=partial.positions_file, mapping=partial.mapping)
            token.leave_if_cancelled()
            seen = survey_of(scan)
            brightest = int(seen.rows[np.argmax(seen.sums)])
            good = scan.good_pixels(brightest)
            return Preview(
                pattern=scan.patterns[brightest],
                bad=None if good is None else ~good,
                positions=scan.positions,
                pixel_size_m=scan.pixel_size_m,
                summary=f"{len(scan)} patterns of {scan.size} x {scan.size} pixels",
                remarks=(*(problem.message for problem in check_scan(scan, seen)), *scan.history[2:]),
            )
        except InputError as error:
            return dataclasses.replace(_parts(partial, str(error)), answers=bool(error.fixes))

    return job


def save(folder: Path, name: str, mapping: Mapping, mark: str) -> Job:
    """Save a mapping under a name, for files of a layout. Result: a sentence."""

    def job(emit: Callable[[Any], None], token: StopToken) -> str:
        save_named(folder, name, mapping, mark)
        return f"Saved as {name.strip()}. It will be offered for files of the same layout."

    return job


def export(path: Path, mapping: Mapping) -> Job:
    """Write a mapping for the command line. Result: a sentence."""

    def job(emit: Callable[[Any], None], token: StopToken) -> str:
        write_mapping(mapping, path)
        return f"Written to {path}. The command line reads files by it, too."

    return job


def load(path: Path) -> Job:
    """Read a mapping from a JSON file. Result: `Mapping`."""
    return lambda emit, token: read_mapping(path)


def _parts(partial: PartialMapping, problem: str) -> Preview:
    """Return as much as can be shown of a partial that makes no scan."""
    pattern = positions = None
    anyhow = Settings(partial.path, {"missing": "skip", "bad_positions": "drop"})
    with ExitStack() as stack:
        try:
            store = stack.enter_context(open_store(partial.path))
            if partial.patterns:
                source, *_ = mapped.patterns(store, partial.patterns, partial.axes, anyhow, [])
                middle = source.shape[0] // 2
                pattern = np.asarray(source[middle : middle + 1])[0].astype(np.float32)
            if partial.coordinates:
                where = (
                    stack.enter_context(open_store(partial.positions_file, tables=True))
                    if partial.positions_file
                    else store
                )
                y, x = (mapped.coordinate_values(where, of, anyhow) * of.multiplier for of in partial.coordinates)
                positions = np.stack([y, x], axis=1) if len(y) == len(x) else None
        except InputError as error:
            problem = problem or str(error)
    return Preview(pattern=pattern, positions=positions, problem=problem)
