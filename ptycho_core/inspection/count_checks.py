"""What is wrong with the counts of a scan, seen in its survey, and the step that puts it right. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.preprocessing.centring import centre_of_mass
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, repeated_rows

FEWEST = 8
"""Patterns without which nothing is said of what is usual among them."""
_BRIGHT, _BRIGHTER_THAN_MOST = 10.0, 5.0
_DIM = 0.05
_NEIGHBOURS, _UNLIKE_NEIGHBOURS, _SIGMAS = 8, 2.5, 8.0
"""How many neighbours a pattern is compared with, by how many times it differs from them, and how far beyond noise."""
_OFF_CENTRE = 1 / 8
"""Of a pattern's width."""
_LISTED = 10
_DARK = 0.1
"""Part of the pixels that is looked at for a pedestal: those with the fewest counts."""
_SMALLEST_PEDESTAL = 3.0
_HOT = 10.0
_FEWEST_AT_LIMIT, _FAR_ABOVE = 8, 20.0
_LARGEST_LOGARITHM = 25.0
"""Of any number of photons; what is not larger and no counts may be one."""
_ROUNDING = 1e-5
_MOST_PHOTONS = 1000
"""Beyond as many the rounding of float32 hides what is whole."""
_WHOLE = 0.02
_ENOUGH_MULTIPLES = 20
"""Numbers that have no divisor in common by chance."""
_SAME_SUM = 1e-5
"""Relative spread of sums that rounding in float32 leaves; photons leave one over the root of their number."""


def check_counts(scan: Scan, seen: Survey) -> list[Problem]:
    """Look for patterns unlike the others, and for values that are no photons counted by a detector."""
    if not seen.sums.any():
        return [Problem("patterns", f"all {len(seen.rows)} patterns looked at hold nothing but zeros")]
    return [
        *_empty(seen),
        *_unusual(scan, seen),
        *_repeated(scan, seen),
        *_saturated(seen),
        *_hot(scan, seen),
        *(_normalised(scan, seen) or _pedestal(seen)),
        *_off_centre(scan, seen),
    ]


def listed(rows: NDArray[np.int64]) -> str:
    """Return the first of some places of patterns, and how many more there are."""
    more = f" and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    return ", ".join(map(str, rows[:_LISTED])) + more


def _empty(seen: Survey) -> Iterator[Problem]:
    empty = seen.empty_rows
    if len(empty):
        message = f"{len(empty)} patterns hold nothing but zeros{seen.extent}: {listed(empty)}; leave them out"
        yield Problem("patterns", f"{message} of the scan", "warning", (_drop_dead(seen),))


def _drop_dead(seen: Survey) -> Fix:
    part = _DIM if np.median(seen.sums) else 0.0
    return Fix("leave out patterns with hardly any counts", "--drop-dead", f"{part:g}")


