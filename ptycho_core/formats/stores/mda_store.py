"""EPICS MDA files, in which the sscan module's saveData writes what a scan's motors and detectors read.

Layout: https://epics-modules.github.io/sscan/MDAFormat.html (versions 1.2 to 1.4). All is XDR, big-endian: a header,
the scan, which for each of its points may hold a scan of lower rank, and the extra PVs, which are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import MOST_PATTERNS, Header, Store, reading
from ptycho_core.scan.scan import ArraySource

SIGNATURES = tuple(struct.pack(">f", version) for version in (1.2, 1.3, 1.4))
_DEEPEST = 4
"""Scans within scans: saveData writes no more."""
_MOST_COLUMNS = 1000
_LONGEST_TEXT = 4096


class MdaStore(Store):
    """What an MDA file recorded, each of it as one value for each point of the innermost scan that moves something.

    ``loop1`` is that scan, ``loop2`` the one around it, and so on. ``loop1/P1`` is what its first positioner reads
    back, ``loop1/D01`` its first detector; values of an outer loop are repeated for each point within. ``units`` and
    ``long_name`` are their attributes. Points that were asked for and never taken are left out.
    """

    container: ClassVar[str] = "mda"

    def keys(self) -> list[str]:  # noqa: D102
        return list(self._columns)

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def header(self, key: str) -> Header:  # noqa: D102
        column = self._columns[self.require(key)]
        return Header((int(column.repeats.sum()),), column.values.dtype)

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        return self.attributes(key).get(name)

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        return dict(self._columns[key].attributes) if key in self._columns else {}

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        return self._read(key)[:count]

    def close(self) -> None:  # noqa: D102
        pass

    def _read(self, key: str) -> NDArray[Any]:
        column = self._columns[self.require(key)]
        return np.repeat(column.values, column.repeats)

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        raise InputError(f"{self.path} holds no patterns")

    @cached_property
    def _columns(self) -> dict[str, _Column]:
        with reading(self.path, "what its scan recorded"), self.path.open("rb") as file:
            loops = _loops(_Xdr(file), self.notes)
        columns: dict[str, _Column] = {}
        repeats = np.ones(sum(scan.taken for scan in loops[0]), np.int64)
        for number, scans in enumerate(loops, 1):
            if number > 1:  # each of its points holds one scan of the loop within
                taken = np.array([scan.taken for scan in loops[number - 2]])
                ends, points = np.cumsum(taken), np.append(0, np.cumsum(repeats))
                repeats = points[ends] - points[ends - taken]
            for place, (name, attributes) in enumerate(scans[0].columns):
                values = np.concatenate([scan.values[place] for scan in scans])
                columns[f"loop{number}/{name}"] = _Column(values, repeats, attributes)
        return columns


@dataclass(frozen=True, eq=False)
class _Column:
    """Values (m,) of one loop, and how many points each is repeated for."""

    values: NDArray[Any]
    repeats: NDArray[np.int64]
    attributes: dict[str, str]


@dataclass(frozen=True, eq=False)
class _Scan:
    """One run through the points of a scan: those that were taken, (taken,) of each column, and the scans within."""

    asked: int
    taken: int
    moves: bool
    columns: list[tuple[str, dict[str, str]]]
    values: list[NDArray[Any]]
    within: tuple[int, ...]


class _Xdr:
    """Reads XDR from a file, and never goes back to what it has passed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        file.seek(0)

    def go_to(self, offset: int) -> None:
        """Go on at a place further on: scans are written in the order in which they are taken."""
        if not self._file.tell() <= offset < self._size:
            raise ValueError(f"a scan is said to be at byte {offset} of {self._size}")
        self._file.seek(offset)

    def take(self, nbytes: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= nbytes <= self._size - self._file.tell():
            raise ValueError(f"it ends at byte {self._size}, {nbytes} bytes too early")
        return self._file.read(nbytes)

    def whole(self, least: int = 0, most: int = 2**31 - 1) -> int:
        """Return a whole number, within limits."""
        number = int.from_bytes(self.take(4), "big", signed=True)
        if not least <= number <= most:
            raise ValueError(f"a number before byte {self._file.tell()} is {number}")
        return number

    def text(self) -> str:
        """Return a counted string: its length, and, if that is not 0, an XDR string."""
        if self.whole(most=_LONGEST_TEXT) == 0:
            return ""
        length = self.whole(most=_LONGEST_TEXT)
        return self.take(-(-length // 4) * 4)[:length].decode("latin-1").strip("\0 ")

    def array(self, count: int, dtype: str) -> NDArray[Any]:
        """Return numbers (count,) in the machine's own order of bytes."""
        stored = np.dtype(dtype)
        return np.frombuffer(self.take(count * stored.itemsize), stored).astype(stored.newbyteorder("="))


def _loops(xdr: _Xdr, notes: list[str]) -> list[list[_Scan]]:
    """Return the runs of each loop, the innermost loop that moves something first."""
    xdr.take(8)  # version, number of the scan
    rank = xdr.whole(1, _DEEPEST)
    xdr.take(4 * rank + 8)  # points of each loop, whether they are the same throughout, where the extra PVs are
    outer_first: list[list[_Scan]] = [[] for _ in range(rank)]
    _read_within(xdr, rank, outer_first)
    if any(sum(scan.asked for scan in scans if scan.moves) > MOST_PATTERNS for scans in outer_first):
        raise ValueError("it has more points than any scan")
    moving = [k for k, scans in enumerate(outer_first) if any(scan.moves for scan in scans)]
    if not moving:
        raise ValueError("no positioner moved")
    loops = outer_first[moving[-1] :: -1]
    _check_alike(loops)
    short = [(scan.taken, scan.asked) for scan in loops[-1] if scan.taken < scan.asked]
    if short:
        notes.append(f"the scan was ended after {short[0][0]} of its {short[0][1]} outer points")
    if cut := sum(scan.taken < scan.asked for scan in loops[0]) if len(loops) > 1 else 0:
        notes.append(f"{cut} of its {len(loops[0])} lines have fewer points than were asked for")
    return loops


def _read_within(xdr: _Xdr, rank: int, outer_first: list[list[_Scan]]) -> None:
    """Read a scan and all scans within it, in the order of the file."""
    scan = _read_scan(xdr, rank)
    outer_first[-rank].append(scan)
    for offset in scan.within:
        xdr.go_to(offset)
        _read_within(xdr, rank - 1, outer_first)


def _read_scan(xdr: _Xdr, rank: int) -> _Scan:
    if xdr.whole(1, _DEEPEST) != rank:
        raise ValueError("a scan is not of the rank that it should have")
    asked, taken = xdr.whole(1, MOST_PATTERNS), xdr.whole()
    taken = min(taken, asked)
    offsets = xdr.array(asked, ">i4")[:taken] if rank > 1 else np.empty(0)
    for _ in ("the scan's name", "when it began"):
        xdr.text()
    n_positioners, n_detectors, n_triggers = (xdr.whole(most=_MOST_COLUMNS) for _ in range(3))
    columns = [*_positioners(xdr, n_positioners), *_detectors(xdr, n_detectors)]
    for _ in range(n_triggers):
        xdr.take(4)  # its number
        xdr.text()
        xdr.take(4)  # its command
    kinds = [">f8"] * n_positioners + [">f4"] * n_detectors
    if rank > 1:  # the row in progress when a scan ended, and those after it, were not written
        gone = np.flatnonzero(offsets <= 0)
        taken = int(gone[0]) if len(gone) else taken
    values = [xdr.array(asked, kind)[:taken] for kind in kinds]
    return _Scan(asked, taken, n_positioners > 0, columns, values, tuple(int(one) for one in offsets[:taken]))


def _positioners(xdr: _Xdr, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    for _ in range(count):
        number = xdr.whole(most=_MOST_COLUMNS)
        name, described, _, unit, back, back_described, back_unit = [xdr.text() for _ in range(7)]
        known = (back_unit or unit, back_described or back) if back else (unit, described or name)
        yield f"P{number + 1}", _attributes(*known)


def _detectors(xdr: _Xdr, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    for _ in range(count):
        number = xdr.whole(most=_MOST_COLUMNS)
        name, described, unit = [xdr.text() for _ in range(3)]
        yield f"D{number + 1:02d}", _attributes(unit, described or name)


def _attributes(unit: str, long_name: str) -> dict[str, str]:
    return {key: value for key, value in (("units", unit), ("long_name", long_name)) if value}


def _check_alike(loops: list[list[_Scan]]) -> None:
    for scans in loops:
        names = [name for name, _ in scans[0].columns]
        if len(set(names)) < len(names) or any([name for name, _ in one.columns] != names for one in scans):
            raise ValueError("its lines do not record the same")
        if not sum(scan.taken for scan in scans):
            raise ValueError("not one point of it was taken")
