"""Values that are no photons: normalised, in other units, or on a pedestal; and the step that brings them back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.outlier_checks import FEWEST
from ptycho_core.scan.photon_units import photon_unit, unit_of_pattern
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey

_LARGEST_LOGARITHM = 25.0
"""Of any number of photons; what is not larger and no counts may be one."""
_ENOUGH_MULTIPLES = 20
"""Whole numbers that have no divisor in common by chance."""
_SAME_SUM = 1e-5
"""Relative spread of sums that rounding in float32 leaves; photons leave one over the root of their number."""
_SAME_UNIT = 1e-3
_MOST_READ, _MOST_READ_BYTES = 48, 32 * 2**20
"""Patterns that are looked at one by one, and what they may take."""
_DARK = 0.1
"""Part of the pixels that is looked at for a pedestal: those with the fewest counts."""
_SMALLEST_PEDESTAL = 3.0
_QUIET = 0.5
"""Part of the spread of photons, below which there were none."""
_BYTE = 200, 255
"""Largest value of images that were scaled to 8 bits."""
_LEAST_FANO, _CALM = 0.6, 0.1
"""Variance over mean, by that of photons, of the tenth of the pixels that vary least: there the sample adds nothing."""
_FEWEST_PIXELS = 50


def check_units(scan: Scan, seen: Survey) -> list[Problem]:
    """Return what is to say of values that are no counts of photons."""
    some = functools.cache(lambda: _some_patterns(scan, seen))  # read again only where they have to tell
    return _normalised(scan, seen, some) or _pedestal(seen, some) or _scaled_down(scan, seen, some)


def _some_patterns(scan: Scan, seen: Survey) -> NDArray[np.float32]:
    """Return evenly spread ones of the patterns that were looked at and hold anything, NaN where they are masked."""
    rows = seen.rows[seen.sums > 0]
    count = min(_MOST_READ, max(FEWEST, _MOST_READ_BYTES // (4 * scan.size**2)), len(rows))
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))]
    patterns = scan.patterns[rows]
    good = scan.good_pixels(rows)
    return patterns if good is None else np.where(good, patterns, np.float32(np.nan))


def _normalised(scan: Scan, seen: Survey, some: Callable[[], NDArray[np.float32]]) -> list[Problem]:
    """Return what is to say of values that are in other units than photons."""
    if scan.patterns.source.dtype.kind != "f":
        unit = photon_unit(seen.highest, _ENOUGH_MULTIPLES)
        return [_in_units_of(unit)] if unit is not None and unit > 1 else []
    unit = photon_unit(seen.highest)
    if unit is not None:
        return [_in_units_of(unit)] if abs(unit - 1) > 1e-4 else []
    each = [unit_of_pattern(pattern) for pattern in some()]
    known = [one for one in each if one is not None]
    if len(known) == len(each) >= FEWEST and max(known) > (1 + _SAME_UNIT) * min(known):
        message = (
            f"in each pattern all values are whole multiples of a number of its own, {min(known):.4g} to "
            f"{max(known):.4g}: counts that were divided one by one, by a monitor or by their sum; count photons again"
        )
        return [
            Problem("normalised", message, "warning", (Fix("multiply each so that a photon is 1", "--photons", ""),))
        ]
    mean = float(seen.sums.mean())
    if len(seen.sums) >= FEWEST and seen.sums.std() < _SAME_SUM * mean:
        message = f"all patterns hold the same sum, {mean:.4g}: they were divided by it, one by one, or are no photons"
        help_ = "take them as they were measured, or undo it: the step monitor with 1 over each divisor as its reading"
        return [Problem("normalised", f"{message} that were counted; {help_}", "warning")]
    if seen.maximum <= 1.0001:
        message = f"no value is larger than {seen.maximum:.4g}: the patterns were normalised, and nobody knows how many"
        help_ = "photons they hold: multiply them by what makes a photon 1 (the step scale)"
        return [Problem("normalised", f"{message} {help_}", "warning")]
    if seen.maximum < _LARGEST_LOGARITHM and _are_perhaps_counts(scan):
        message = f"no value is larger than {seen.maximum:.3g}, and they are no whole numbers: perhaps logarithms"
        fixes = (
            Fix("they are ln(1 + counts)", "data", "log"),
            Fix("they are log10(1 + counts)", "data", "log10"),
            Fix("they are amplitudes", "data", "amplitude"),
        )
        return [Problem("normalised", f"{message}, or amplitudes", "warning", fixes)]
    return []


def _in_units_of(unit: float) -> Problem:
    fix = Fix(f"multiply by {1 / unit:.6g}", "--scale", f"{1 / unit:.9g}")
    message = f"all values looked at are whole multiples of {unit:.4g}, a photon's count: multiply by its inverse"
    return Problem("normalised", message, "warning", (fix,))


def _are_perhaps_counts(scan: Scan) -> bool:
    """Tell whether values were taken for counts without knowing."""
    return any(one.key == "data" and one.value == "counts" and not one.answered for one in scan.assumptions)


def _pedestal(seen: Survey, some: Callable[[], NDArray[np.float32]]) -> list[Problem]:
    """Return what is to say of a constant in all pixels, or of one in each pattern.

    Where photons fall, the least of k counts lies about ``sqrt(2 m ln k)`` below their mean m, and those of dark pixels
    spread by ``sqrt(m)`` within a pattern; a constant has none of that.
    """
    good = seen.good
    if len(seen.rows) < FEWEST or not good.any():
        return []
    dark = good & (seen.mean <= np.quantile(seen.mean[good], _DARK))
    mean, lowest = seen.mean[dark], seen.lowest[dark].astype(np.float64)
    level, least = float(np.median(mean)), float(np.median(lowest))
    if level < _SMALLEST_PEDESTAL:
        return []
    if (mean - lowest).mean() < _QUIET * math.sqrt(2 * level * math.log(len(seen.rows))):
        same = np.mean(lowest == least) > 0.5
        fix = Fix("subtract the pedestal", "--pedestal", f"{least if same else level:.6g}")
        message = f"the darkest tenth of the pixels holds {level:.4g} in all patterns, and never less than"
        text = f"{message} {lowest.min():.4g}: photons would come and go, so it is a detector's offset: subtract it"
        return [Problem("pedestal", text, "warning", (fix,))]
    values = some()[:, dark].astype(np.float64) - mean
    levels = np.nanmedian(values, axis=1)
    spread = np.nanmean(abs(values - levels[:, None]), axis=1) / math.sqrt(2 / math.pi)
    if np.median(spread) > _QUIET * math.sqrt(level) or np.ptp(levels) < math.sqrt(level):
        return []
    low, high = level + levels.min(), level + levels.max()
    message = (
        f"the darkest tenth of the pixels holds much the same number within a pattern, from {low:.4g} to {high:.4g} in "
        "different ones: photons would differ from pixel to pixel, so it is a detector's offset that drifts: subtract "
        "it from each"
    )
    return [Problem("pedestal", message, "warning", (Fix("subtract each pattern's own", "--pedestal", "each"),))]


def _scaled_down(scan: Scan, seen: Survey, some: Callable[[], NDArray[np.float32]]) -> list[Problem]:
    """Return what is to say of whole numbers that end where 8 bits do and vary less than photons.

    Of counts the variance over the patterns is at least their mean, and more where the sample adds to it; of counts
    times a factor it is as much smaller.
    """
    if not _BYTE[0] <= seen.maximum <= _BYTE[1] or (seen.highest != np.rint(seen.highest)).any():
        return []
    patterns = some()
    if len(patterns) < 2 * FEWEST or (patterns != np.rint(patterns)).any():
        return []
    mean = patterns.mean(axis=0, dtype=np.float64)
    bright = seen.good & (mean > 1)
    if np.count_nonzero(bright) < _FEWEST_PIXELS:
        return []
    fano = float(np.quantile(patterns.var(axis=0, ddof=1, dtype=np.float64)[bright] / mean[bright], _CALM))
    free = 2 / (9 * (len(patterns) - 1))
    photons = (1 - free - 1.2816 * math.sqrt(free)) ** 3  # that quantile of chi squared (Wilson and Hilferty 1931)
    if fano > _LEAST_FANO * photons:
        return []
    message = (
        f"the values end at {seen.maximum:.0f} and vary from pattern to pattern {fano / photons:.2g} times as much as "
        "photons do: images of 8 bits of counts that were scaled down, or of their roots; read the counts themselves, "
        "or multiply by what makes a photon 1"
    )
    times = float(f"{photons / max(fano, 1e-3):.2g}")
    return [Problem("normalised", message, "warning", (Fix(f"multiply by about {times:g}", "--scale", f"{times:g}"),))]
