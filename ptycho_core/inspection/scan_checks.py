"""What is wrong with a scan that could be read, and what would put it right. No torch here."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.formats.masks import COMMON, IGNORE, INVERT
from ptycho_core.inspection.count_checks import check_counts
from ptycho_core.inspection.outlier_checks import drop, listed
from ptycho_core.scan.grouping import probe_diameter
from ptycho_core.scan.plausible import implausible, slips
from ptycho_core.scan.scan import Geometry, Scan, asked_for
from ptycho_core.scan.survey import Survey, survey_of
from ptycho_core.scan.units import UNITS

SMALLEST_STEP_PX = 0.05
"""Neighbouring patterns closer than this cannot be told apart: the unit must be another."""
SMALLEST_USUAL_STEP_PX = 1.0
"""Below it a scan is denser than is usual: that may be meant, or a length may be wrong."""
LARGEST_STEP_M = 1e-4
SMALLEST_STEP_M = 1e-10
"""Steps of a ptychographic scan lie between these, whatever the radiation."""
_COLLINEAR = 1e-3
_STRAY_STEPS, _STRAY_VIEWS = 20.0, 2.0
_SHARED = 0.06
"""Part of the light of a probe that neighbouring views have to share."""
_APART_GUESS = 4.0
"""Steps in diameters of a guessed probe, which may be far narrower than the beam, from which on nothing overlaps."""
_FEWEST_GOOD_PIXELS = 0.5
_HARDLY_ANY_PIXELS = 0.1
_LOST = 0.05
"""Part of the counts that nobody crops away unseen."""
_MANY_MODES = 32
"""Of a probe: a beam has fewer."""
_LIGHT_AT_EDGE = 0.05
"""Of the mean light of a pixel in the near field: where there is more at the frame's edge, some comes from beyond."""


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
    step = median_step_px(scan.positions) if step_px is None else step_px
    seen = seen or survey_of(scan)
    return [
        *_check_growth(scan),
        *_check_doubts(scan),
        *_check_values(scan, seen),
        *_check_lost(scan),
        *_check_positions(scan, step),
        *_check_probe(scan),
        *_implausible(scan, step),
        *_check_source(scan),
        *_check_near_field(scan, seen),
    ]


def _check_values(scan: Scan, seen: Survey) -> list[Problem]:
    """Look at mask and counts: at these only where the mask is none that hides nearly all of them."""
    of_mask = _check_mask(scan, seen)
    hidden = any(problem.severity == "error" for problem in of_mask)
    return of_mask if hidden else [*check_counts(scan, seen), *of_mask]


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


def _check_lost(scan: Scan) -> list[Problem]:
    if scan.lost < _LOST:
        return []
    message = (
        f"{scan.lost:.0%} of the counts that the file holds were cropped away, or lie in blocks with a bad pixel: "
        "where that is not what was meant, centre the patterns first, or crop or bin them less"
    )
    return [Problem("lost", message, "warning")]


def _check_doubts(scan: Scan) -> list[Problem]:
    """Return what is to say of assumptions that may as well be otherwise."""
    problems = []
    for doubt in (one for one in scan.assumptions if one.doubtful):
        if doubt.key == "pairing":
            taken = f"patterns and positions are paired by {doubt.value}, and may belong together otherwise"
            label, look = "pair them by", "look at the table, then confirm it"
        else:
            taken, label = f"{doubt.key}={doubt.value} was taken, and it may be otherwise", f"{doubt.key} ="
            look = "look at the patterns, then confirm it"
        fixes = tuple(Fix(f"{label} {choice}", doubt.key, choice) for choice in doubt.choices)
        problems.append(Problem(doubt.key, f"{taken}: {doubt.reason}; {look}", "warning", fixes))
    return problems


def _check_positions(scan: Scan, step: float) -> list[Problem]:
    positions = scan.positions
    if len(positions) == 1:
        return [Problem("positions", "the scan has one pattern; ptychography needs overlapping ones", "error")]
    spread = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    if spread[0] <= 1e-9 * max(1.0, float(abs(positions).max())):
        return [Problem("positions", f"all {len(positions)} positions are identical; each pattern needs its own place")]
    problems = _check_unit(scan, step)
    stray = stray_rows(positions, step, scan.size)
    if len(stray):
        kept = np.delete(positions, stray, axis=0)
        problems.append(_stray(positions, stray))
        spread = np.linalg.svd(kept - kept.mean(axis=0), compute_uv=False)
    if spread[1] < _COLLINEAR * spread[0]:
        message = "all positions lie on one line: the object is only constrained along it, two directions are needed"
        problems.append(Problem("positions", message, "warning"))
    return problems + _repeated_places(positions, stray)


