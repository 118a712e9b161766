"""Detector pixels that do not count right: at the end of their range, hot, or dead; and the step that masks them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.outlier_checks import FEWEST
from ptycho_core.preprocessing.centring import centre_of_mass
from ptycho_core.scan.dead_pixels import dead_pixels
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey

OFF_CENTRE = 1 / 8
"""Of a pattern's width: what lies closer to the middle may be the beam."""
_HOT = 10.0
_FEWEST_AT_LIMIT, _FAR_ABOVE = 8, 20.0
_NEAR_THE_TOP, _LOWEST_END = 0.8, 8.0
"""What part of the largest value is near it, and the least value that a cut is looked for at."""


def check_pixels(scan: Scan, seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of single pixels."""
    yield from _saturated(seen)
    yield from _hot(scan, seen)
    yield from _dead(seen)


def _saturated(seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of a largest value that is the end of a detector's range, or that many pixels end at."""
    top = seen.maximum
    pixels = int(np.count_nonzero(seen.highest == top))
    bits = round(math.log2(top + 1)) if top > 0 else 0
    ends = [float(np.float32(2.0**bits - less)) for less in (1, 2)]
    alone = top > _FAR_ABOVE * np.quantile(seen.highest, 0.99)
    if bits >= 8 and top in ends and seen.n_highest >= (1 if alone else _FEWEST_AT_LIMIT):
        why = f"the end of a range of {bits} bits, where a detector no longer counts"
    elif _end_together(seen, pixels):
        why = "so many do not end at one number by themselves, so a detector counted no further, or they were cut off"
    else:
        return
    yield Problem(
        "saturated",
        f"{seen.n_highest} values in {pixels} pixels are {top:g}, and none is larger: {why}{seen.extent}; mask these "
        "pixels",
        "warning",
        (Fix("mask the pixels that reach it", "--saturation", f"{top:.9g}"),),
    )


def _end_together(seen: Survey, pixels: int) -> bool:
    """Tell whether more pixels reach the largest value than come near it: of photons ever fewer reach higher counts."""
    top = seen.maximum
    near = (seen.highest < top) & (seen.highest >= min(top - 1, _NEAR_THE_TOP * top))
    return bool(top >= _LOWEST_END and pixels >= _FEWEST_AT_LIMIT and pixels > np.count_nonzero(near & seen.good))


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
        hot &= np.hypot(y - row, x - column) > OFF_CENTRE * scan.size
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


def _dead(seen: Survey) -> Iterator[Problem]:
    """Yield what is to say of pixels that never count a photon where those beside them do."""
    dead = dead_pixels(seen)
    if dead.any():
        yield Problem(
            "dead",
            f"{np.count_nonzero(dead)} pixels hold nothing in any pattern and lie between others that many photons "
            f"reach{seen.extent}: dead pixels, or gaps between the detector's modules; mask them",
            "warning",
            (Fix("mask the dead pixels", "--dead-pixels", ""),),
        )