def _unusual(scan: Scan, seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of patterns that are far brighter than nearly all or their neighbours, or far darker."""
    alive = seen.sums > 0
    sums, rows = seen.sums[alive], seen.rows[alive]
    if len(sums) < FEWEST:
        return
    median, high = np.median(sums), np.quantile(sums, 0.9, method="lower")
    around = _around(scan.positions[rows], sums)
    beyond_noise = abs(sums - around) > _SIGMAS * np.sqrt(around)
    bright = (sums > _BRIGHT * median) & (sums > _BRIGHTER_THAN_MOST * high)
    bright |= beyond_noise & (sums > _UNLIKE_NEIGHBOURS * np.maximum(around, median))
    if bright.any():
        usual = np.median(seen.sums)
        factor = math.sqrt(sums[bright].min() * sums[~bright].max()) / usual if usual else _BRIGHT
        times = sums[bright].max() / median
        fix = Fix("leave out the bright patterns", "--drop-bright", f"{factor:.3g}")
        if sums[bright].min() <= sums[~bright].max():  # brighter than what lies around them, not than all
            fix = _drop(rows[bright])
        message = f"{np.count_nonzero(bright)} patterns hold far more counts than the others, up to {times:.3g} times"
        yield Problem(
            "bright",
            f"{message} the median{seen.extent}: {listed(rows[bright])}; leave them out of the scan",
            "warning",
            (fix,),
        )
    dim = sums < _DIM * median
    dim |= beyond_noise & (sums * _UNLIKE_NEIGHBOURS < np.minimum(around, median))
    if dim.any() and dim.mean() < 0.5:
        fix = _drop_dead(seen)
        if (sums[dim] >= _DIM * median).any():
            fraction = math.sqrt(sums[dim].max() * sums[~dim].min()) / np.median(seen.sums)
            above = sums[dim].max() < sums[~dim].min() and fraction < 1
            fix = Fix(fix.label, fix.field, f"{fraction:.3g}") if above else _drop(rows[dim])
        yield Problem(
            "dim",
            f"{np.count_nonzero(dim)} patterns hold far fewer counts than the others, down to "
            f"{sums[dim].min() / median:.2g} of the median{seen.extent}: {listed(rows[dim])}; leave them out if the "
            "beam was off",
            "warning",
            (fix,),
        )


def _drop(rows: NDArray[np.int64]) -> Fix:
    return Fix("leave these patterns out", "--drop-patterns", " ".join(map(str, rows)))


def _around(positions: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the counts (n,) of the patterns nearest to each: neighbours see much the same sample."""
    from scipy.spatial import cKDTree  # as in grouping

    places = cKDTree(positions).query(positions, k=min(_NEIGHBOURS + 1, len(positions)))[1]
    around: NDArray[np.float64] = np.median(sums[places[:, 1:]], axis=1)
    return around


def _repeated(scan: Scan, seen: Survey) -> Iterator[Problem]:
    rows = repeated_rows(scan, seen)
    if len(rows):
        yield Problem(
            "repeated",
            f"{len(rows)} patterns repeat an earlier one count by count{seen.extent}: {listed(rows)}; photons never "
            "do, so the detector delivered one twice: leave them out of the scan",
            "warning",
            (Fix("leave out what is repeated", "--drop-repeated", ""),),
        )


def _saturated(seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of a largest value that is the end of a detector's range, and that many pixels reach."""
    top = seen.maximum
    bits = round(math.log2(top + 1)) if top > 0 else 0
    ends = [float(np.float32(2.0**bits - less)) for less in (1, 2)]
    alone = top > _FAR_ABOVE * np.quantile(seen.highest, 0.99)
    if bits < 8 or top not in ends or seen.n_highest < (1 if alone else _FEWEST_AT_LIMIT):
        return
    pixels = np.count_nonzero(seen.highest == top)
    yield Problem(
        "saturated",
        f"{seen.n_highest} values in {pixels} pixels are {top:.0f}, and none is larger: the end of a range of {bits} "
        f"bits, where a detector no longer counts{seen.extent}; mask these pixels",
        "warning",
        (Fix("mask the pixels that reach it", "--saturation", f"{top:.0f}"),),
    )


def _hot(scan: Scan, seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of pixels far from the beam that never hold as little as those around them ever do."""
    if scan.geometry.propagator == "near" or len(seen.rows) < FEWEST:
        return
    from scipy.ndimage import maximum_filter  # as in grouping

    beside = np.ones((3, 3), bool)
    beside[1, 1] = False  # a sharp edge of the beam has others on its inner side
    around = maximum_filter(np.where(seen.good, seen.highest, np.inf), footprint=beside, mode="nearest")
    hot = seen.good & (seen.lowest > _HOT * np.maximum(around, 1))
    if not hot.any():
        return
    y, x = np.indices(hot.shape)
    for row, column in ((scan.size // 2, scan.size // 2), centre_of_mass(seen.mean, seen.good & ~hot)):
        hot &= np.hypot(y - row, x - column) > _OFF_CENTRE * scan.size
    if not hot.any():
        return
    least, others = float(seen.lowest[hot].min()), float(seen.highest[seen.good & ~hot].max())
    above_all = least > others
    fix = ("--saturation", f"{math.sqrt(least * max(others, 1)):.6g}") if above_all else ("--hot-pixels", f"{_HOT:g}")
    message = (
        f"{np.count_nonzero(hot)} pixels far from the beam never hold less than {least:.4g}, over {_HOT:g} times the "
        f"most that those around them do{seen.extent}: they are hot; mask them"
    )
    yield Problem("hot", message, "warning", (Fix("mask the hot pixels", *fix),))


def _normalised(scan: Scan, seen: Survey) -> list[Problem]:
    """Return what is to say of values that are in other units than photons."""
    if scan.patterns.source.dtype.kind != "f":
        divisor = _common_divisor(seen)
        return [_in_units_of(divisor)] if divisor > 1 else []
    problems = []
    mean = float(seen.sums.mean())
    if len(seen.sums) >= FEWEST and seen.sums.std() < _SAME_SUM * mean:
        message = f"all patterns hold the same sum, {mean:.4g}: they were divided by it, one by one, or are no photons"
        help_ = "take them as they were measured, or undo it: the step monitor with 1 over each divisor as its reading"
        problems.append(Problem("normalised", f"{message} that were counted; {help_}", "warning"))
    unit = photon_unit(seen)
    if unit is not None and abs(unit - 1) > 1e-4:
        problems.append(_in_units_of(unit))
    elif unit is None and seen.maximum <= 1.0001 and not problems:
        message = f"no value is larger than {seen.maximum:.4g}: the patterns were normalised, and nobody knows how many"
        help_ = "photons they hold: multiply them by what makes a photon 1 (the step scale)"
        problems.append(Problem("normalised", f"{message} {help_}", "warning"))
    elif unit is None and seen.maximum < _LARGEST_LOGARITHM and _are_perhaps_counts(scan):
        message = f"no value is larger than {seen.maximum:.3g}, and they are no whole numbers: perhaps logarithms"
        fixes = (
            Fix("they are ln(1 + counts)", "data", "log"),
            Fix("they are log10(1 + counts)", "data", "log10"),
            Fix("they are amplitudes", "data", "amplitude"),
        )
        problems.append(Problem("normalised", f"{message}, or amplitudes", "warning", fixes))
    return problems


def _in_units_of(unit: float) -> Problem:
    fix = Fix(f"multiply by {1 / unit:.6g}", "--scale", f"{1 / unit:.9g}")
    message = f"all values looked at are whole multiples of {unit:.4g}, a photon's count: multiply by its inverse"
    return Problem("normalised", message, "warning", (fix,))


def _common_divisor(seen: Survey) -> int:
    """Return what all largest values of pixels are multiples of, where whole numbers are stored and enough differ."""
    values = np.unique(seen.highest[seen.highest > 0])
    if len(values) < _ENOUGH_MULTIPLES or (values != np.rint(values)).any():
        return 1
    return int(np.gcd.reduce(values.astype(np.int64)))


def _are_perhaps_counts(scan: Scan) -> bool:
    """Tell whether values were taken for counts without knowing."""
    return any(one.key == "data" and one.value == "counts" and not one.answered for one in scan.assumptions)


def photon_unit(seen: Survey) -> float | None:
    """Return the number of which the pixels' largest values are whole multiples; None where there is none.

    With enough of them, two differ by one photon.
    """
    values = np.unique(seen.highest.astype(np.float64))
    values = values[values > 0]
    gaps = np.diff(values)
    gaps = gaps[gaps > _ROUNDING * values[1:]]
    if len(gaps) < FEWEST:
        return None
    unit = float(gaps.min())
    low = values[values < _MOST_PHOTONS * unit]
    for most in (30, _MOST_PHOTONS):  # a gap is known to fewer digits than what spans many
        few = low[low < most * unit]
        multiples = np.rint(few / unit)
        if not len(few) or abs(few / unit - multiples).max() > _WHOLE * 10:
            return None
        unit = float((few * multiples).sum() / (multiples**2).sum())
    return unit if len(low) >= FEWEST and abs(low / unit - np.rint(low / unit)).max() < _WHOLE else None


def _pedestal(seen: Survey) -> list[Problem]:
    """Return what is to say of a constant in all pixels.

    Where photons fall, the least of k counts lies about ``sqrt(2 m ln k)`` below their mean m; a constant has none of
    that spread.
    """
    good = seen.good
    mean, lowest = seen.mean[good], seen.lowest[good].astype(np.float64)
    if len(seen.rows) < FEWEST or not mean.size:
        return []
    dark = mean <= np.quantile(mean, _DARK)
    level, least = float(np.median(mean[dark])), float(np.median(lowest[dark]))
    spread = float((mean - lowest)[dark].mean())
    if level < _SMALLEST_PEDESTAL or spread > 0.5 * math.sqrt(2 * level * math.log(len(seen.rows))):
        return []
    same = np.mean(lowest[dark] == least) > 0.5
    fix = Fix("subtract the pedestal", "--pedestal", f"{least if same else level:.6g}")
    message = f"the darkest tenth of the pixels holds {level:.4g} in all patterns, and never less than"
    text = f"{message} {lowest[dark].min():.4g}: photons would come and go, so it is a detector's offset: subtract it"
    return [Problem("pedestal", text, "warning", (fix,))]


def _off_centre(scan: Scan, seen: Survey) -> Iterator[Problem]:
    if scan.geometry.propagator == "near":  # a shadow has no centre
        return
    y, x = centre_of_mass(seen.mean, seen.good)
    middle = scan.size // 2
    if max(abs(y - middle), abs(x - middle)) > _OFF_CENTRE * scan.size:
        yield Problem(
            "centre",
            f"the mean pattern has its centre of mass at pixel ({y:.4g}, {x:.4g}), and ({middle}, {middle}) is taken "
            "for the undiffracted beam: centre the patterns, and crop them after that",
            "warning",
            (Fix("centre the patterns", "--centre", "mass"),),
        )