def stray_rows(positions: NDArray[np.float64], step: float, size: int) -> NDArray[np.int64]:
    """Return the places of positions far from most: beyond a gap of several steps and views, along y or along x.

    Nothing is called astray where that would be half of the scan or more.
    """
    gap = max(_STRAY_STEPS * step, _STRAY_VIEWS * size)
    kept = np.arange(len(positions))
    while True:
        before = len(kept)
        for axis in (0, 1):
            along = positions[kept, axis]
            order = np.argsort(along)
            groups = np.split(order, np.flatnonzero(np.diff(along[order]) > gap) + 1)
            kept = np.sort(kept[max(groups, key=len)])
        if len(kept) == before:
            break
    stray = np.setdiff1d(np.arange(len(positions)), kept)
    return stray if len(stray) < len(positions) / 2 else stray[:0]


def fix_for_strays(positions: NDArray[np.float64], stray: NDArray[np.int64]) -> Fix:
    """Return the step that keeps the region of the positions that are not astray."""
    top, left, bottom, right = _region_without(positions, stray)
    return Fix("keep the others", "--region", f"{top:.0f},{left:.0f},{bottom:.0f},{right:.0f}")


def _region_without(positions: NDArray[np.float64], stray: NDArray[np.int64]) -> NDArray[np.float64]:
    kept = np.delete(positions, stray, axis=0)
    return np.concatenate([np.floor(kept.min(axis=0)) - 1, np.ceil(kept.max(axis=0)) + 1])


def _stray(positions: NDArray[np.float64], stray: NDArray[np.int64]) -> Problem:
    top, left, bottom, right = _region_without(positions, stray)
    height, width = np.ptp(positions, axis=0)
    noun = "position lies" if len(stray) == 1 else "positions lie"
    message = (
        f"{len(stray)} {noun} far from all others: {listed(stray)}, the first at ({positions[stray[0], 0]:.5g}, "
        f"{positions[stray[0], 1]:.5g}) px; with them the object is {height:.0f} x {width:.0f} pixels, without "
        f"{bottom - top:.0f} x {right - left:.0f}: leave them out of the scan"
    )
    return Problem("positions", message, "warning", (fix_for_strays(positions, stray),))


def _repeated_places(positions: NDArray[np.float64], stray: NDArray[np.int64]) -> list[Problem]:
    """Return what is to say of places that come again, where it is not all of them that do."""
    places = np.ascontiguousarray(positions).view(np.complex128).ravel()
    _, first, counts = np.unique(places, return_index=True, return_counts=True)
    repeated = np.setdiff1d(np.setdiff1d(np.arange(len(places)), first), stray)
    if counts.min() > 1 or not len(repeated):
        return []
    fix = Fix("leave out what repeats a place", "--drop-duplicates", "")
    told = f"{len(repeated)} positions repeat an earlier one exactly: {listed(repeated)}"
    at_zero = np.flatnonzero(places == 0)
    if len(at_zero) > 1:  # what a program writes that knows no better
        message = (
            f"{told}, {len(at_zero)} lie at (0, 0): if these were not recorded, leave out all of them, the first too"
        )
        return [Problem("places", message, "warning", (drop(at_zero), fix))]
    message = f"{told}; if the stage did not stand still, they were not recorded: leave them out of the scan"
    return [Problem("places", message, "warning", (fix,))]


