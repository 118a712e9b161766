"""Steps that leave patterns out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import DropBright, DropDead, DropDuplicates, DropPatterns, DropRepeated, Every, Region
from ptycho_core.scan.survey import repeated_rows, survey_of


def region(step: Region, scan: Scan) -> Scan:
    """Keep the patterns whose positions lie in a rectangle."""
    positions = scan.positions
    if step.unit == "um":
        if scan.pixel_size_m is None:
            raise InputError("region: unit um needs the object pixel size, which the scan does not tell: give pixels")
        positions = positions * np.asarray(scan.pixel_size_m) * 1e6
    within = (positions >= (step.top, step.left)) & (positions <= (step.bottom, step.right))
    inside: NDArray[np.bool_] = np.asarray(within.all(axis=1))
    if not inside.any():
        low, high = positions.min(axis=0), positions.max(axis=0)
        raise InputError(
            f"region: no position lies there; y goes from {low[0]:.5g} to {high[0]:.5g} and x from {low[1]:.5g} to "
            f"{high[1]:.5g} {step.unit}"
        )
    where = f"{step.top:g} <= y <= {step.bottom:g} and {step.left:g} <= x <= {step.right:g} {step.unit}"
    return _keep(scan, inside, f"with {where}")


def every(step: Every, scan: Scan) -> Scan:
    """Keep every k-th pattern."""
    if step.start >= len(scan):
        raise InputError(f"every: start must be below the number of patterns, {len(scan)} (it is {step.start})")
    places = np.arange(len(scan)) - step.start
    return _keep(scan, (places >= 0) & (places % step.k == 0), f"that are every {step.k}. from {step.start} on")


def drop_dead(step: DropDead, scan: Scan) -> Scan:
    """Leave out patterns with hardly any counts: one pass over all of them, in bounded memory."""
    sums = survey_of(scan, everything=True).sums
    alive = sums > step.fraction * np.median(sums)
    if not alive.any():
        raise InputError("drop_dead: no pattern would be left; most of them hold no counts")
    return _keep(scan, alive, f"with more than {step.fraction:g} of the median pattern's counts")


def drop_bright(step: DropBright, scan: Scan) -> Scan:
    """Leave out patterns with far too many counts: one pass over all of them, in bounded memory."""
    sums = survey_of(scan, everything=True).sums
    median = np.median(sums)
    if not median:
        raise InputError("drop_bright: most of the patterns hold no counts; leave these out first")
    return _keep(scan, sums <= step.factor * median, f"with at most {step.factor:g} times the median pattern's counts")


def drop_repeated(step: DropRepeated, scan: Scan) -> Scan:
    """Leave out patterns that are the same as an earlier one."""
    kept = np.ones(len(scan), bool)
    kept[repeated_rows(scan, survey_of(scan, everything=True))] = False
    return _keep(scan, kept, "that repeat no earlier one")


def drop_duplicates(step: DropDuplicates, scan: Scan) -> Scan:
    """Leave out patterns that lie where an earlier one does that is kept."""
    kept = np.ones(len(scan), bool)
    from scipy.spatial import cKDTree  # as in grouping

    pairs = cKDTree(scan.positions).query_pairs(step.distance_px, output_type="ndarray")
    pairs.sort(axis=1)
    for earlier, later in pairs[np.lexsort(pairs.T)]:  # by the later one: all that could rule it out is settled
        if kept[earlier]:
            kept[later] = False
    return _keep(scan, kept, f"further than {step.distance_px:g} px from every earlier one")


def drop_patterns(step: DropPatterns, scan: Scan) -> Scan:
    """Leave out patterns that are named."""
    beyond = max(step.rows)
    if beyond >= len(scan):
        raise InputError(f"drop_patterns: places must be below the number of patterns, {len(scan)} (it is {beyond})")
    kept = np.ones(len(scan), bool)
    kept[list(step.rows)] = False
    if not kept.any():
        raise InputError("drop_patterns: no pattern would be left")
    return _keep(scan, kept, "that are not named")


def _keep(scan: Scan, kept: NDArray[np.bool_], which: str) -> Scan:
    note = f"kept the {np.count_nonzero(kept)} of {len(scan)} patterns {which}"
    return scan.take(np.flatnonzero(kept)).replace(note)
