"""Rasters whose positions no array holds: lines and places in them, counted from the order of the patterns."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError, UnknownFormatError
from ptycho_core.scan.settings import WHOLE, Settings


def raster_places(
    path: Path, n: int, stated: tuple[int | None, int | None], snake: bool, settings: Settings, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the number of the line, and of the place in it, of each pattern: two arrays (m,), from 0.

    Patterns that were taken on the way back to the next line have NaN for both.

    Parameters
    ----------
    path
        For messages.
    n
        Patterns.
    stated
        Lines, and patterns in a line, as far as they are known. The answer ``columns`` goes before; without either a
        square is assumed.
    snake
        Whether every second line is known to run backwards; the answer ``snake`` goes before.
    settings, notes
        What the operator set, and where what was done is told.

    Raises
    ------
    InputError
        Nothing tells how many patterns a line has; with the answer that does.
    """
    lines, columns = stated
    answer = settings.get("columns")
    if answer is not None:
        lines, columns = None, int(answer)
    elif columns is None and lines is not None and n % lines == 0:
        columns = n // lines
    elif columns is None:
        columns = _square(path, n, settings)
    if columns == 0:
        raise InputError(f"{path}: a line of the raster has one pattern or more: set columns", [_SAY_COLUMNS])
    m = n if lines is None else min(n, lines * columns)
    if lines is not None and n < lines * columns:
        notes.append(f"the raster of {lines} x {columns} lacks its last {lines * columns - n} patterns")
    used = columns - _flyback(path, columns, settings, notes)
    line, place = (axis.astype(np.float64) for axis in divmod(np.arange(m), columns))
    on_the_way_back = place >= used
    if snake and settings.get("snake") is None:
        backwards = True
    else:
        reason = "nothing says that every second line of the raster runs backwards"
        backwards = settings.assume("snake", "no", reason) == "yes"
    if backwards:
        place = np.where(line % 2, used - 1 - place, place)
    line[on_the_way_back] = place[on_the_way_back] = np.nan
    return line, place


def step_m(path: Path, stated: float | None, settings: Settings) -> float:
    """Return how far apart neighbours of a raster are, as the operator says, or else the file.

    Raises
    ------
    UnknownFormatError
        Neither does; with the answer that does.
    """
    step = settings.number("step_m") or stated
    if step is None:
        raise UnknownFormatError(
            f"{path}: nothing is known to hold its positions: name their file, say by a mapping which arrays they are, "
            "or of a raster how far apart its patterns are",
            [Fix("say the step of the raster", "step_m", None)],
            by_command="--positions FILE, --mapping FILE or --set step_m=METRES",
        )
    return step


def _flyback(path: Path, columns: int, settings: Settings, notes: list[str]) -> int:
    reason = "nothing says that patterns were taken on the way back from the end of a line"
    flyback = int(settings.assume("flyback", "0", reason, choices=WHOLE))
    if flyback >= columns:
        raise InputError(f"{path}: of {columns} patterns in a line, {flyback} on the way back leave none: set flyback")
    if flyback:
        notes.append(f"took the last {flyback} of the {columns} patterns in a line for taken on the way back")
    return flyback


def _square(path: Path, n: int, settings: Settings) -> int:
    side = math.isqrt(n)
    if side * side != n:
        raise InputError(
            f"{path}: a raster by its step needs 'columns', the patterns in a line: set columns", [_SAY_COLUMNS]
        )
    reason = f"nothing says how many patterns a line of the raster has: took its {n} for a square"
    return int(settings.assume("columns", str(side), reason, choices=WHOLE))


_SAY_COLUMNS = Fix("say how many patterns a line has", "columns", None)
