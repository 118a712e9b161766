"""Patterns unlike the others: empty, far too bright or too dark, repeated; and the step that leaves them out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, repeated_rows

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

FEWEST = 8
"""Patterns without which nothing is said of what is usual among them."""
_BRIGHT, _BRIGHTER_THAN_MOST = 10.0, 5.0
_DIM = 0.05
_NEIGHBOURS, _ALIKE = 8, 3
"""A pattern is compared with its neighbours: unlike it are all but fewer than three of eight."""
_TIMES, _SPREADS, _SIGMAS = 1.75, 5.0, 8.0
"""By how many times it has to differ, how far beyond the spread that is usual, and beyond the noise of photons."""
_SPREAD_OF = 0.8
_SPREAD_PER_QUANTILE = 1.2816  # of a normal distribution, whose absolute values lie below that in 80 %
_JUMP = 0.7
"""Part of what a pattern has to differ by (as logarithms) that is a sudden step from one pattern to the next."""
_LONGEST_RUN, _LARGEST_RUN = 256, 1 / 3
"""Patterns between two sudden steps, and part of the scan, that are judged as outliers; more are another regime."""
_PASSES = 5
_LISTED = 10


def check_outliers(scan: Scan, seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of patterns that are unlike the others."""
    yield from _empty(seen)
    yield from _unusual(scan, seen)
    yield from _repeated(scan, seen)


def listed(rows: NDArray[np.int64]) -> str:
    """Return the first of some places of patterns, and how many more there are."""
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return ", ".join(map(str, rows[:_LISTED])) + more


def _patterns(count: int, verb: str) -> str:
    """Return such as "one pattern holds" or "3 patterns hold"."""
    return f"one pattern {verb}s" if count == 1 else f"{count} patterns {verb}"


def _empty(seen: Survey) -> Iterator[Problem]:
    empty = seen.empty_rows
    if len(empty):
        message = f"{_patterns(len(empty), 'hold')} nothing but zeros{seen.extent}: {listed(empty)}; leave them out"
        yield Problem("patterns", f"{message} of the scan", "warning", (_drop_dead(seen),))


def _drop_dead(seen: Survey) -> Fix:
    part = _DIM if np.median(seen.sums) else 0.0
    return Fix("leave out patterns with hardly any counts", "--drop-dead", f"{part:g}")


def drop(rows: NDArray[np.int64]) -> Fix:
    """Return the step that leaves single patterns out."""
    return Fix("leave these patterns out", "--drop-patterns", " ".join(map(str, rows)))


