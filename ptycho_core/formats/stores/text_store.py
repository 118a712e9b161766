"""Tables of text as a `Store`, as people and programs write them: CSV and its kin, in whatever dialect."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.stores.store import Header, Store, reading
from ptycho_core.scan.scan import ArraySource
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M

_LARGEST_FILE = 2**28
_DIALECTS = tuple((cut, decimal) for decimal in ".," for cut in ("\t", ";", "|", ",", None) if cut != decimal)
"""What may stand between cells (None: spaces) and in numbers, tried in this order; of equals the first is taken."""
_COMMENTS = ("#", "%", "//", "!")
_NOTHING = ("", "-", "--", "nan", "na", "n/a", "null", "none")
"""Cells without a number, in small letters."""
_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")
"""As FORTRAN writes it."""
_JUDGED_LINES, _JUDGED_LENGTH = 200, 2000
_TOLD, _TOLD_LENGTH = 3, 30
_FEW = 5
"""Rows of numbers that may be titles, above a row without any."""
_SKIP = Fix("skip more lines at its beginning", "skip_lines", None)


class TextStore(Store):
    """A table; each column is an array, named by the row above the numbers where there is one, else from 0 on.

    A number is good for a named column as well. What was passed over, and in which dialect the table is, stands in
    ``notes``. A row of units below the names becomes the columns' attribute ``units``.
    """

    container = "text"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.skip_lines = 0
        """Lines at the beginning that are not looked at; to be set before anything is read."""

    @cached_property
    def _table(self) -> _Table:
        table = _read_table(self.path, self.skip_lines)
        self.notes.extend(table.notes)
        return table

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        columns = zip(self._table.names, zip(*self._table.rows, strict=True), strict=True)
        return {name: _as_numbers(cells, self._table.decimal) for name, cells in columns}

    def keys(self) -> list[str]:  # noqa: D102
        return list(self._columns)

    def __contains__(self, key: object) -> bool:
        return str(key) in self._columns or (str(key).isdecimal() and int(str(key)) < len(self._columns))

    def header(self, key: str) -> Header:  # noqa: D102
        return Header(self._read(key).shape, self._read(key).dtype)

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        return self.attributes(key).get(name)

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        if not key or not self._table.units or key not in self:
            return {}
        place = self._table.names.index(key) if key in self._table.names else int(key)
        return {"units": self._table.units[place]} if self._table.units[place] else {}

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        return self._read(key)[:count]

    def close(self) -> None:  # noqa: D102
        pass

    def _read(self, key: str) -> NDArray[Any]:
        name = self.require(key)
        return self._columns[name] if name in self._columns else list(self._columns.values())[int(name)]

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        raise InputError(f"{self.path} is text and holds no patterns")


@dataclass(frozen=True)
class _Table:
    """Cells by rows, and what is known of the columns."""

    names: list[str]
    units: list[str]
    rows: list[list[str]]
    decimal: str
    notes: list[str]


def is_text(start: bytes) -> bool:
    """Tell whether the first bytes of a file may be those of a text."""
    return start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" not in start or _is_utf16(start)


def _is_utf16(start: bytes) -> bool:
    """Tell whether every second byte is zero, as in UTF-16 without a mark."""
    even, odd = start[::2], start[1::2]
    return len(start) > 8 and (even.count(0), odd.count(0)) in ((0, len(odd)), (len(even), 0))


def _decoded(data: bytes, notes: list[str]) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        notes.append("the table is in UTF-16")
        return data.decode("utf-16", errors="replace")
    if b"\0" in data and _is_utf16(data[:2048]):
        notes.append("the table is in UTF-16")
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_table(path: Path, skip_lines: int) -> _Table:
    notes: list[str] = []
    with reading(path, "the table"):
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path} is larger than any table of positions ({_LARGEST_FILE >> 20} MiB)")
        lines = _decoded(path.read_bytes(), notes).splitlines()
    if skip_lines:
        notes.append(f"skipped the first {skip_lines} lines of the table, as set")
    remarks, table = _without_comments(lines[skip_lines:])
    if not table:
        raise InputError(f"{path} holds no table: nothing but comments and empty lines")
    delimiter, decimal, width = _dialect(table)
    if decimal == ",":
        notes.append("the numbers of the table have decimal commas")
    with reading(path, "the table"):
        rows = [_cells(line, delimiter) for line in table]
    first = _first_of_numbers(rows, width, decimal)
    if first is None:
        raise InputError(f"{path} holds names of columns but no row of numbers", [_SKIP])
    above, rows = rows[:first], _without_footer(rows[first:], width, decimal, notes)
    for place, row in enumerate(rows):
        is_position = any(_is_number(cell, decimal) for cell in row) or not any(row)
        if is_position and len(row) != width:
            raise InputError(
                f"{path}: row {place + 1} of the table has {len(row)} cells and others {width}; set skip_lines if the "
                "table begins further down",
                [_SKIP],
            )
        if is_position:
            continue
        if place < _FEW and len(rows) > 2 * _FEW:
            above_it = next(k for k, line in enumerate(lines) if k >= skip_lines and table[first + place] in line)
            raise InputError(
                f"{path}: row {place + 1} of the table holds no number ({_told([row])}); set skip_lines={above_it} if "
                "the table begins there",
                [Fix(f"skip {above_it} lines at its beginning", "skip_lines", str(above_it))],
            )
        notes.append(f"took row {place + 1} of the table, which holds no number, for no position: {_told([row])}")
        rows[place] = [""] * width
    names, units = _titles(above, rows, remarks, width, decimal, notes)
    if again := sorted({name for name in names if names.count(name) > 1}):
        notes.append(f"several columns of the table are called {', '.join(again)}: they are known by their numbers")
        names = [str(place) if name in again else name for place, name in enumerate(names)]
    return _Table(names, units, rows, decimal, notes)


def _without_comments(lines: list[str]) -> tuple[list[str], list[str]]:
    """Return the comments before the table, and the lines of the table."""
    remarks: list[str] = []
    table: list[str] = []
    for line in lines:
        text = line.strip()
        sign = next((sign for sign in _COMMENTS if text.startswith(sign)), None)
        if sign is not None:
            if not table:
                remarks.append(text.removeprefix(sign).strip())
        elif values := line.partition("#")[0].strip(" \r\n" if "\t" in line else None):
            table.append(values)
    return remarks, table


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return [cell.strip("\"'") for cell in line.split()]
    return [cell.strip().strip("\"'").strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _dialect(table: list[str]) -> tuple[str | None, str, int]:
    """Return what stands between the cells and in the numbers, and how many cells a row has: as most numbers come of.

    A line of numbers is one of the usual width.
    """
    judged = [line[:_JUDGED_LENGTH] for line in table[-_JUDGED_LINES:]]
    best: tuple[bool, float] = (False, 0.0)
    found: tuple[str | None, str, int] = (None, ".", len(table[-1].split()))
    for delimiter, decimal in _DIALECTS:
        rows = [_cells(line, delimiter) for line in judged]
        width = Counter(len(row) for row in rows).most_common(1)[0][0]
        usual = [row for row in rows if len(row) == width]
        part = sum(_is_number(cell, decimal) for row in usual for cell in row) / (width * len(rows))
        score = (width > 1, round(part, 2))  # a single column is no table, if it can be read as one
        if part > 0 and score > best:
            best, found = score, (delimiter, decimal, width)
    return found


def _first_of_numbers(rows: list[list[str]], width: int, decimal: str) -> int | None:
    """Return the first row of as many numbers as most have, empty cells included."""
    numbers = [sum(_is_number(cell, decimal) for cell in row) if len(row) == width else 0 for row in rows]
    usual = float(np.median([count for count in numbers if count] or [0]))
    filled = [count and count + row.count("") for count, row in zip(numbers, rows, strict=True)]
    return next((place for place, count in enumerate(filled) if count >= usual), None) if usual else None


def _without_footer(rows: list[list[str]], width: int, decimal: str, notes: list[str]) -> list[list[str]]:
    end = len(rows)
    while end > 1 and not any(_is_number(cell, decimal) for cell in rows[end - 1]):
        end -= 1
    if end < len(rows):
        notes.append(f"skipped below the numbers of the table: {_told(rows[end:])}")
    return rows[:end]


def _titles(
    above: list[list[str]], rows: list[list[str]], remarks: list[str], width: int, decimal: str, notes: list[str]
) -> tuple[list[str], list[str]]:
    """Return names and units of the columns from what stands above the numbers, and take a row of numbers for names
    off ``rows`` where it counts the columns."""
    units: list[str] = []
    if above and len(above[-1]) == width and len(above) > 1 and _are_units(above[-1]):
        units = [cell.strip("()[] ") for cell in above.pop()]
        notes.append(f"took a row of the table for units: {', '.join(units)}")
    names = [str(place) for place in range(width)]
    if above and len(above[-1]) == width:
        names = [cell or str(place) for place, cell in enumerate(above.pop())]
    elif _counts_columns(rows, decimal):
        notes.append(f"took the first row of the table for numbers of columns: {', '.join(rows.pop(0))}")
    else:
        for remark in reversed(remarks):  # numpy.savetxt and SPEC put the names into a comment
            words = re.split(r"\t|\s{2,}|[,;|]", remark.removeprefix("L ").strip())
            words = words if len(words) == width else re.split(r"[\s,;|]+", remark.removeprefix("L ").strip())
            if len(words) == width and not any(_is_number(word, decimal) for word in words):
                names = [word.strip() for word in words]
                break
    if above:
        notes.append(f"skipped {len(above)} lines above the table: {_told(above)}")
    return names, units


def _are_units(cells: list[str]) -> bool:
    known = {*LENGTHS_M, *ENERGIES_EV, "px", "pixel", "pixels", "s", "sec", "ms", "counts", "a.u.", "deg", "1", ""}
    return any(cells) and all(cell.strip("()[] ").lower() in known for cell in cells)


def _counts_columns(rows: list[list[str]], decimal: str) -> bool:
    """Tell whether the first row is 0, 1, 2, ... where those below are no whole numbers, as pandas writes it."""
    first, others = [cell for cell in rows[0] if cell], rows[1:_JUDGED_LINES]
    counted = len(first) > 1 and first == [str(k) for k in range(len(first))] and len(rows[0]) - len(first) <= 1
    cells = [cell for row in others for cell in row]
    return counted and sum(decimal in cell for cell in cells) >= len(cells) / 2


def _told(rows: list[list[str]]) -> str:
    texts = [" ".join(row)[:_TOLD_LENGTH] for row in rows[:_TOLD]]
    return "; ".join(f"'{text}'" for text in texts) + ("; ..." if len(rows) > _TOLD else "")


def _as_numbers(cells: tuple[str, ...], decimal: str) -> NDArray[Any]:
    """Return a column as numbers, NaN where a cell has none; as text where one of them is something else."""
    try:
        return np.array([_plain(cell, decimal) for cell in cells]).astype(np.float64)
    except ValueError:
        return np.array(cells)


def _plain(cell: str, decimal: str) -> str:
    if cell.lower() in _NOTHING:
        return "nan"
    plain = _EXPONENT.sub("e", cell)
    return plain if decimal == "." else plain.replace(",", ".")


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(_plain(cell, decimal))
    except ValueError:
        return False
    return bool(cell) and not (decimal == "," and "." in cell)
