"""What number counts as one photon in values that are no whole numbers, or are whole multiples of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-5
_LARGEST_WHOLE = 2.0**62
_MOST_PHOTONS = 1000
"""Beyond as many the rounding of float32 hides what is whole."""
_WHOLE, _HARDLY_WHOLE = 0.02, 0.2
FEWEST_DIFFERENT = 8
"""Numbers that have no divisor in common by chance."""
_TIMES_EACH = 4
"""How often each number comes in a pattern, in the mean, as none would by chance: then few of them tell."""


def photon_unit(values: NDArray[np.floating], fewest: int = FEWEST_DIFFERENT) -> float | None:
    """Return the number of which values are whole multiples; None where there is none.

    With enough of them, two differ by one photon. Where whole numbers are stored, each may be off by a half.
    """
    values = np.unique(values[values > 0].astype(np.float64))
    gaps = np.diff(values, prepend=0.0)
    gaps = gaps[gaps > _ROUNDING * values]
    if not len(gaps) or len(gaps) < fewest:
        return None
    unit, off = float(gaps.min()), 0.0
    if (values == np.rint(values)).all() and values[-1] < _LARGEST_WHOLE:
        if (divisor := int(np.gcd.reduce(values.astype(np.int64)))) > 1:
            return float(divisor)
        if unit == 1:
            return unit
        off = 0.5 / unit
    low = values[values < _MOST_PHOTONS * unit]
    if len(low) < fewest or _WHOLE + off > _HARDLY_WHOLE:
        return None
    for most in (3, 10, 30, 100, _MOST_PHOTONS):  # a gap is known to fewer digits than what spans many
        few = low[low < (most + 0.5) * unit]
        multiples = np.rint(few / unit)
        if len(few) and abs(few / unit - multiples).max() > _HARDLY_WHOLE:
            return None
        unit = float((few * multiples).sum() / (multiples**2).sum()) if len(few) else unit
    return unit if abs(low / unit - np.rint(low / unit)).max() < _WHOLE + off else None


def unit_of_pattern(pattern: NDArray[np.float32]) -> float | None:
    """Return `photon_unit` of a single pattern (y, x), in which most pixels hold the same few numbers."""
    values = pattern[np.isfinite(pattern) & (pattern > 0)]
    different = np.unique(values)
    if len(values) < _TIMES_EACH * len(different):
        return photon_unit(different)
    return photon_unit(different, 1)
