"""Pieces that readers share: positions, probes and indexes out of a store, checked."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.stores.store import LARGEST_ARRAY, Store, UnevenError, drop_leading
from ptycho_core.scan.scan import ArraySource
from ptycho_core.scan.settings import Settings

_LARGEST_INDEX = 2**53
"""From here on not every whole number is a float64."""


def vector(store: Store, key: str, length: int, settings: Settings | None = None) -> NDArray[np.float64]:
    """Return (length,) finite numbers, one for each pattern; axes of length 1 are dropped.

    With ``settings`` they are positions, of which the operator may leave out what is not finite or has no pattern.

    Raises
    ------
    InputError
        Another number than there are patterns, or values that are not finite.
    """
    shape = store.header(key).shape
    count = max(shape, default=1)
    sentence = f"{store.path}: '{key}' has shape {shape}, but there are {length} patterns; it must be ({length},)"
    if int(np.prod(shape, dtype=object)) != count:
        raise UnevenError(sentence, key, count, length)
    if count != length:
        check_pairs(sentence, key, count, length, settings)
    return as_many(check_finite(store, key, store.numbers(key).ravel(), settings), length)


def check_pairs(sentence: str, key: str, count: int, length: int, settings: Settings | None) -> None:
    """Refuse another number of positions than of patterns, unless the operator pairs them by order.

    Raises
    ------
    UnevenError
        With that answer as a way out, where there are ``settings``.
    """
    if settings is None:
        raise UnevenError(sentence, key, count, length)
    if settings.get("pairing") == "order":
        return
    more = "patterns" if length > count else "positions"
    fix = Fix(f"leave out the last {abs(length - count)} {more}", "pairing", "order")
    raise UnevenError(f"{sentence}; or set pairing=order to leave out the last {more}", key, count, length, [fix])


def as_many(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the first values (length, ...), as many as there are patterns; those that have none get NaN."""
    missing = length - len(values)
    if missing <= 0:
        return values[:length]
    return np.concatenate([values, np.full((missing, *values.shape[1:]), np.nan)])


def indexes(store: Store, key: str, length: int) -> NDArray[np.int64]:
    """Return (length,) whole numbers, one for each pattern.

    Raises
    ------
    InputError
        As `vector` does, and where a value is not whole.
    """
    values = vector(store, key, length)
    if not ((values == np.round(values)) & (abs(values) < _LARGEST_INDEX)).all():
        raise InputError(f"{store.path}: '{key}' holds values that are not whole numbers; indexes are")
    return values.astype(np.int64)


def points(
    store: Store, key: str, n_patterns: int, settings: Settings, dimensions: tuple[int, ...] = (2,)
) -> NDArray[np.float64]:
    """Return (n, d) coordinates, finite unless the operator leaves others out; leading axes of length 1 are dropped.

    Raises
    ------
    InputError
        Another shape, another number than there are patterns, or values that are not finite.
    """
    shape = drop_leading(store.header(key).shape, 2)
    if len(shape) != 2 or shape[1] not in dimensions:
        raise InputError(
            f"{store.path}: '{key}' has shape {store.header(key).shape}; positions are (n, {dimensions[0]})"
        )
    if shape[0] != n_patterns:
        sentence = (
            f"{store.path}: '{key}' has {shape[0]} positions, but there are {n_patterns} patterns; each needs one"
        )
        check_pairs(sentence, key, shape[0], n_patterns, settings)
    return as_many(check_finite(store, key, store.numbers(key).reshape(shape), settings), n_patterns)


def real(value: Any) -> NDArray[np.float64] | None:
    """Return the numbers of an attribute, be they written as text; None where it holds something else."""
    array = np.asarray(value)
    try:
        return array.astype(np.float64) if array.dtype.kind in "biufSU" else None
    except ValueError:
        return None


def check_finite(
    store: Store, key: str, values: NDArray[np.float64], settings: Settings | None = None
) -> NDArray[np.float64]:
    """Return values (n, ...) if all are finite, or, of positions, if the ``settings`` say that others are left out.

    Raises
    ------
    InputError
        Else; it counts them.
    """
    bad = ~np.isfinite(values)
    if not bad.any() or (settings is not None and settings.get("bad_positions") == "drop"):
        return values
    first = int(np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))[0])
    sentence = f"{store.path}: '{key}' holds {bad.sum()} values that are not finite, the first at index {first}"
    if settings is None:
        raise InputError(sentence)
    fix = Fix("leave out the patterns without a position", "bad_positions", "drop")
    raise InputError(f"{sentence}: set bad_positions=drop to leave out the patterns without a position", [fix])


