"""Pixels of a detector that never count, told by the light that falls beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.survey import Survey

_REACH = 1
"""Pixels to either side that have to have light: a wider gap may be a shadow, if it is no whole line."""
_PHOTONS, _PHOTONS_OF_LINE = 100.0, 1000.0
"""In all patterns together, of the darker side's brightest pixel or line: none at all is no chance then."""
_WIDEST_GAP = 1 / 4
"""Of the frame, for whole lines."""


def dead_pixels(seen: Survey) -> NDArray[np.bool_]:
    """Return (y, x) True where good pixels, of patterns that were looked at, hold nothing, between others that do.

    Light has to fall on the pixels right beside, above and below or left and right, as it does not at the edge
    of a beam; or the pixel is of a whole row or column without counts, between others that have many.
    """
    good = seen.good
    dark: NDArray[np.bool_] = good & (seen.highest == 0)
    if not dark.any():
        return dark
    light = np.where(good, seen.mean * seen.measured - seen.highest, 0.0)  # without what one pattern may have to itself
    dead = np.zeros(good.shape, bool)
    for axis in (0, 1):
        dead |= dark & (np.minimum(*_beside(light, axis, _REACH)) >= _PHOTONS)
        empty = (dark | ~good).all(axis=1 - axis)
        lines = light.sum(axis=1 - axis)
        reach = max(1, int(_WIDEST_GAP * len(lines)))
        gap = empty & (np.minimum(*_beside(lines, 0, reach)) >= _PHOTONS_OF_LINE)
        dead |= dark & np.expand_dims(gap, 1 - axis)
    return dead


def _beside(light: NDArray[np.float64], axis: int, reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the most light within so many pixels before each along an axis, and after it."""
    before, after = np.zeros_like(light), np.zeros_like(light)
    here, passed_before, passed_after = (np.moveaxis(image, axis, 0) for image in (light, before, after))
    for k in range(1, min(reach, len(here) - 1) + 1):
        np.maximum(passed_before[k:], here[:-k], out=passed_before[k:])
        np.maximum(passed_after[:-k], here[k:], out=passed_after[:-k])
    return before, after
