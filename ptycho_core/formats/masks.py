"""Masks of detectors: one for all patterns, or one for each, which stay in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.chunks import Chunks
from ptycho_core.formats.stores.store import Store, drop_leading
from ptycho_core.scan.scan import ArraySource, GoodPixels, Masks
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.survey import batches, rows_to_look_at

IGNORE = Fix("leave out the mask", "mask", "ignore")
INVERT = Fix("invert the mask", "mask", "invert")
COMMON = Fix("mask what is bad in half of the patterns or more", "mask", "common")
_MUCH = 0.05
"""Part of all pixels that faults of single patterns may take from every pattern without a word."""

IsGood = Callable[[NDArray[Any]], NDArray[np.bool_]]
"""Makes booleans of what is stored, (..., y, x); a module-level callable, so that it pickles."""


def good_pixels(
    store: Store,
    keys: Sequence[str],
    is_good: IsGood,
    settings: Settings,
    notes: list[str],
    *,
    patterns: ArraySource,
    any_number: bool = False,
    bad: str = "bad in one of the {n} masks",
) -> GoodPixels | None:
    """Return where pixels are good, (y, x), or (n, y, x) where that differs from pattern to pattern.

    None where there is no mask, or the operator wants none.

    Parameters
    ----------
    store, keys
        Where the mask is: (y, x), or (n, y, x) with one for each pattern, in one array or several. Leading axes of
        length 1 are dropped, and masks in a raster follow one another as its patterns do.
    is_good
        Of what is stored; whole numbers that are stored as fractions come as such.
    settings, notes
        The answer ``mask``, and where what was done is told.
    patterns
        (n, y, x), of which the masks are.
    any_number
        Whether fractions are weights, not a mistake.
    bad
        How the history calls a pixel that one of n masks marks, where these are not as many as patterns.

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
    if how == "invert":
        notes.append("inverted the mask")
    pieces = [_masks_of(store, key, patterns.shape) for key in keys]
    if any(0 in piece.shape for piece in pieces):
        raise InputError(f"{store.path}: '{keys[0]}' is empty: it holds no mask: set mask=ignore", [IGNORE])
    if len({piece.shape[1:] for piece in pieces}) > 1:
        raise InputError(f"{store.path}: the masks differ in size; all must be that of the patterns", [IGNORE])
    judge = _Judge(is_good, f"{store.path}: '{keys[0]}'", any_number=any_number, inverted=how == "invert")
    masks = Masks(pieces[0] if len(pieces) == 1 else Chunks(pieces), (judge,))
    n = len(masks)
    each = n == patterns.shape[0]
    rows = rows_to_look_at(masks) if each else np.arange(n)
    marked = np.zeros(masks.shape[1:], np.int64)
    for _, good in batches(masks if len(rows) == n else masks.take(rows)):
        marked += np.count_nonzero(~good, axis=0)
    if len(rows) == n and not ((marked > 0) & (marked < n)).any():
        return np.asarray(marked == 0)
    if how == "common":
        notes.append(f"masked the pixels that are bad in half of the {n} masks or more, and took the others as counted")
        return np.asarray(2 * marked < len(rows))
    if not each:
        return _of_all(store, marked, n, bad.format(n=n), settings, notes)
    among = "" if len(rows) == n else f", of {len(rows)} that were looked at"
    notes.append(f"took a mask for each pattern, with {marked.mean() / len(rows):.2%} of the pixels bad{among}")
    return masks


def named_mask(store: Store, patterns: ArraySource, settings: Settings, notes: list[str]) -> GoodPixels | None:
    """Return the mask of a file whose format has no key for one, but which has an array of such a name.

    ``good_pixels`` and ``bad_pixels`` say their sense; of a ``mask`` it is that in which most pixels are good. What is
    of another size is left out, and the history says so.
    """
    n, *frame = patterns.shape
    for key in ("good_pixels", "bad_pixels", "mask"):
        if key not in store or store.header(key).dtype.kind not in "biuf":
            continue
        shape = drop_leading(store.header(key).shape, 2)
        if shape not in (tuple(frame), (n, *frame)):
            notes.append(f"left out '{key}' of shape {shape}: it is none of the detector's")
            continue
        is_good: IsGood = is_nonzero if key == "good_pixels" else np.logical_not
        if key == "mask":
            first = store.read(key) if len(shape) == 2 else store.patterns(key)[0:1]
            most = np.count_nonzero(first) > first.size / 2
            is_good = is_nonzero if most else np.logical_not
            notes.append(f"took '{key}' as {'0' if most else 'not 0'} where a pixel is bad, as most are good then")
        return good_pixels(store, [key], is_good, settings, notes, patterns=patterns, any_number=True)
    return None


def is_nonzero(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where values are not zero: one `IsGood`; the other is `numpy.logical_not`."""
    good: NDArray[np.bool_] = values != 0
    return good


def _of_all(
    store: Store, marked: NDArray[np.int64], n: int, bad: str, settings: Settings, notes: list[str]
) -> NDArray[np.bool_]:
    """Return one mask of n, by how many of them mark a pixel (y, x) as ``bad``."""
    together, each = float(np.mean(marked > 0)), float(marked.mean() / n)
    told = f"a pixel that is {bad} is left out of all patterns"
    notes.append(told)
    if together > max(_MUCH, 2 * each):
        reason = f"{told}: {together:.0%} of the pixels, where a mask has {each:.1%} on average"
        if together == 1:
            raise InputError(f"{store.path}: {reason}; set mask=common or mask=ignore", [COMMON, IGNORE])
        settings.assume("mask", "file", reason)
    return np.asarray(marked == 0)


@dataclass(frozen=True)
class _Judge:
    """Turn what is stored, named ``what`` for a message, into booleans: True where a pixel is good."""

    is_good: IsGood
    what: str
    any_number: bool
    inverted: bool

    def __call__(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        if values.dtype.kind not in "biuf":
            raise InputError(f"{self.what} has type {values.dtype}; a mask holds numbers: set mask=ignore", [IGNORE])
        there = np.isfinite(values)  # what is no number is bad, whichever way round the others are
        if not self.any_number:
            if (values != np.round(values))[there].any():
                raise InputError(
                    f"{self.what} has type {values.dtype}; a mask holds whole numbers: set mask=ignore to do without",
                    [IGNORE],
                )
            values = np.where(there, values, 0).astype(np.int64)
        good = self.is_good(values)
        told: NDArray[np.bool_] = (~good if self.inverted else good) & there
        return told


def _masks_of(store: Store, key: str, patterns: tuple[int, ...]) -> ArraySource:
    """Return (m, y, x) masks as stored, m = 1 for one of all ``patterns``; a raster must have as many as those."""
    n, *frame = patterns
    shape = drop_leading(store.header(key).shape, 2)
    if shape == (*frame, 1):
        shape = shape[:2]
    if len(shape) == 2:
        one: NDArray[Any] = store.read(key).reshape(1, *shape)
        return one
    if len(shape) != 3 and (len(shape) != 4 or shape[0] * shape[1] != n):
        raise InputError(
            f"{store.path}: '{key}' has shape {store.header(key).shape}; a mask is (y, x), or (n, y, x) with one for "
            "each pattern: set mask=ignore",
            [IGNORE],
        )
    return store.patterns(key, raster=True)
