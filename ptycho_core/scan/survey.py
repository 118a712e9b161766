"""One pass over a scan's patterns in bounded memory: sums, mean, and values that no detector counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import GoodPixels, Masks, Patterns, Scan, Stack

_Value = TypeVar("_Value", bound=np.generic)

LOOK_AT_ALL_BYTES = 256 * 2**20
"""A stack up to this size, as stored, is looked at whole when a scan is opened."""
SAMPLE_BYTES = 32 * 2**20
"""Of a larger one, evenly spread patterns of this size together."""
_STRETCH_BYTES = 256 * 2**10
_FEWEST_STRETCHES = 16
"""Of adjacent patterns: reading these bytes, or what is compressed together, takes hardly longer than one of them."""
_BATCH_BYTES = 16 * 2**20
FARTHEST_MADS = 5.0
"""A pattern whose counts lie farther from the median, in standard deviations as the MAD tells them, is an outlier."""
_MOST_COMPARED = 50
"""Patterns that are read again to be sure that they repeat others; after so many their sums are trusted."""
_FEWEST_TO_STICK = 3
"""Patterns, below which every pixel may hold the same value in all."""
_ENOUGH_TO_STICK = 8
"""Patterns in which photons, of which a pixel gets `_LOWEST_FLAG` or more, never are as many each time."""
_LOWEST_FLAG, _ABOVE_OTHERS = 15.0, 4.0
_SIGMA_PER_MAD = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen in the patterns that were looked at.

    Parameters
    ----------
    rows
        (m,) places of the patterns looked at.
    total
        n, how many patterns there are.
    mean
        (y, x) float64 mean of the values that were measured: finite, not negative and not masked.
    measured
        (y, x) in how many patterns a pixel was measured.
    sums
        (m,) float64 sum of each pattern's measured values. Where masks differ from pattern to pattern, a pattern has
        the mean of the pixel in the place of what its own mask takes from it.
    marks
        (m, 2) float64 sums of even and odd rows of each pattern, masked or not, by which equal ones are found.
    highest, lowest
        (y, x) float32 largest and smallest measured value of each pixel, of no pattern 0.
    n_highest
        How many values are as large as the largest.
    n_not_finite, n_negative
        How many values are NaN or infinite, and how many are below zero, masked pixels left out.
    bad_counts
        (y, x) in how many patterns a pixel that is not masked had such a value.
    negative
        (y, x) whether any of these was below zero.
    bad_rows
        Places of the patterns that have such values.
    """

    rows: NDArray[np.int64]
    total: int
    mean: NDArray[np.float64]
    measured: NDArray[np.int32]
    sums: NDArray[np.float64]
    marks: NDArray[np.float64]
    highest: NDArray[np.float32]
    lowest: NDArray[np.float32]
    n_highest: int
    n_not_finite: int
    n_negative: int
    bad_counts: NDArray[np.int32]
    negative: NDArray[np.bool_]
    bad_rows: NDArray[np.int64]

    @property
    def good(self) -> NDArray[np.bool_]:
        """(y, x) True where a pixel was measured in any pattern."""
        ever: NDArray[np.bool_] = self.measured > 0
        return ever

    @property
    def bad_pixels(self) -> NDArray[np.bool_]:
        """(y, x) True where a pixel that is not masked ever had a value that no detector counts."""
        ever: NDArray[np.bool_] = self.bad_counts > 0
        return ever

    @property
    def maximum(self) -> float:
        """Largest finite value."""
        return float(self.highest.max())

    @property
    def extent(self) -> str:
        """How much was looked at, for a message: empty when it was everything."""
        return "" if len(self.rows) == self.total else f" among the {len(self.rows)} of {self.total} patterns looked at"

    @property
    def empty_rows(self) -> NDArray[np.int64]:
        """Places of the patterns that hold nothing but zeros."""
        empty: NDArray[np.int64] = self.rows[self.sums == 0]
        return empty


