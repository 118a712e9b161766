"""Tables of text as a `Store`: CSV and its kin, with or without a row of names, comments after ``#``."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Header, Store, reading
from ptycho_core.scan.scan import ArraySource

_LARGEST_FILE = 2**28
_DELIMITERS = ",;\t|"
_SNIFFED_LINES, _SNIFFED_LENGTH = 20, 200


class TextStore(Store):
    """A table; each column is an array, named by the first row where that is not numbers, else by its number from 0.

    A number is good for a named column as well.
    """

    container = "text"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._columns = {name: _as_numbers(cells) for name, cells in _columns(path).items()}

    def keys(self) -> list[str]:  # noqa: D102
        return list(self._columns)

    def __contains__(self, key: object) -> bool:
        return str(key) in self._columns or (str(key).isdecimal() and int(str(key)) < len(self._columns))

    def header(self, key: str) -> Header:  # noqa: D102
        return Header(self._read(key).shape, self._read(key).dtype)

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        return None

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        return {}

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        return self._read(key)[:count]

    def close(self) -> None:  # noqa: D102
        pass

    def _read(self, key: str) -> NDArray[Any]:
        name = self.require(key)
        return self._columns[name] if name in self._columns else list(self._columns.values())[int(name)]

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        raise InputError(f"{self.path} is text and holds no patterns")


def _columns(path: Path) -> dict[str, tuple[str, ...]]:
    rows, remark = _rows(path)
    width = len(rows[0])
    if not any(map(_is_number, rows[0])):
        names = rows.pop(0)
    else:
        titles = re.split(r"[\s,;|]+", remark)  # numpy.savetxt puts the names into a comment
        names = titles if len(titles) == width else [str(place) for place in range(width)]
    if not rows:
        raise InputError(f"{path} holds names of columns but no row of numbers")
    for place, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{path}: row {place + 1} of the table has {len(row)} cells and others {width}")
    if len(set(names)) < width:
        raise InputError(f"{path}: two columns have the same name, among {', '.join(names)}")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _rows(path: Path) -> tuple[list[list[str]], str]:
    """Return the cells of each row that is not a comment, and the last comment before them."""
    with reading(path, "the table"):
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path} is larger than any table of positions ({_LARGEST_FILE >> 20} MiB)")
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    remark = ""
    table: list[str] = []
    for line in lines:
        values, _, comment = line.partition("#")
        if values.strip():
            table.append(values.strip())
        elif not table:
            remark = comment.strip() or remark
    if not table:
        raise InputError(f"{path} holds no table: nothing but comments and empty lines")
    delimiter = _delimiter(table)
    if delimiter is None:
        return [line.split() for line in table], remark
    with reading(path, "the table"):
        return [[cell.strip() for cell in row] for row in csv.reader(table, delimiter=delimiter)], remark


def _delimiter(table: list[str]) -> str | None:
    """Return what stands between cells; None for spaces or nothing."""
    sample = "\n".join(line[:_SNIFFED_LENGTH] for line in table[:_SNIFFED_LINES])
    try:
        return csv.Sniffer().sniff(sample, _DELIMITERS).delimiter
    except csv.Error:  # it wants the same number of cells in each row
        return next((delimiter for delimiter in _DELIMITERS if delimiter in table[0]), None)


def _as_numbers(cells: tuple[str, ...]) -> NDArray[Any]:
    """Return a column as numbers, NaN where a cell is empty; as text where one of them is neither."""
    try:
        return np.array([cell or "nan" for cell in cells]).astype(np.float64)
    except ValueError:
        return np.array(cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
