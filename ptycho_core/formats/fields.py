"""Pieces that readers share: positions, probes and indexes out of a store, checked."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import LARGEST_ARRAY, Store, UnevenError, drop_leading
from ptycho_core.scan.scan import ArraySource

_LARGEST_INDEX = 2**53
"""From here on not every whole number is a float64."""


def vector(store: Store, key: str, length: int) -> NDArray[np.float64]:
    """Return (length,) finite numbers, one for each pattern; axes of length 1 are dropped.

    Raises
    ------
    InputError
        Another number than there are patterns, or values that are not finite.
    """
    shape = store.header(key).shape
    if int(np.prod(shape, dtype=object)) != length or max(shape, default=1) != length:
        raise UnevenError(
            f"{store.path}: '{key}' has shape {shape}, but there are {length} patterns; it must be ({length},)",
            key,
            max(shape, default=1),
            length,
        )
    return check_finite(store, key, store.numbers(key).ravel())


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


def points(store: Store, key: str, n_patterns: int, dimensions: tuple[int, ...] = (2,)) -> NDArray[np.float64]:
    """Return (n, d) finite coordinates; leading axes of length 1 are dropped.

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
        raise UnevenError(
            f"{store.path}: '{key}' has {shape[0]} positions, but there are {n_patterns} patterns; each needs one",
            key,
            shape[0],
            n_patterns,
        )
    return check_finite(store, key, store.numbers(key).reshape(shape))


def real(value: Any) -> NDArray[np.float64] | None:
    """Return the numbers of an attribute, be they written as text; None where it holds something else."""
    array = np.asarray(value)
    try:
        return array.astype(np.float64) if array.dtype.kind in "biufSU" else None
    except ValueError:
        return None


def check_finite(store: Store, key: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values if all are finite; else raise `InputError` that counts those that are not."""
    count = np.count_nonzero(~np.isfinite(values))
    if count:
        first = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
        raise InputError(f"{store.path}: '{key}' holds {count} values that are not finite, the first at index {first}")
    return values


def last_axis_first(source: ArraySource) -> ArraySource:
    """Return patterns that are stored as (y, x, n) as (n, y, x), on disk where they are there."""
    if isinstance(source, _OnDisk):
        return source.with_last_axis_first()
    return np.ascontiguousarray(np.moveaxis(np.asarray(source), -1, 0))


@runtime_checkable
class _OnDisk(Protocol):
    def with_last_axis_first(self) -> ArraySource: ...


def probe_modes(store: Store, key: str | None, notes: list[str]) -> NDArray[np.complex64] | None:
    """Return a stored probe as (M, y, x): 2-D, (M, y, x), (y, x, 1), or the first of several coherent ones.

    The last axes of ptychodus' (coherent, incoherent, y, x) and tike's (1, ..., 1, M, y, x) are the same.
    """
    if key is None:
        return None
    shape = store.header(key).shape
    if len(shape) == 3 and shape[2] == 1 and shape[0] > 1:
        shape = shape[:2]
    shape = drop_leading(shape, 3)
    if len(shape) not in (2, 3, 4) or 0 in shape:
        raise InputError(
            f"{store.path}: '{key}' has shape {store.header(key).shape}; a probe is (y, x) or (modes, y, x)"
        )
    probe = store.numbers(key, np.complex64).reshape(shape)
    if len(shape) == 4:
        notes.append(f"took the first of {shape[0]} coherent probes, which is the strongest by convention")
        probe = probe[0]
    return np.ascontiguousarray(probe if probe.ndim == 3 else probe[None])


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