def last_axis_first(source: ArraySource) -> ArraySource:
    """Return patterns that are stored as (y, x, n) as (n, y, x), on disk where they are there."""
    if isinstance(source, _OnDisk):
        return source.with_last_axis_first()
    return np.ascontiguousarray(np.moveaxis(np.asarray(source), -1, 0))


@runtime_checkable
class _OnDisk(Protocol):
    def with_last_axis_first(self) -> ArraySource: ...


def probe_modes(
    store: Store, key: str | None, frame: tuple[int, ...], settings: Settings, notes: list[str]
) -> NDArray[np.complex64] | None:
    """Return a stored probe as (M, y, x), whichever axes are the modes and whether real and imaginary parts are apart.

    It is 2-D, (M, y, x), or (y, x, M) where the first two axes are those of the patterns, ``frame``, or alike; of
    several coherent ones the first is taken. The last axes of ptychodus' (coherent, incoherent, y, x) and tike's
    (1, ..., 1, M, y, x) are the same.
    """
    if key is None:
        return None
    return settings.unless_answered("probe", lambda: _probe_modes(store, key, frame, notes), ignore="ignore")


def _probe_modes(store: Store, key: str, frame: tuple[int, ...], notes: list[str]) -> NDArray[np.complex64]:
    header = store.header(key)
    probe: NDArray[Any] = store.numbers(key, np.complex64).reshape(drop_leading(header.shape, 2))
    parts = _axis_of_parts(probe.shape, frame) if header.dtype.kind in "fiu" else None
    if parts is not None:
        notes.append(f"took axis {parts} of '{key}' as real and imaginary part")
        probe = probe.take(0, parts) + 1j * probe.take(1, parts)
    if probe.ndim == 3 and _are_last(probe.shape, frame):
        if probe.shape[2] > 1:
            notes.append(f"took the last axis of '{key}' as its {probe.shape[2]} modes")
        probe = np.moveaxis(probe, -1, 0)
    if probe.ndim not in (2, 3, 4) or 0 in probe.shape:
        raise InputError(f"{store.path}: '{key}' has shape {header.shape}; a probe is (y, x) or (modes, y, x)")
    if probe.ndim == 4:
        notes.append(f"took the first of {probe.shape[0]} coherent probes, which is the strongest by convention")
        probe = probe[0]
    return np.ascontiguousarray(probe if probe.ndim == 3 else probe[None], dtype=np.complex64)


def _axis_of_parts(shape: tuple[int, ...], frame: tuple[int, ...]) -> int | None:
    """Return which axis of length 2 holds the real and the imaginary part: without it, images are left."""
    for axis in (len(shape) - 1, 0, 1) if len(shape) > 2 else ():
        rest = (*shape[:axis], *shape[axis + 1 :])
        if shape[axis] == 2 and any(ends == frame or ends[0] == ends[1] != 2 for ends in (rest[-2:], rest[:2])):
            return axis
    return None


def _are_last(shape: tuple[int, ...], frame: tuple[int, ...]) -> bool:
    """Tell whether of three axes the last counts the modes."""
    if shape[-2:] == frame:
        return False
    return shape[:2] == frame or (shape[0] == shape[1] != shape[2] and shape[2] < shape[0])


def object_image(store: Store, key: str | None, notes: list[str]) -> NDArray[np.complex64] | None:
    """Return a stored object as (y, x), or None where it is something else: it is carried along, never relied on."""
    if key is None:
        return None
    shape = drop_leading(store.header(key).shape, 2)
    header = store.header(key)
    if len(shape) != 2 or header.dtype.kind not in "fc" or header.nbytes > LARGEST_ARRAY:
        notes.append(f"left out '{key}' of shape {header.shape}: not a single image, or a huge one")
        return None
    image: NDArray[Any] = store.numbers(key, np.complex64).reshape(shape)
    return np.ascontiguousarray(image)
