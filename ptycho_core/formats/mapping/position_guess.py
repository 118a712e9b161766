"""Guesses which arrays of a file are the positions: by what their values do, their shapes, units, names and group."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats import units
from ptycho_core.formats.stores.store import MOST_PATTERNS, Header, Store, drop_leading
from ptycho_core.scan.units import LENGTHS_M

_WORDS = ("pos", "motor", "stage", "scan", "coord", "transl", "sample", "piezo", "enc", "point", "shift", "sam", "act")
_OTHERS = ("pixel", "size", "cent", "index", "shape", "gap")
_NO_PLACES = (
    *("time", "epoch", "sec", "seconds", "elapsed", "dt", "dwell", "exposure", "seq", "count", "ct", "roi", "sum"),
    *("max", "current", "energy", "temperature", "ring", "diode", "monitor", "ipm"),
)
"""What is in the names of arrays that are no positions, unless their unit is one of length."""
_AXES = (
    *(("x", "y"), ("horizontal", "vertical"), ("hor", "ver"), ("fast", "slow"), ("column", "row"), ("col", "row")),
    *(("y", "z"), ("x", "z")),
)
"""What the names of x and of y differ in; stages whose z is vertical come last."""
_COLUMN_NAMES = ("columns", "column_names", "names", "fields", "labels")
_MOST_COLUMNS, _MOST_JUDGED, _MOST_VALUES = 12, 14, 3000
_SAME_COORDINATE = 0.98
"""Correlation of two arrays from which on they are one coordinate, recorded twice."""
_FASTER = 1.3
_STRAY_SPREADS = 20.0
_LEAST_PART, _MOST_TIMES = 0.5, 2.0
"""How many positions there may be where there are not as many as patterns."""

Place = tuple[str, int | None]
"""A key, and the column of what it holds."""


@dataclass(frozen=True)
class Wanted:
    """What positions are looked for: of ``n`` patterns at ``key``, in a ``raster`` of lines or none.

    ``separate``: they are in a file of their own, where there may be more or fewer of them.
    """

    key: str
    n: int
    raster: tuple[int, ...]
    separate: bool


@dataclass(frozen=True)
class Pair:
    """A candidate for the positions. ``named``: their names say which is y and which is x."""

    y: Place
    x: Place
    score: float
    named: bool


@dataclass(frozen=True, eq=False)
class _Coordinate:
    place: Place
    names: tuple[str, str]
    """What it is called in the file, and its long name."""
    values: NDArray[np.float64]
    score: float


def pairs(store: Store, headers: dict[str, Header], wanted: Wanted) -> list[Pair]:
    """Return what could be the positions, the likeliest first.

    Parameters
    ----------
    store
        The file of the positions.
    headers
        Of its arrays of numbers that belong to the patterns.
    wanted
        What is looked for.
    """
    found = sorted(_coordinates(store, headers, wanted), key=lambda one: -round(one.score, 1))[:_MOST_JUDGED]
    pairs = [pair for a, b in itertools.combinations(found, 2) if (pair := _pair(a, b, wanted)) is not None]
    return sorted(pairs, key=lambda pair: -round(pair.score, 1))  # of nearly equal ones the first in the file


def lists(headers: dict[str, Header], n: int) -> list[str]:
    """Return the arrays that have a value for each of n patterns, for somebody to choose from."""
    return [
        key for key, header in headers.items() if n in header.shape and math.prod(header.shape) <= _MOST_COLUMNS * n
    ]


def _coordinates(store: Store, headers: dict[str, Header], wanted: Wanted) -> Iterator[_Coordinate]:
    for key, header in headers.items():
        if header.dtype.kind not in "iufcVSUO" or not 1 < math.prod(header.shape) <= _MOST_COLUMNS * MOST_PATTERNS:
            continue
        columns = _columns(header.shape, wanted)
        in_parts = header.dtype.kind in "cV"
        if columns is None or (in_parts and (columns or (header.dtype.kind == "V" and not header.dtype.names))):
            continue
        try:
            stored = _parts(store, key) if in_parts else store.numbers(key)
        except InputError:
            continue
        columns = stored.shape[-1] if in_parts else columns
        axis = -1 if columns and stored.shape[-1] == columns else 0
        titles = _names_of_parts(header.dtype) if in_parts else _titles(store, key, columns)
        for column in range(columns) if columns else (None,):
            values = stored.ravel() if column is None else np.take(stored, column, axis=axis).ravel()
            score = _likeness(store, key, titles[column] if column is not None else "", values, wanted)
            if score is not None:
                long_name = units.text(store.attribute(key, "long_name"))
                names = (key, long_name) if column is None else (f"{key}/{titles[column]}", "")
                yield _Coordinate((key, column), names, values, score)


def _parts(store: Store, key: str) -> NDArray[np.float64]:
    """Return real and imaginary parts, or the fields of records, as columns (m, c): NaN for a field of no numbers."""
    if store.header(key).dtype.names is None:
        values = store.numbers(key, np.complex128).ravel()
        return np.stack([values.real, values.imag], axis=-1)
    records = store.read(key).ravel()
    fields = [records[name] for name in records.dtype.names or ()]
    none = np.full(len(records), np.nan)
    return np.stack([one.astype(np.float64) if one.dtype.kind in "iuf" else none for one in fields], axis=-1)


def _names_of_parts(dtype: np.dtype[Any]) -> list[str]:
    return list(dtype.names or ("real", "imag"))


def _columns(shape: tuple[int, ...], wanted: Wanted) -> int | None:
    """Return of how many coordinates an array holds the values: 0 for one that is not in columns; None for others."""
    count, shape = math.prod(shape), drop_leading(shape, 1)
    if len(shape) == 2 and 1 < min(shape) <= _MOST_COLUMNS and max(shape) == wanted.n != count:
        return min(shape)
    if count == wanted.n:
        return 0
    if max(shape) != count:
        return None
    in_raster = len(wanted.raster) == 2 and count in wanted.raster
    nearly = _LEAST_PART * wanted.n <= count <= _MOST_TIMES * wanted.n
    is_axis = 1 < count < wanted.n and len(wanted.raster) != 2
    return 0 if wanted.separate or in_raster or nearly or is_axis else None


def _titles(store: Store, key: str, columns: int) -> list[str]:
    for attribute in _COLUMN_NAMES:
        value = store.attribute(key, attribute)
        if value is not None and np.size(value) == columns:
            return [units.text(one) for one in np.ravel(value)]
    if columns in (2, 3):
        x_first = columns == 3 or "xy" in key.lower()
        return ["x", "y", "z"][:columns] if x_first else ["y", "x"]
    return [str(column) for column in range(columns)]


def _likeness(store: Store, key: str, title: str, values: NDArray[np.float64], wanted: Wanted) -> float | None:
    """Return how much an array is like a coordinate; None where it cannot be one."""
    known = values[np.isfinite(values)]
    if len(known) < _LEAST_PART * len(values) or len(known) < 2 or np.ptp(known) == 0:
        return None
    steps = np.diff(known)
    if (_counts(steps) and len(known) >= wanted.n and len(wanted.raster) != 2) or numbers_patterns(values, wanted.n):
        return None
    last = f"{re.split('[/@]', key)[-1]} {title}".lower()
    score = 2.0 * any(word in last for word in _WORDS) + any(word in key.lower() for word in _WORDS)
    in_lengths = (units.name(store, key) or "") in LENGTHS_M
    if _has_one(last, _NO_PLACES) and not (in_lengths or any(word in last for word in _WORDS)):
        return None
    score -= 3.0 * _has_one(last, (*_OTHERS, *_NO_PLACES))
    score += 1.5 * in_lengths
    score += 1.0 - min(1.0, float(np.median(abs(steps))) / (float(known.std()) or 1.0))
    score += 1.0 * (values.dtype.kind == "f") + 2.0 * (len(values) == wanted.n)
    return score + 0.5 * _common(key, wanted.key)


def _has_one(name: str, words: tuple[str, ...]) -> bool:
    """Tell whether one of the words begins or ends a word of a name."""
    return any(re.search(rf"(^|[^a-z]){word}|{word}([^a-z]|$)", name) for word in words)


def numbers_patterns(values: NDArray[np.float64], n: int) -> bool:
    """Tell whether values number about n patterns, with several rows for each, or some missing."""
    if len(values) == n or not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    different = np.unique(values)
    return bool((np.diff(values) >= 0).all() and 0.9 * n <= len(different) <= 1.1 * n and np.ptp(different) < 2 * n)


def _counts(steps: NDArray[np.float64]) -> bool:
    """Tell whether values grow, or fall, by nearly the same all the time, as counters and clocks do."""
    one_way = (steps > 0).all() or (steps < 0).all()
    return bool(one_way and steps.std() < 0.5 * abs(steps.mean()))


def _common(key: str, other: str) -> int:
    parts = zip(key.split("/")[:-1], other.split("/")[:-1], strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], parts))


def _pair(a: _Coordinate, b: _Coordinate, wanted: Wanted) -> Pair | None:
    """Return two arrays as a pair, if they go over an area together."""
    n_a, n_b = len(a.values), len(b.values)
    in_raster = len(wanted.raster) == 2 and {n_a, n_b} <= {wanted.n, *wanted.raster} and {n_a, n_b} != {wanted.n}
    missing = n_a * n_b - wanted.n
    of_lines = max(n_a, n_b) < wanted.n and 0 <= missing < max(n_a, n_b) and _is_axis(a) and _is_axis(b)
    if not (in_raster or of_lines):
        enough = wanted.separate or n_a >= _LEAST_PART * wanted.n
        if n_a != n_b or not enough or not _over_an_area(a.values, b.values):
            return None
    y, x, named = _axes(a, b)
    score = a.score + b.score + 4.0 * named
    score += 2.0 * (a.place[0] == b.place[0]) + (a.place[0].rpartition("/")[0] == b.place[0].rpartition("/")[0])
    return Pair(y.place, x.place, score, named)


def _is_axis(one: _Coordinate) -> bool:
    return _counts(np.diff(one.values[np.isfinite(one.values)]))


def _over_an_area(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    known = usual_values(a) & usual_values(b)
    step = max(1, np.count_nonzero(known) // _MOST_VALUES)
    a, b = a[known][::step], b[known][::step]
    if len(a) < 3 or not (np.ptp(a) and np.ptp(b)):
        return False
    correlation = np.corrcoef(a, b)[0, 1]
    return bool(abs(correlation) < _SAME_COORDINATE)


def usual_values(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values are numbers near most others: those of an aborted scan are zeros, far away."""
    known: NDArray[np.bool_] = np.isfinite(values)
    middle = np.median(values[known]) if known.any() else 0.0
    spread = np.median(abs(values[known] - middle)) if known.any() else 0.0
    near = known & (abs(values - middle) <= _STRAY_SPREADS * spread)
    return near if spread and near.sum() >= known.sum() / 2 else known


def _axes(a: _Coordinate, b: _Coordinate) -> tuple[_Coordinate, _Coordinate, bool]:
    """Return which of two is y and which is x, and whether their names say it.

    Else x is that which changes faster, as along the lines of a raster, or the first in the file.
    """
    for x_word, y_word in _AXES:
        for x, y in ((a, b), (b, a)):
            if any(_exchanged(*names, x_word, y_word) for names in zip(x.names, y.names, strict=True)):
                return y, x, True
    paces = [_pace(one.values) for one in (a, b)]
    if max(paces) > _FASTER * min(paces):
        return (b, a, False) if paces[0] > paces[1] else (a, b, False)
    first, second = sorted((a, b), key=lambda one: (one.place[0], one.place[1] or 0))
    return second, first, False


def _pace(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(abs(np.diff(known)).mean() / (known.std() or 1.0))


def _exchanged(name: str, other: str, old: str, new: str) -> bool:
    """Tell whether a name becomes the other when one word in it, wherever it stands, is exchanged for another."""
    name, other = name.lower(), other.lower()
    places = (match.start() for match in re.finditer(re.escape(old), name))
    return any(name[:at] + new + name[at + len(old) :] == other for at in places)