def _unusual(scan: Scan, seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of patterns that are far brighter than nearly all or their neighbours, or far darker."""
    alive = seen.sums > 0
    sums, rows = seen.sums[alive], seen.rows[alive]
    if len(sums) < FEWEST:
        return
    median, high = np.median(sums), np.quantile(sums, 0.9, method="lower")
    bright, dim = _unlike_neighbours(scan.positions[rows], sums)
    bright |= (sums > _BRIGHT * median) & (sums > _BRIGHTER_THAN_MOST * high)
    dim |= sums < _DIM * median
    if bright.any():
        usual = np.median(seen.sums)
        factor = math.sqrt(sums[bright].min() * sums[~bright].max()) / usual if usual else _BRIGHT
        times = sums[bright].max() / median
        fix = Fix("leave out the bright patterns", "--drop-bright", f"{factor:.3g}")
        if sums[bright].min() <= sums[~bright].max() or factor <= 1:  # brighter than what is around, not than all
            fix = drop(rows[bright])
        message = f"{_patterns(int(bright.sum()), 'hold')} far more counts than the others, up to {times:.3g} times"
        yield Problem(
            "bright",
            f"{message} the median{seen.extent}: {listed(rows[bright])}; leave them out of the scan",
            "warning",
            (fix,),
        )
    if dim.any() and dim.mean() < 0.5:
        fix = _drop_dead(seen)
        if (sums[dim] >= _DIM * median).any():
            fraction = math.sqrt(sums[dim].max() * sums[~dim].min()) / np.median(seen.sums)
            above = sums[dim].max() < sums[~dim].min() and fraction < 1
            fix = Fix(fix.label, fix.field, f"{fraction:.3g}") if above else drop(rows[dim])
        yield Problem(
            "dim",
            f"{_patterns(int(dim.sum()), 'hold')} far fewer counts than the others, down to "
            f"{sums[dim].min() / median:.2g} of the median{seen.extent}: {listed(rows[dim])}; leave them out if the "
            "beam was off",
            "warning",
            (fix,),
        )


def _unlike_neighbours(
    positions: NDArray[np.float64], sums: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which patterns, of sums (m,), are far brighter than neighbours, which see much the same sample; or darker.

    The spread is that of neighbours in this scan, so that where brightness flickers, or the sample differs much from
    place to place, more is asked. A run of patterns between two sudden steps is compared with what was measured before
    and after it: that leaves a sample that absorbs, which neighbours on other lines see too, and tells a shutter.
    """
    from scipy.spatial import cKDTree  # as in grouping

    tree = cKDTree(positions)
    nearest = tree.query(positions, k=min(_NEIGHBOURS + 1, len(sums)))[1][:, 1:]
    around = np.median(sums[nearest], axis=1)
    differing = abs(np.log(sums / around))
    spread = float(np.quantile(differing, _SPREAD_OF)) / _SPREAD_PER_QUANTILE
    least = max(math.log(_TIMES), _SPREADS * spread)
    jumps = abs(np.diff(np.log(sums), prepend=np.log(sums[0]))) > _JUMP * least
    runs = np.cumsum(jumps, dtype=np.int64)
    lengths = np.bincount(runs)[runs]
    lengths[lengths > min(_LONGEST_RUN, _LARGEST_RUN * len(sums))] = 0
    bright, dim, median = np.zeros(len(sums), bool), np.zeros(len(sums), bool), float(np.median(sums))
    for _ in range(_PASSES):
        before = np.count_nonzero(bright | dim)
        low, high = _others_around(tree, sums, runs, lengths, bright | dim)
        high, low = np.maximum(high, median), np.minimum(low, median)
        bright |= (sums > math.exp(least) * high) & (sums - high > _SIGMAS * np.sqrt(high))
        dim |= (sums * math.exp(least) < low) & (low - sums > _SIGMAS * np.sqrt(low))
        if np.count_nonzero(bright | dim) == before:
            break
    return bright, dim


def _others_around(
    tree: cKDTree,
    sums: NDArray[np.float64],
    runs: NDArray[np.int64],
    lengths: NDArray[np.int64],
    known: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the third lowest and third highest of the patterns around each that are of other runs and not ``known``.

    0 and infinity where there are too few, and where ``lengths``, of the runs, are 0.
    """
    low, high = np.zeros(len(sums)), np.full(len(sums), np.inf)
    for length in np.unique(lengths[lengths > 0]):
        rows = np.flatnonzero(lengths == length)
        k = min(len(sums), _NEIGHBOURS + int(length) + min(int(np.count_nonzero(known)), _LONGEST_RUN))
        places = tree.query(tree.data[rows], k=k)[1]
        other = (runs[places] != runs[rows][:, None]) & ~known[places]
        first = other & (np.cumsum(other, axis=1) <= _NEIGHBOURS)
        enough = np.count_nonzero(first, axis=1) >= _ALIKE
        values = np.sort(np.where(first, sums[places], np.inf), axis=1)
        low[rows] = np.where(enough, values[:, _ALIKE - 1], 0)
        values = np.sort(np.where(first, sums[places], -np.inf), axis=1)
        high[rows] = np.where(enough, values[:, -_ALIKE], np.inf)
    return low, high


def _repeated(scan: Scan, seen: Survey) -> Iterator[Problem]:
    rows = repeated_rows(scan, seen)
    if len(rows):
        yield Problem(
            "repeated",
            f"{_patterns(len(rows), 'repeat')} an earlier one count by count{seen.extent}: {listed(rows)}; photons "
            "never do, so the detector delivered one twice: leave them out of the scan",
            "warning",
            (Fix("leave out what is repeated", "--drop-repeated", ""),),
        )
