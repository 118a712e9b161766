"""Pairing positions with patterns by the value of their indexes, and saying what is left over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.scan.settings import Settings


def average_repeated(
    indexes: NDArray[np.int64], yx: NDArray[np.float64], notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return unique indexes, increasing, and their positions (m, 2); those of one index are averaged."""
    unique, inverse, counts = np.unique(indexes, return_inverse=True, return_counts=True)
    if len(unique) < len(indexes):
        notes.append(f"averaged the positions of {np.count_nonzero(counts > 1)} indexes that occur more than once")
    means = np.stack([np.bincount(inverse, weights=yx[:, axis]) / counts for axis in (0, 1)], axis=1)
    return unique, means


def pair_by_value(
    path: Path,
    pattern_indexes: NDArray[np.int64],
    position_indexes: NDArray[np.int64],
    settings: Settings,
    notes: list[str],
    *,
    invented: bool = False,
    growing: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the patterns that have a position, and that position's place.

    Parameters
    ----------
    path
        The file of the patterns, for messages.
    pattern_indexes
        (n,) in the order of the patterns.
    position_indexes
        (m,) unique and increasing.
    settings, notes
        What the operator set, and where what was done is told.
    invented
        Whether one of the two is no list of the files' but counts from 0: then nobody knows where it begins.
    growing
        Whether more of either is still to come.

    Raises
    ------
    InputError
        No index of a pattern is among those of the positions.
    """
    position_indexes = _counted_alike(pattern_indexes, position_indexes, settings, notes, invented, growing)
    places = np.searchsorted(position_indexes, pattern_indexes).clip(max=len(position_indexes) - 1)
    rows = np.flatnonzero(position_indexes[places] == pattern_indexes)
    if not len(rows):
        raise InputError(
            f"{path}: no pattern's index ({pattern_indexes.min()} to {pattern_indexes.max()}) is among the "
            f"positions' ({position_indexes.min()} to {position_indexes.max()}); the files belong to different scans, "
            "or count differently: set pairing=order",
            [Fix("pair patterns and positions by order", "pairing", "order")],
        )
    if len(rows) < len(pattern_indexes):
        notes.append(f"left out {len(pattern_indexes) - len(rows)} patterns whose index has no position")
    without = len(np.setdiff1d(position_indexes, pattern_indexes))
    if without:
        notes.append(f"left out {without} positions whose index has no pattern")
    return rows, places[rows]


def _counted_alike(
    pattern_indexes: NDArray[np.int64],
    position_indexes: NDArray[np.int64],
    settings: Settings,
    notes: list[str],
    invented: bool,
    growing: bool,
) -> NDArray[np.int64]:
    """Return the positions' indexes counted from where those of the patterns are.

    Two lists that begin with 0 and with 1 may be two ways of counting: paired by value, all patterns would get the
    position of their neighbour. A list that nobody wrote down begins anywhere.
    """
    firsts = int(pattern_indexes.min()), int(position_indexes.min())
    settings.get("pairing")  # an answer is heard also where there is no question
    as_many = len(np.unique(pattern_indexes)) == len(position_indexes)
    skips = invented and as_many and firsts[0] == firsts[1] and (np.sort(pattern_indexes) != position_indexes).any()
    if (firsts[0] == firsts[1] and not skips) or not np.intersect1d(pattern_indexes, position_indexes).size:
        if invented and not as_many and not growing and _some_are_lost(pattern_indexes, position_indexes):
            reason = "one list of numbers was never written down, and they are not as many: nobody knows which are lost"
            settings.assume("pairing", "value", reason, doubtful=True)
        return position_indexes
    default = "order"
    if skips:
        reason = "the file's numbers leave some out, the others were never written down, and they are as many"
    elif invented:
        known, counted = sorted((pattern_indexes, position_indexes), key=lambda one: -int(one.min()))
        reason = f"the file's numbers begin with {known.min()}, and the others were never written down"
        if known.min() > 1 and known.max() <= counted.max():
            default = "value"
    else:
        ranges = np.sort(pattern_indexes), position_indexes
        if sorted(firsts) != [0, 1] or any((np.diff(one) != 1).any() for one in ranges):
            return position_indexes
        reason = "one file counts its patterns from 0 and the other from 1"
        if len(ranges[0]) != len(ranges[1]):
            default, reason = "value", f"{reason}, and they are not as many"
    if settings.assume("pairing", default, reason, doubtful=not as_many) == "value":
        return position_indexes
    notes.append(f"paired patterns and positions by order: {reason}")
    if as_many:
        return np.unique(pattern_indexes)
    shifted: NDArray[np.int64] = position_indexes - firsts[1] + firsts[0]
    return shifted


def _some_are_lost(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Tell whether of two lists that begin alike, one of them 0, 1, 2 ..., the longer has what the shorter lost.

    A list with gaps says itself which are left out, as long as all of it is among the other.
    """
    with_gaps = [numbers for numbers in (one, other) if len(np.unique(numbers)) <= np.ptp(numbers)]
    return not with_gaps or int(with_gaps[0].max()) > int((other if with_gaps[0] is one else one).max())