def _check_unit(scan: Scan, step: float) -> list[Problem]:
    if SMALLEST_USUAL_STEP_PX <= step <= scan.size:
        return []
    unit = _unit_of(scan)
    wrong = [] if UNITS[unit] is None else _implausible(scan, step)
    fixes = tuple(fix for problem in wrong for fix in problem.fixes)
    if fixes:  # a unit that makes up for a wrong distance would hide it
        help_ = f"; {wrong[0].message}: put that right first"
    else:
        usual = (SMALLEST_USUAL_STEP_PX, float(scan.size))
        units = _units_that_fit(scan, unit, step, usual) or _units_that_fit(scan, unit, step)
        fixes = tuple(Fix(f"positions are in {other}", "position_unit", other) for other in units)
        help_ = f"; the unit that would fit: {' or '.join(units)}" if units else ""
        if UNITS[unit] is not None and step > 0:
            meant = slips(scan.geometry, scan.size, (step / (scan.size / 2), step / SMALLEST_USUAL_STEP_PX))
            help_ += f"; or what gives the pixel size: {', '.join(fix.label for fix in meant)}" if meant else ""
            fixes += tuple(meant)
    told = f"neighbouring positions lie {step:.3g} px apart (read as {unit})"
    if SMALLEST_STEP_PX <= step < SMALLEST_USUAL_STEP_PX:
        return [Problem("positions", f"{told}, less than a pixel: few scans are as dense{help_}", "warning", fixes)]
    size = "hardly a step" if step < SMALLEST_STEP_PX else f"more than a pattern's {scan.size} px, so nothing overlaps"
    return [Problem("positions", f"{told}, {size}{help_}", "error", fixes)]


def _unit_of(scan: Scan) -> str:
    """Return the unit in which the positions were read."""
    return next((one.value for one in scan.assumptions if one.key == "position_unit"), "px")


def _units_that_fit(scan: Scan, unit: str, step_px: float, fits: tuple[float, float] | None = None) -> list[str]:
    """Return the units in which the same numbers would be a plausible step: in pixels, between what ``fits``."""
    least, most = fits or (SMALLEST_STEP_PX, scan.size)
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
            fitted = least <= number <= most
        elif pixel is not None:
            fitted = least <= number * factor / pixel[0] <= most
        else:
            fitted = SMALLEST_STEP_M <= number * factor <= LARGEST_STEP_M
        if fitted:
            fitting.append(other)
    return fitting


def _check_modes(scan: Scan, modes: int) -> list[Problem]:
    if modes <= _MANY_MODES:
        return []
    whose = "one for each pattern, as it seems" if modes == len(scan) else f"and more than {_MANY_MODES} are seldom"
    message = (
        f"the probe has {modes} modes, {whose}: a run takes the strongest alone; leave it out where it is no set of "
        "incoherent modes"
    )
    return [Problem("probe", message, "warning", (Fix("start from a guess", "probe", "ignore"),))]


def _check_probe(scan: Scan) -> list[Problem]:
    if scan.probe is None:
        return [Problem("probe", "the scan has no probe: a guess from its mean pattern is used", "warning")]
    if not scan.probe.any():
        ignore = Fix("start from a guess", "probe", "ignore")
        return [Problem("probe", "the probe is zero everywhere; leave it out to start from a guess", fixes=(ignore,))]
    if scan.probe.shape[-2:] == (scan.size, scan.size):
        return _check_modes(scan, len(scan.probe))
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


def _check_mask(scan: Scan, seen: Survey) -> list[Problem]:
    if scan.mask is None:
        return []
    of_single = [one.reason for one in scan.assumptions if one.key == "mask" and not one.answered]
    if of_single:
        return [Problem("mask", of_single[0], "warning", (COMMON, IGNORE))]
    left = seen.measured.mean() / len(seen.rows)
    if left < _FEWEST_GOOD_PIXELS:
        told = f"the mask leaves {left:.0%} of the pixels"
        if scan.source.path is None or scan.source.steps or "bad_pixels" in scan.source.settings:
            return [Problem("mask", f"{told}: steps masked most of them, or it is inverted", "warning")]
        if left < _HARDLY_ANY_PIXELS and "mask" not in scan.source.settings:
            told += (
                "; it is the wrong way round, or of another detector: invert it, do without, or say that it is right"
            )
            return [Problem("mask", told, "error", (INVERT, IGNORE, Fix("it is right", "mask", "file")))]
        told += "; if it is inverted, the file has it the wrong way"
        return [Problem("mask", told, "warning", (INVERT, IGNORE))]
    return []


def _implausible(scan: Scan, step: float) -> list[Problem]:
    """Return what of the geometry cannot be right; of what may have been meant that which makes usual steps."""
    pixel = scan.pixel_size_m
    unit = _unit_of(scan)

    def fits(changed: Geometry) -> bool:
        other = changed.pixel_size_m(scan.size)
        if pixel is None or other is None or UNITS[unit] is None:
            return True
        return SMALLEST_USUAL_STEP_PX <= step * pixel[0] / other[0] <= scan.size

    return implausible(scan.geometry, fits)


