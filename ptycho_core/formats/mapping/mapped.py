"""Reads any HDF5 or NPZ file as a `Mapping` says, with positions in the same file or in one of their own."""

from __future__ import annotations

import fnmatch
import math

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats import fields, pairing
from ptycho_core.formats.chunks import check_count, file_series, natural, numbered
from ptycho_core.formats.conversions import exchange_axes
from ptycho_core.formats.mapping.quantities import readings, told_geometry
from ptycho_core.formats.masks import IGNORE, good_pixels, is_nonzero
from ptycho_core.formats.raster import raster_places, step_m
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import MOST_PATTERNS, Store, UnevenError, drop_leading, list_keys, say_dead_links
from ptycho_core.scan.mapping import (
    COLUMN,
    LINE,
    OPEN,
    QUANTITIES,
    Coordinate,
    Mapping,
    Mask,
)
from ptycho_core.scan.scan import ArraySource, GoodPixels, where_good
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import UNITS

_MOST_NUMBERS = 3 * MOST_PATTERNS
_MOSTLY = 0.8
_GUESSED_UNIT = "guessed when the mapping was proposed, as the file does not say it"
_GUESSED_AXES = "which is y and which is x was guessed when the mapping was proposed"
_ANSWERED_BY = {"positions": "orientation", "position_unit": "position_unit", "energy": "energy_ev"}
"""The answers that confirm what was guessed; of the others they are lengths, called so in metres."""
_SHARED_AXES = "positions and patterns are taken to share their axes"

Raster = tuple[int, int]
"""Lines, and patterns in a line."""


def read(store: Store, positions: Store | None, settings: Settings, mapping: Mapping) -> Stored:
    """Read what the mapping names.

    Raises
    ------
    InputError
        As every reader; and where the mapping takes positions from another file than is given.
    """
    if mapping.open:
        raise InputError(
            f"{store.path}: the mapping leaves open what the {' and '.join(mapping.open)} of the scan are: fill in the "
            f"names of arrays in the place of '{OPEN}'"
        )
    where = _store_of_positions(store, positions, mapping)
    _check_one_scan(store, mapping)
    notes = [_summary(mapping, where)]
    if guessed := [role for role in mapping.guessed if _ANSWERED_BY.get(role, f"{role}_m") not in settings.given]:
        notes.append(f"guessed when the mapping was proposed, and not confirmed since: {', '.join(guessed)}")
    axes = settings.get("axes") or "nyx"
    source, raster, places = patterns(store, mapping.patterns, axes, settings, notes, series=mapping.series)
    yx, unit = _positions(store, where, mapping, source.shape[0], raster, settings, notes)
    notes.extend(where.notes)
    rows, yx, indexes = _pair(store, where, mapping, source.shape[0], yx, places, settings, notes)
    mask = None if mapping.mask is None else _mask(store, mapping.mask, source, settings, notes)
    probe = fields.probe_modes(store, mapping.probe and store.require(mapping.probe), source.shape[1:], settings, notes)
    if axes == "nxy":
        notes.append("exchanged rows and columns of patterns, mask and probe")
        mask = None if mask is None else where_good(mask, exchange_axes)
        probe = None if probe is None else exchange_axes(probe)
    return Stored(
        source=source,
        steps=(exchange_axes,) if axes == "nxy" else (),
        positions=yx,
        unit=unit,
        unit_reason=_GUESSED_UNIT if "position_unit" in mapping.guessed else "the mapping says so",
        axes_reason=f"{_SHARED_AXES}, and {_GUESSED_AXES}" if "positions" in mapping.guessed else _SHARED_AXES,
        rows=rows,
        mask=mask,
        probe=probe,
        geometry=told_geometry(store, mapping, settings),
        indexes=indexes,
        notes=notes,
    )


def _check_one_scan(store: Store, mapping: Mapping) -> None:
    """Refuse to mix the scans of one file."""
    places = [] if mapping.positions.separate_file else [mapping.positions.y.key, mapping.positions.x.key]
    quantities = [getattr(mapping, role) for role in QUANTITIES]
    keys = [*places, mapping.index, mapping.probe, *(of.key for of in quantities if of is not None)]
    parts = mapping.patterns.split("/")
    for key in filter(None, keys):
        theirs = key.split("/")
        depth = next((k for k, (a, b) in enumerate(zip(parts, theirs, strict=False)) if a != b), None)
        if depth is None or depth >= min(len(parts), len(theirs)) - 1:
            continue
        own = "/".join([*parts[: depth + 1], *theirs[depth + 1 :]])
        of_other = "/".join([*theirs[: depth + 1], *parts[depth + 1 :]])
        if own in store and of_other in store:
            raise InputError(
                f"{store.path}: '{key}' is of another scan than the patterns '{mapping.patterns}': '{own}' is there"
            )