def survey(
    patterns: Patterns,
    good: GoodPixels | None = None,
    everything: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Look at all patterns, or at an evenly spread sample of a large stack unless ``everything`` is asked for.

    Parameters
    ----------
    patterns
        (n, y, x).
    good
        (y, x) bool, (n, y, x) masks or None: only where True are values judged.
    everything
        Look at all patterns whatever their size.
    progress
        Told how many patterns of how many were looked at, every few megabytes; what it raises ends the survey.
    """
    surveyor = Surveyor(patterns, good, everything)
    for places, batch, there in surveyor.batches():
        surveyor.see(places, batch, there)
        progress(places.stop, len(surveyor.rows))
    return surveyor.survey()


def survey_of(
    scan: Scan, everything: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Survey:
    """Return the `survey` of a scan's good pixels, made once for all who ask.

    The scan's patterns keep it; so it is also that of copies of the scan with the same patterns and the same mask.
    """
    known = scan.patterns.surveys.get(everything)
    if known is None or known[0] is not scan.mask:
        remember(scan, survey(scan.patterns, scan.mask, everything, progress), everything)
    return scan.patterns.surveys[everything][1]


def remember(scan: Scan, seen: Survey, everything: bool) -> None:
    """Keep a survey for those who ask `survey_of`."""
    is_small = len(rows_to_look_at(scan.patterns)) == len(scan)
    for kind in (True, False) if is_small else (everything,):
        scan.patterns.surveys[kind] = (scan.mask, seen)


class Surveyor:
    """Gathers a `Survey` from batches of patterns.

    Parameters
    ----------
    patterns, good, everything
        As for `survey`.
    """

    def __init__(self, patterns: Patterns, good: GoodPixels | None, everything: bool) -> None:
        self.rows = np.arange(len(patterns)) if everything else rows_to_look_at(patterns)
        whole = len(self.rows) == len(patterns)
        self._total_patterns = len(patterns)
        self._patterns = patterns if whole else patterns.take(self.rows)
        self._good = good if whole or not isinstance(good, Masks) else good.take(self.rows)
        self._total: NDArray[np.float64] = np.zeros(patterns.shape[1:])
        self._measured = np.zeros(patterns.shape[1:], np.int32)
        self._highest: NDArray[np.float32] = np.zeros(patterns.shape[1:], np.float32)
        self._lowest: NDArray[np.float32] = np.full(patterns.shape[1:], np.inf, np.float32)
        self._top, self._n_top = 0.0, 0
        self._bad_counts = np.zeros(patterns.shape[1:], np.int32)
        self._negative = np.zeros(patterns.shape[1:], np.bool_)
        self._sums, self._marks = np.zeros(len(self.rows)), np.zeros((len(self.rows), 2))
        self._bad_rows: list[NDArray[np.int64]] = []
        self._n_not_finite = self._n_negative = 0

    def batches(self) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.bool_] | None]]:
        """Yield places among ``rows``, and what `see` wants of the patterns there: values and good pixels."""
        for places, batch in batches(self._patterns):
            yield places, batch, self._good[places] if isinstance(self._good, Masks) else self._good

    def see(self, places: slice, batch: NDArray[np.float32], good: NDArray[np.bool_] | None) -> None:
        """Take up a batch (b, y, x) of the patterns at these places among ``rows``, judged where it is good."""
        not_finite, negative = ~np.isfinite(batch), batch < 0
        bad = not_finite | negative
        measured = good
        if bad.any():
            batch = np.where(bad, np.float32(0), batch)
            measured = ~bad if good is None else good & ~bad
            if good is not None:
                not_finite, negative, bad = not_finite & good, negative & good, bad & good
            self._n_not_finite += int(not_finite.sum())
            self._n_negative += int(negative.sum())
            self._bad_counts += bad.sum(axis=0, dtype=np.int32)
            self._negative |= negative.any(axis=0)
            self._bad_rows.append(self.rows[places][bad.any(axis=(1, 2))])
        for parity in (0, 1):
            self._marks[places, parity] = batch[:, parity::2].sum(axis=(1, 2), dtype=np.float64)
        lowest = batch
        if measured is None:
            self._measured += len(batch)
        else:
            self._measured += np.broadcast_to(measured, batch.shape).sum(axis=0, dtype=np.int32)
            lowest = np.where(measured, batch, np.float32(np.inf))
            batch = batch * measured
        self._total += batch.sum(axis=0, dtype=np.float64)
        self._sums[places] = batch.sum(axis=(1, 2), dtype=np.float64)
        highest = batch.max(axis=0)
        np.maximum(self._highest, highest, out=self._highest)
        np.minimum(self._lowest, lowest.min(axis=0), out=self._lowest)
        top = float(highest.max())
        if top >= self._top:
            before = self._n_top if top == self._top else 0
            self._top, self._n_top = top, before + int(np.count_nonzero(batch[:, highest == top] == top))

    def survey(self) -> Survey:
        """Return what was seen."""
        mean = self._total / np.maximum(self._measured, 1)
        return Survey(
            rows=self.rows,
            total=self._total_patterns,
            mean=mean,
            measured=self._measured,
            sums=self._sums_of_whole(mean),
            marks=self._marks,
            highest=self._highest,
            lowest=np.where(np.isfinite(self._lowest), self._lowest, np.float32(0)),
            n_highest=self._n_top,
            n_not_finite=self._n_not_finite,
            n_negative=self._n_negative,
            bad_counts=self._bad_counts,
            negative=self._negative,
            bad_rows=np.concatenate([np.empty(0, np.int64), *self._bad_rows]),
        )

    def _sums_of_whole(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the patterns' sums with the mean where their own masks took something; of an empty one still 0."""
        if not isinstance(self._good, Masks):
            return self._sums
        taken = np.zeros(len(self.rows))
        for places, good in batches(self._good):
            taken[places] = mean.sum() - good.reshape(len(good), -1) @ mean.ravel()
        return np.where(self._sums > 0, self._sums + taken, 0.0)


def ever_good(scan: Scan) -> NDArray[np.bool_]:
    """Return (N, N) where a scan has a good pixel in any pattern that is looked at."""
    if isinstance(scan.mask, Masks):
        return survey_of(scan).good
    return np.ones((scan.size, scan.size), bool) if scan.mask is None else scan.mask


def repeated_rows(scan: Scan, seen: Survey) -> NDArray[np.int64]:
    """Return the places of the patterns that hold the same counts as an earlier one, and any at all."""
    order = np.lexsort((seen.rows, *seen.marks.T))
    alike = (np.diff(seen.marks[order], axis=0) == 0).all(axis=1) & (seen.sums[order][1:] > 0)
    repeated: list[int] = []
    first = 0
    for place, same in enumerate(alike, 1):
        if not same:
            first = place
        elif len(repeated) >= _MOST_COMPARED or _alike(scan, seen.rows[order[first]], seen.rows[order[place]]):
            repeated.append(int(seen.rows[order[place]]))
    return np.sort(np.asarray(repeated, np.int64))


def _alike(scan: Scan, one: np.int64, other: np.int64) -> bool:
    return np.array_equal(scan.patterns[int(one)], scan.patterns[int(other)])


def flags(seen: Survey) -> dict[float, int]:
    """Return the values that detectors write where they do not count, and how many pixels hold each in all patterns.

    They are 2^k - 1 or 2^k - 2, whatever type they are stored in since, or the root of that; a pixel that has one
    never has another value, and lies far above the others. In as many patterns as cannot agree by chance any number is
    one that lies far above all that the others ever hold.
    """
    sticks = (seen.highest == seen.lowest) & (seen.highest >= _LOWEST_FLAG) & (seen.measured >= _FEWEST_TO_STICK)
    others = seen.highest[~sticks & seen.good]
    lit = seen.good & (seen.highest > 0)
    if np.array_equal(seen.highest[lit], seen.lowest[lit]):  # one pattern again and again
        return {}
    if others.size < sticks.size / 2:
        return {}
    usual = float(np.median(others))
    values, counts = np.unique(seen.highest[sticks], return_counts=True)
    ends = 2.0 ** np.arange(8, 65)
    known = np.concatenate([ends - 1, ends - 2]).astype(np.float32)
    known = np.concatenate([known, np.sqrt(known)])
    is_flag = np.isin(values, known) & (values > _ABOVE_OTHERS * usual)
    if len(seen.rows) >= _ENOUGH_TO_STICK:
        is_flag |= values.astype(np.float64) > _ABOVE_OTHERS * float(others.max(initial=0))
    return {float(value): int(count) for value, count in zip(values[is_flag], counts[is_flag], strict=True)}


def outliers(sums: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which patterns have counts (n,) unlike the others': `FARTHEST_MADS` or more from their median.

    The spread is that of the median absolute deviation, which outliers do not widen, and at least that of counting
    photons, so that equal patterns make no outlier of a single count.
    """
    middle = np.median(sums)
    spread = max(_SIGMA_PER_MAD * float(np.median(abs(sums - middle))), math.sqrt(middle), 1e-12)
    unlike: NDArray[np.bool_] = abs(sums - middle) >= FARTHEST_MADS * spread
    return unlike


def batches(stack: Stack[_Value]) -> Iterator[tuple[slice, NDArray[_Value]]]:
    """Yield (places, patterns or masks (b, y, x)) over all of a stack in order, a few megabytes at a time."""
    size = max(1, _BATCH_BYTES // (4 * stack.shape[1] * stack.shape[2]))
    for start in range(0, len(stack), size):
        places = slice(start, min(start + size, len(stack)))
        yield places, stack[places]


def rows_to_look_at(patterns: Stack[Any]) -> NDArray[np.int64]:
    """Return the places of all patterns, or of a sample of a large stack."""
    source = patterns.source
    pattern_bytes = source.dtype.itemsize * int(np.prod(source.shape[1:]))
    if len(patterns) * pattern_bytes <= LOOK_AT_ALL_BYTES:
        return np.arange(len(patterns))
    count = min(len(patterns), max(1, SAMPLE_BYTES // pattern_bytes))
    stretch = max(1, min(max(patterns.together, _STRETCH_BYTES // pattern_bytes), count // _FEWEST_STRETCHES))
    starts = np.linspace(0, len(patterns) - 1, count // stretch).astype(np.int64) // stretch * stretch
    return np.unique((starts[:, None] + np.arange(stretch)).clip(max=len(patterns) - 1))
