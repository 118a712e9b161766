"""The journal of a watched folder: a line for each scan that is over, in a table that any program opens. No torch here.

A scan is known again by its name and its content, so that nothing is done twice, whatever a clock or a copy does to a
file's time.
"""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import Scan

DONE, FAILED = "done", "failed"
"""What may become of a scan."""


class Stamp(NamedTuple):
    """A file as the folder lists it: its name, its bytes, and the second in which it was written last."""

    name: str
    bytes: int
    modified: int


@dataclass(frozen=True)
class Line:
    """What became of a scan.

    Parameters
    ----------
    date
        ISO 8601.
    scan, bytes, modified
        Of the file, as `Stamp`.
    content
        `content_of` the scan; empty where it could not be opened.
    outcome
        `DONE` or `FAILED`.
    """

    date: str
    scan: str
    outcome: str
    patterns: int | None = None
    verdict: str = ""
    free_misfit: float | None = None
    resolution_px: float | None = None
    seconds: float | None = None
    folder: str = ""
    remarks: str = ""
    bytes: int = 0
    modified: int = 0
    content: str = ""


_COLUMNS = tuple(field.name for field in fields(Line))


def content_of(scan: Scan) -> str:
    """Return eight digits that tell a scan from another one of the same name."""
    found = zlib.crc32(np.ascontiguousarray(scan.positions).tobytes())
    for row in (0, -1):
        found = zlib.crc32(scan.patterns[row].tobytes(), found)
    return f"{found:08x}"


class Journal:
    """The lines of the scans that are over.

    Parameters
    ----------
    path
        Of the table, which need not exist. What others wrote into it stays; a line that was cut is passed over.

    Raises
    ------
    InputError
        It cannot be read, or is another table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamps: set[Stamp] = set()
        self._contents: set[tuple[str, str]] = set()
        rows = list(csv.reader(io.StringIO(self._text()))) if path.exists() else []
        if rows and tuple(rows[0]) != _COLUMNS:
            raise InputError(
                f"{path} is no journal of watched scans: move it away, or have the results elsewhere",
                by_command="--out DIR",
            )
        for row in rows[1:]:
            known = dict(zip(_COLUMNS, row, strict=False))
            if len(known) == len(_COLUMNS) and known["bytes"].isdecimal() and known["modified"].lstrip("-").isdecimal():
                self.remember(Stamp(known["scan"], int(known["bytes"]), int(known["modified"])), known["content"])

    def remember(self, stamp: Stamp, content: str) -> None:
        """Take a file for over from now on, also under another time."""
        self._stamps.add(stamp)
        if content:
            self._contents.add((stamp.name, content))

    def __contains__(self, stamp: object) -> bool:
        """Tell whether a file is over, by what the folder lists of it."""
        return stamp in self._stamps

    def knows(self, name: str, content: str) -> bool:
        """Tell whether a scan of this name and content is over."""
        return (name, content) in self._contents

    def write(self, line: Line) -> None:
        """Add a line; the table is written whole.

        Raises
        ------
        PtychoError
            It cannot be written.
        """
        text = self._text() if self.path.exists() else _row(_COLUMNS)
        whole = text if text.endswith("\n") else f"{text}\n"
        values = [getattr(line, name) for name in _COLUMNS]
        with atomic_write(self.path) as temporary:
            temporary.write_text(whole + _row(map(_cell, values)), encoding="utf-8", newline="")
        self.remember(Stamp(line.scan, line.bytes, line.modified), line.content)

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"cannot read the journal {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"the journal {self.path} is no text: move it away") from error


def _row(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