def _store_of_positions(store: Store, positions: Store | None, mapping: Mapping) -> Store:
    if not mapping.positions.separate_file:
        if positions is not None:
            raise InputError(
                f"the mapping takes the positions from {store.path} itself: leave out {positions.path}, or set "
                "'separate_file' of its positions to true"
            )
        return store
    if positions is None:
        raise InputError(f"the mapping takes the positions of {store.path} from a file of its own: name that file too")
    return positions


def _summary(mapping: Mapping, where: Store) -> str:
    def coordinate(name: str, of: Coordinate) -> str:
        column = "" if of.column is None else f", column {of.column},"
        if of.key in (LINE, COLUMN):
            return f"{name} by steps of {of.multiplier:g} {of.unit}"
        times = "" if of.multiplier == 1 else f" times {of.multiplier:g}"
        return f"{name} from '{of.key}'{column}{times} in {of.unit}"

    y, x = coordinate("y", mapping.positions.y), coordinate("x", mapping.positions.x)
    file = f" of {where.path.name}" if mapping.positions.separate_file else ""
    return f"mapped: patterns from '{mapping.patterns}', {y} and {x}{file}"


def patterns(
    store: Store, key: str, axes: str, settings: Settings, notes: list[str], *, series: bool = False
) -> tuple[ArraySource, Raster | None, NDArray[np.int64] | None]:
    """Return patterns (n, y, x), or (n, x, y) where the axes say so, and the raster that they had.

    With them the place of each in the acquisition, (n,), where the file says that some are missing.

    Raises
    ------
    InputError
        There is no such array, it is no stack of patterns, or one of several is missing.
    """
    if "*" in key and key not in store:
        keys = sorted(fnmatch.filter(store.keys(), key), key=natural)
        if not keys:
            there = list_keys(store.keys(), key)
            raise InputError(f"{store.path}: no array's name is like '{key}'; it holds {there}{say_dead_links(store)}")
        source, places = numbered(store, key, keys, settings, notes)
        return source, None, places
    store.require(key)
    if series:
        source, places = file_series(store, key, settings, notes)
        return source, None, places
    if axes == "yxn":
        source, raster = fields.last_axis_first(store.patterns(key)), None
    else:
        source = store.patterns(key, raster=True)
        scan_shape = drop_leading(store.header(key).shape, 3)[:-2]
        raster = None if len(scan_shape) == 1 else (scan_shape[0], scan_shape[1])
    check_count(store, key, source.shape[0], settings, notes)
    if raster is not None:
        notes.append(f"put the {raster[0]} lines of {raster[1]} patterns of the raster one after another")
    return source, raster, None


def _positions(
    store: Store,
    where: Store,
    mapping: Mapping,
    n: int,
    raster: Raster | None,
    settings: Settings,
    notes: list[str],
) -> tuple[NDArray[np.float64], str]:
    """Return positions (m, 2), in the file's order, and their unit."""
    y_at, x_at = mapping.positions.y, mapping.positions.x
    numbers = _of_raster(where, mapping, n, raster, settings, notes)
    y, x = (numbers[of.key] if of.key in numbers else coordinate_values(where, of, settings) for of in (y_at, x_at))
    gaps = ~(np.isfinite(y) & np.isfinite(x)) if len(y) == len(x) else np.zeros(0, bool)
    if len(y) != n and gaps.any() and not mapping.positions.index and not numbers:
        notes.append(f"left out {np.count_nonzero(gaps)} of {len(y)} positions, which are not finite")
        y, x = y[~gaps], x[~gaps]
    if not len(y) == len(x) == n:
        y, x = _along_raster(where, mapping, (y, x), n, raster, notes)
    if numbers and ("step" in mapping.guessed or settings.get("step_m")):
        step = step_m(where.path, None, settings)
        signs = [np.sign(of.multiplier) for of in (y_at, x_at)]
        return np.stack([y * signs[0], x * signs[1]], axis=1) * step, "m"
    shortened = [of.multiplier * _cosine(store, of, settings, notes) for of in (y_at, x_at)]
    yx = np.stack([y * shortened[0], x * shortened[1]], axis=1)
    if y_at.unit == x_at.unit:
        return yx, y_at.unit
    metres = np.array([UNITS[y_at.unit] or 1.0, UNITS[x_at.unit] or 1.0])
    return yx * metres, "m"