def shared_light(probe: NDArray[np.complexfloating[Any, Any]], step: float) -> float:
    """Return the part of the light of a probe (M, N, N) that falls where the same probe does a step away.

    That is ``sum min(I(r), I(r + d)) / sum I``, the mean of steps along y and along x. A narrow beam with wide skirts
    shares more than its diameter tells.
    """
    intensity = (np.abs(probe).astype(np.float64) ** 2).sum(axis=0)
    height, width = intensity.shape

    def at(pixels: int) -> float:
        down = np.minimum(intensity[pixels:], intensity[: max(height - pixels, 0)]).sum()
        right = np.minimum(intensity[:, pixels:], intensity[:, : max(width - pixels, 0)]).sum()
        return float((down + right) / 2 / intensity.sum())

    whole = math.floor(step)
    return (whole + 1 - step) * at(whole) + (step - whole) * at(whole + 1)


def check_overlap(scan: Scan, step: float, probe: NDArray[np.complexfloating[Any, Any]]) -> list[Problem]:
    """Look whether neighbouring views overlap, with the scan's probe (M, N, N) or a guess of it."""
    near = scan.geometry.propagator == "near"
    if not probe.any() or not 0 < step <= scan.size or (near and scan.geometry.missing_for_near_field):
        return []
    shared, diameter = shared_light(probe, step), probe_diameter(probe)
    if step <= _APART_GUESS * diameter if scan.probe is None else shared >= _SHARED:
        return []
    unit = _unit_of(scan)
    units = _units_that_fit(scan, unit, step, (SMALLEST_USUAL_STEP_PX, diameter))
    fixes = [Fix(f"positions are in {other}", "position_unit", other) for other in units]
    if UNITS[unit] is not None:
        fixes += slips(scan.geometry, scan.size, (step / diameter, step / SMALLEST_USUAL_STEP_PX))
    if scan.geometry.propagator == "far" and scan.source.path is not None:
        fixes.append(Fix("it is the near field", "propagator", "near"))
    if scan.probe is not None:
        fixes.append(Fix("guess the probe from the patterns", "probe", "ignore"))
    message = (
        f"neighbouring views do not overlap: they lie {step:.3g} px apart, the probe is {diameter:.3g} px wide, and "
        f"they share {shared:.1%} of its light. "
        "Perhaps the patterns were taken in the near field, where they show the sample itself; or the positions are "
        "in another unit; or energy, distance or pixel; or the probe is another"
    )
    return [Problem("overlap", message, "warning", tuple(fixes))]


def _check_source(scan: Scan) -> list[Problem]:
    asked = [one for one in scan.assumptions if one.key == "source" and not one.answered]
    if not asked:
        return []
    message = f"the beam is taken to be of photons, and {asked[0].reason}: the pixel size hangs on it"
    fixes = (Fix("it is of electrons", "source", "electrons"), Fix("it is of photons", "source", "photons"))
    return [Problem("source", message, "warning", fixes)]


def _check_near_field(scan: Scan, seen: Survey) -> list[Problem]:
    geometry = scan.geometry
    if geometry.propagator == "far":
        return []
    far = Fix("it is the far field", "propagator", "far")
    if missing := geometry.missing_for_near_field:
        message = f"the near field asks for {asked_for(missing)}, and the file does not say"
        return [Problem(missing[0], message, "error", (*(Fix(f"say {key}", key, None) for key in missing), far))]
    spread = max(scan.fresnel_spread or (0.0,))
    if spread > scan.size:
        message = (
            f"light spreads over {spread:.3g} pixels on its way to the detector, more than the {scan.size} of a "
            "pattern: defocus, distance, energy or detector pixel is wrong, or this is the far field"
        )
        return [Problem("propagator", message, "error", (far,))]
    return _check_edges(scan, seen, spread)


def _check_edges(scan: Scan, seen: Survey, spread: float) -> list[Problem]:
    """Look whether light comes from beyond the frame, of which the model knows nothing unless patterns are padded."""
    rim = np.ones((scan.size, scan.size), bool)
    rim[1:-1, 1:-1] = False
    good = seen.good
    if not (good & rim).any() or seen.mean[good & rim].mean() < _LIGHT_AT_EDGE * seen.mean[good].mean():
        return []
    size = scan.size + 2 * math.ceil(spread / 2)
    message = (
        "the beam reaches the edge of the frame, so light comes in from beyond it: pad the patterns with masked pixels "
        f"to {size}, and the model has that too"
    )
    return [Problem("edges", message, "warning", (Fix(f"pad to {size} pixels", "--pad", str(size)),))]
