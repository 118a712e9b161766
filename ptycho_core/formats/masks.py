"""Masks of detectors: one for all patterns, or one for each, of which one for all is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.stores.store import Store, drop_leading
from ptycho_core.scan.settings import Settings

IGNORE = Fix("leave out the mask", "mask", "ignore")
INVERT = Fix("invert the mask", "mask", "invert")
COMMON = Fix("mask what is bad in half of the patterns or more", "mask", "common")
_BATCH_BYTES = 16 * 2**20
_MUCH = 0.05
"""Part of all pixels that faults of single patterns may take from every pattern without a word."""


def good_pixels(
    store: Store,
    keys: Sequence[str],
    is_good: Callable[[NDArray[Any]], NDArray[np.bool_]],
    settings: Settings,
    notes: list[str],
    *,
    any_number: bool = False,
    bad: str = "bad in one of the {n} masks",
) -> NDArray[np.bool_] | None:
    """Return (y, x) bool, True where a pixel is good; None where there is no mask, or the operator wants none.

    Parameters
    ----------
    store, keys
        Where the mask is: (y, x), or (n, y, x) with one for each pattern, in one array or several. Leading axes of
        length 1 are dropped.
    is_good
        Makes booleans of what is stored, (..., y, x); whole numbers that are stored as fractions come as such.
    settings, notes
        The answer ``mask``, and where what was done is told.
    any_number
        Whether fractions are weights, not a mistake.
    bad
        How the history calls a pixel that one of n masks marks.

    Raises
    ------
    InputError
        It is no mask, or leaves no pixel; with what can be answered.
    """
    if not keys:
        return None
    how = settings.get("mask")
    if how == "ignore":
        notes.append("left out the mask that the file holds")
        return None
    n, marked = 0, None
    for key in keys:
        for values in _batches(store, key):
            count = np.count_nonzero(~is_good(values if any_number else _whole(store, key, values)), axis=0)
            if marked is not None and marked.shape != count.shape:
                raise InputError(f"{store.path}: the masks differ in size; all must be that of the patterns", [IGNORE])
            n, marked = n + len(values), count if marked is None else marked + count
    if marked is None:
        return None
    if how == "invert":
        marked = n - marked
        notes.append("inverted the mask")
    if n == 1:
        return np.asarray(marked == 0)
    return _of_all(store, marked, n, bad.format(n=n), settings, notes)


def _of_all(
    store: Store, marked: NDArray[np.int64], n: int, bad: str, settings: Settings, notes: list[str]
) -> NDArray[np.bool_]:
    """Return one mask of n, by how many of them mark a pixel (y, x) as ``bad``."""
    if settings.get("mask") == "common":
        notes.append(f"masked the pixels that are bad in half of the {n} masks or more, and took the others as counted")
        return np.asarray(2 * marked < n)
    together, each = float(np.mean(marked > 0)), float(marked.mean() / n)
    told = f"a pixel that is {bad} is left out of all patterns"
    notes.append(told)
    if together > max(_MUCH, 2 * each):
        reason = f"{told}: {together:.0%} of the pixels, where a mask has {each:.1%} on average"
        if together == 1:
            raise InputError(f"{store.path}: {reason}; set mask=common or mask=ignore", [COMMON, IGNORE])
        settings.assume("mask", "file", reason)
    return np.asarray(marked == 0)


def _batches(store: Store, key: str) -> Iterator[NDArray[Any]]:
    shape = drop_leading(store.header(key).shape, 2)
    if len(shape) == 2:
        yield store.read(key).reshape(1, *shape)
        return
    if len(shape) != 3:
        raise InputError(
            f"{store.path}: '{key}' has shape {store.header(key).shape}; a mask is (y, x), or (n, y, x) with one for "
            "each pattern: set mask=ignore",
            [IGNORE],
        )
    masks = store.patterns(key)
    step = max(1, _BATCH_BYTES // (8 * shape[1] * shape[2]))
    for start in range(0, shape[0], step):
        yield np.asarray(masks[start : start + step])


def _whole(store: Store, key: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.round(values)).all():
        return values.astype(np.int64)
    if values.dtype.kind not in "biu":
        raise InputError(
            f"{store.path}: '{key}' has type {values.dtype}; a mask holds whole numbers: set mask=ignore to do without",
            [IGNORE],
        )
    return values