def _cosine(store: Store, of: Coordinate, settings: Settings, notes: list[str]) -> float:
    """Return by how much a motor that is turned towards the beam moves less across it."""
    if of.angle is None:
        return 1.0
    degrees = float(np.median(readings(store, of.angle)))
    if degrees == 0 or not np.isfinite(degrees):
        return 1.0
    if settings.assume("angle", "correct", f"'{of.key}' is turned by {degrees:g} degrees") == "ignore":
        return 1.0
    notes.append(f"multiplied '{of.key}' by the cosine of its angle, {degrees:g} degrees")
    return math.cos(math.radians(degrees))


def _of_raster(
    where: Store, mapping: Mapping, n: int, raster: Raster | None, settings: Settings, notes: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the number of the line, and of the place in it, of each pattern of a raster that is told by its step."""
    positions = mapping.positions
    if not {positions.y.key, positions.x.key} & {LINE, COLUMN}:
        return {}
    shape = raster or (None, None)
    stated = positions.lines or shape[0], positions.columns or shape[1]
    line, column = raster_places(where.path, n, stated, positions.snake, settings, notes)
    return {LINE: line, COLUMN: column}


def coordinate_values(where: Store, of: Coordinate, settings: Settings) -> NDArray[np.float64]:
    """Return the stored values of one coordinate, (m,).

    Raises
    ------
    InputError
        There is no such array or column, or it holds something else than finite numbers.
    """
    key = where.require(of.key)
    shape = where.header(key).shape
    if not 0 < math.prod(shape) <= _MOST_NUMBERS:
        raise InputError(f"{where.path}: '{key}' has shape {shape}; a scan has 1 to {MOST_PATTERNS} positions")
    if where.header(key).dtype.kind == "c" or where.header(key).dtype.names:
        values = _part(where, key, of.column)
    elif of.column is None:
        values = where.numbers(key).ravel()
    else:
        axis = -1 if len(shape) > 1 and shape[-1] <= shape[0] else 0
        if len(shape) < 2 or of.column >= shape[axis]:
            raise InputError(f"{where.path}: '{key}' has shape {shape}, and so no column {of.column}")
        values = np.take(where.numbers(key), of.column, axis=axis).ravel()
    return fields.check_finite(where, key, values, settings)


def _part(where: Store, key: str, column: int | None) -> NDArray[np.float64]:
    """Return the real or the imaginary part of complex numbers, or one field of records, by its number from 0."""
    dtype = where.header(key).dtype
    names = dtype.names or ("real", "imag")
    if column is None or column >= len(names):
        told = f"'{key}' holds {len(names)} numbers in each place ({', '.join(names)})"
        raise InputError(f"{where.path}: {told}; the mapping must say which by a 'column' from 0")
    if dtype.names is None:
        values = where.numbers(key, np.complex128).ravel()
        return np.asarray(values.imag if column else values.real)
    field = where.read(key)[names[column]]
    if field.dtype.kind not in "biuf":
        raise InputError(
            f"{where.path}: '{names[column]}' of '{key}' has type {field.dtype}; it must hold real numbers"
        )
    return np.asarray(field, np.float64).ravel()


def _along_raster(
    where: Store,
    mapping: Mapping,
    yx: tuple[NDArray[np.float64], NDArray[np.float64]],
    n: int,
    raster: Raster | None,
    notes: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return y and x of each position, from the axes of a raster where that is what they are."""
    y, x = yx
    if raster is None and len(y) * len(x) == n:
        raster = (len(y), len(x))
        notes.append(f"took the patterns as {raster[0]} lines of {raster[1]}, along which x changes")
    missing = len(y) * len(x) - n
    if raster is None and 0 < missing < len(x) < n and len(y) < n:
        notes.append(f"the raster of {len(y)} x {len(x)} lacks its last {missing} patterns")
        return np.repeat(y, len(x))[:n], np.tile(x, len(y))[:n]
    if raster is not None and {len(y), len(x)} <= {n, *raster}:
        return _spread(y, raster, prefer_lines=True), _spread(x, raster, prefer_lines=False)
    if len(y) == len(x):
        return y, x
    y_key, x_key = mapping.positions.y.key, mapping.positions.x.key
    keys = f"'{y_key}' has {len(y)} values and '{x_key}' {len(x)}"
    sentence = f"{where.path}: {keys}, but there are {n} patterns; each needs a position"
    raise UnevenError(sentence, y_key if len(y) > len(x) else x_key, min(len(y), len(x)), n)


def _spread(values: NDArray[np.float64], raster: Raster, prefer_lines: bool) -> NDArray[np.float64]:
    """Return a value for each pattern of a raster, from one for each line or for each place in a line."""
    lines, columns = raster
    if len(values) == lines * columns:
        return values
    per_line = len(values) == lines if prefer_lines else len(values) != columns
    return np.repeat(values, columns) if per_line else np.tile(values, lines)


def _pair(
    store: Store,
    where: Store,
    mapping: Mapping,
    n: int,
    yx: NDArray[np.float64],
    places: NDArray[np.int64] | None,
    settings: Settings,
    notes: list[str],
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64], NDArray[np.int64] | None]:
    """Return the rows of the patterns that have a position (None for all), their positions, and their indexes."""
    m = len(yx)
    key, other = mapping.index, mapping.positions.index
    numbers = places if key is None else fields.indexes(store, store.require(key), n)
    if (key or other or (places is not None and m != n)) and settings.get("pairing") != "order":
        of_positions = np.arange(m) if other is None else fields.indexes(where, where.require(other), m)
        pattern_indexes = np.arange(n) if numbers is None else numbers
        unique, means = pairing.average_repeated(of_positions, yx, notes)
        invented = bool(key) != bool(other)
        growing = store.growing or where.growing
        rows, found = pairing.pair_by_value(
            store.path, pattern_indexes, unique, settings, notes, invented=invented, growing=growing
        )
        return rows, means[found], pattern_indexes[rows]
    if m == n:
        return None, yx, numbers
    named = not all(of.key.isdecimal() for of in (mapping.positions.y, mapping.positions.x))
    _check_first_row(where, yx, n, named, settings)
    more, fewer = ("patterns", "positions") if n > m else ("positions", "patterns")
    if not mapping.positions.separate_file and settings.get("pairing") != "order":
        sentence = f"{store.path}: it has {m} positions, but there are {n} patterns; each needs one: set pairing=order"
        fix = Fix(f"leave out the last {abs(n - m)} {more}", "pairing", "order")
        raise UnevenError(f"{sentence} to leave out the last {more}", mapping.positions.y.key, m, n, [fix])
    reason = f"there are {abs(n - m)} more {more} than {fewer}, and no index: the last {more} are left out"
    settings.assume("pairing", "order", reason, choices=("order",), doubtful=True)
    notes.append(f"left out the last {abs(n - m)} of {max(n, m)} {more}, which have no {fewer} by their order")
    rows = np.arange(min(n, m))
    return rows, yx[: len(rows)], None if numbers is None else numbers[rows]


