"""What is wrong with a scan that could be read, and what would put it right. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, survey_of
from ptycho_core.scan.units import UNITS

SMALLEST_STEP_PX = 0.05
"""Neighbouring patterns closer than this cannot be told apart: the unit must be another."""
LARGEST_STEP_M = 1e-4
SMALLEST_STEP_M = 1e-10
"""Steps of a ptychographic scan lie between these, whatever the radiation."""
_COLLINEAR = 1e-3
_FEWEST_GOOD_PIXELS = 0.5
_PHOTON_EV = (10.0, 1e6)
_LISTED = 10


def check_scan(scan: Scan, seen: Survey | None = None, step_px: float | None = None) -> list[Problem]:
    """Look for what would spoil a reconstruction.

    Parameters
    ----------
    scan
        To look at.
    seen
        Of its patterns, where they were looked at before.
    step_px
        `median_step_px` of its positions, where it is known.

    Returns
    -------
    list of Problem
        Empty where all is well. ``fixes`` name settings of `scan.settings.SETTINGS`.
    """
    return [
        *_check_growth(scan),
        *_check_patterns(seen or survey_of(scan)),
        *_check_positions(scan, median_step_px(scan.positions) if step_px is None else step_px),
        *_check_probe(scan),
        *_check_mask(scan),
        *_check_geometry(scan),
    ]


def median_step_px(positions: NDArray[np.float64]) -> float:
    """Return the median distance of a position from the nearest other one, repeated ones counted once; 0 if alone."""
    # As complex numbers, not by rows: np.unique with an axis holds the interpreter up for all threads.
    places = np.unique(np.ascontiguousarray(positions).view(np.complex128)).view(np.float64).reshape(-1, 2)
    if len(places) < 2:
        return 0.0
    from scipy.spatial import cKDTree  # as in grouping

    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))


def _check_growth(scan: Scan) -> list[Problem]:
    if not scan.growing:
        return []
    message = (
        f"the file is still being written, these are the {len(scan)} patterns that it held when it was opened: refresh "
        "to see what has been added; a run on them cannot be resumed once the file has changed"
    )
    return [Problem("growing", message, "warning")]


def _check_patterns(seen: Survey) -> list[Problem]:
    empty = seen.empty_rows
    if len(empty) == len(seen.rows):
        return [Problem("patterns", f"all {len(empty)} patterns looked at hold nothing but zeros")]
    if len(empty):
        more = f" and {len(empty) - _LISTED} more" if len(empty) > _LISTED else ""
        listed = ", ".join(map(str, empty[:_LISTED])) + more
        message = f"{len(empty)} patterns hold nothing but zeros{seen.extent}: {listed}; leave them out of the scan"
        return [Problem("patterns", message, "warning")]
    return []


def _check_positions(scan: Scan, step: float) -> list[Problem]:
    positions = scan.positions
    if len(positions) == 1:
        return [Problem("positions", "the scan has one pattern; ptychography needs overlapping ones", "error")]
    spread = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    if spread[0] <= 1e-9 * max(1.0, float(abs(positions).max())):
        return [Problem("positions", f"all {len(positions)} positions are identical; each pattern needs its own place")]
    problems = _check_unit(scan, step)
    if spread[1] < _COLLINEAR * spread[0]:
        message = "all positions lie on one line: the object is only constrained along it, two directions are needed"
        problems.append(Problem("positions", message, "warning"))
    return problems


def _check_unit(scan: Scan, step: float) -> list[Problem]:
    if SMALLEST_STEP_PX <= step <= scan.size:
        return []
    unit = next((a.value for a in scan.assumptions if a.key == "position_unit"), "px")
    fixes = tuple(
        Fix(f"positions are in {other}", "position_unit", other) for other in _units_that_fit(scan, unit, step)
    )
    help_ = f"; the unit that would fit: {' or '.join(fix.value for fix in fixes)}" if fixes else ""
    size = "hardly a step" if step < SMALLEST_STEP_PX else f"more than a pattern's {scan.size} px, so nothing overlaps"
    message = f"neighbouring positions lie {step:.3g} px apart (read as {unit}), {size}{help_}"
    return [Problem("positions", message, "error", fixes)]


def _units_that_fit(scan: Scan, unit: str, step_px: float) -> list[str]:
    """Return the units in which the same numbers would be a plausible step."""
    pixel = scan.pixel_size_m
    metres = UNITS[unit]
    if metres is not None and pixel is None:
        return []
    number = step_px if metres is None or pixel is None else step_px * pixel[0] / metres
    fitting = []
    for other, factor in UNITS.items():
        if other == unit:
            continue
        if factor is None:
            fits = SMALLEST_STEP_PX <= number <= scan.size
        elif pixel is not None:
            fits = SMALLEST_STEP_PX <= number * factor / pixel[0] <= scan.size
        else:
            fits = SMALLEST_STEP_M <= number * factor <= LARGEST_STEP_M
        if fits:
            fitting.append(other)
    return fitting


def _check_probe(scan: Scan) -> list[Problem]:
    if scan.probe is None:
        return [Problem("probe", "the scan has no probe: a guess from its mean pattern is used", "warning")]
    if not scan.probe.any():
        ignore = Fix("start from a guess", "probe", "ignore")
        return [Problem("probe", "the probe is zero everywhere; leave it out to start from a guess", fixes=(ignore,))]
    if scan.probe.shape[-2:] == (scan.size, scan.size):
        return []
    fixes = (
        Fix("crop or pad it, same pixel size", "probe", "crop"),
        Fix("resample it, same field of view", "probe", "resample"),
        Fix("start from a guess", "probe", "ignore"),
    )
    height, width = scan.probe.shape[-2:]
    message = (
        f"the probe is {height} x {width} pixels, the patterns are {scan.size} x {scan.size}: crop or pad it where "
        "the pixel size is the same, resample it where the field of view is, or leave it out"
    )
    return [Problem("probe", message, "error", fixes)]


def _check_mask(scan: Scan) -> list[Problem]:
    if scan.mask is None or scan.mask.mean() >= _FEWEST_GOOD_PIXELS:
        return []
    message = f"the mask leaves {scan.mask.mean():.0%} of the pixels; if it is inverted, the file has it the wrong way"
    return [Problem("mask", message, "warning")]


def _check_geometry(scan: Scan) -> list[Problem]:
    energy = scan.geometry.energy_ev
    if energy is None or _PHOTON_EV[0] <= energy <= _PHOTON_EV[1]:
        return []
    fixes = tuple(
        Fix(f"{value:g} eV", "energy_ev", f"{value:g}")
        for value in (energy * 1e3, energy / 1e3)
        if _PHOTON_EV[0] <= value <= _PHOTON_EV[1]
    )
    message = f"the photon energy is {energy:g} eV; {_PHOTON_EV[0]:g} to {_PHOTON_EV[1]:g} eV would be plausible"
    return [Problem("energy_ev", message, "warning", fixes)]