def _check_first_row(where: Store, yx: NDArray[np.float64], n: int, named: bool, settings: Settings) -> None:
    """Refuse a table with too many rows of which the first is like none below: taken for a position, it shifts all.

    Where names stand above it, that is not mended by skipping lines, as the names would be skipped too.
    """
    first, others = yx[0], yx[1:]
    asked = settings.get("pairing") or settings.get("skip_lines")
    if where.container != "text" or len(yx) <= n or asked or len(others) < 2:
        return
    low, high = np.nanmin(others, axis=0), np.nanmax(others, axis=0)
    far = ((first < low - (high - low)) | (first > high + (high - low))).any()
    counts = (first == np.rint(first)).all() and np.mean(others != np.rint(others)) > _MOSTLY
    if far or counts:
        unlike = "lies far from all others" if far else "holds whole numbers and most others do not"
        told = f"{where.path}: the first row, ({first[0]:g}, {first[1]:g}), {unlike}, and there are "
        told += f"{len(yx) - n} more rows than patterns"
        order = Fix("leave out the last rows", "pairing", "order")
        if named:
            help_ = "take it out of the table if it is no position, or set pairing=order to leave out the last rows"
            raise InputError(f"{told}: {help_}", [order])
        help_ = "set skip_lines=1 if it is a header of numbers, pairing=order to leave out the last rows"
        raise InputError(f"{told}: {help_}", [Fix("skip the first line of the table", "skip_lines", "1"), order])


def _mask(store: Store, of: Mask, patterns: ArraySource, settings: Settings, notes: list[str]) -> GoodPixels | None:
    key = store.require(of.key)
    header, frame = store.header(key), patterns.shape[1:]
    if settings.get("mask") != "ignore" and (header.shape[-2:] != frame or header.dtype.kind not in "biuf"):
        sentence = f"{store.path}: '{key}' is {header.shape} {header.dtype}; the mask must be {frame}, of numbers"
        raise InputError(f"{sentence}: set mask=ignore to do without", [IGNORE])
    is_good = np.logical_not if of.invert else is_nonzero
    return good_pixels(store, [key], is_good, settings, notes, patterns=patterns, any_number=True)
