"""From what a file stores to a `Scan`: every conversion that formats share, each in one place and each recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats import conversions
from ptycho_core.formats.conversions import lost_counts, say_lost
from ptycho_core.formats.geometry import positions_px, settle_geometry
from ptycho_core.formats.masks import IGNORE, INVERT
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.values import Looked, settle_bad_values, settle_flags, to_counts
from ptycho_core.scan.scan import GoodPixels, Masks, Patterns, PatternStep, Scan, where_good
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.survey import Survey, remember

SMALLEST_SIDE = 8
"""Pixels: a smaller image is no diffraction pattern."""
LARGEST_POSITION_PX = 1e15
"""Beyond every scan, whatever the unit; what is larger overflows where it is squared."""
_TO_CENTRE: dict[str, tuple[str, PatternStep]] = {
    "corner": ("corner", conversions.centre_dc),
    "top": ("middle of the first row", conversions.centre_rows),
    "left": ("middle of the first column", conversions.centre_columns),
}
"""Where DC may be, by the answers ``dc``, and what moves it to the centre."""
_HARDLY = 0.1
"""Of the light that a row or column holds on average."""


def assemble(
    stored: Stored,
    settings: Settings,
    path: Path,
    format_name: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Convert to the core's convention.

    Raises
    ------
    InputError
        Wherever the file cannot become a scan as it is; the sentence names the setting that helps, if one does.
    """
    _leave_out_unplaced(stored, settings, path)
    patterns = Patterns(stored.source, stored.steps, stored.rows)
    shape = patterns.shape[1:]
    if min(shape) < SMALLEST_SIDE:
        raise InputError(
            f"{path}: patterns of {shape[0]} x {shape[1]} pixels are too small; {SMALLEST_SIDE} is the least"
        )
    notes = [f"read {path.name} as {format_name}: {stored.source.shape} {stored.source.dtype}", *stored.notes]
    if settings.given:
        notes.append("set by the operator: " + ", ".join(f"{key}={value}" for key, value in settings.given.items()))
    if stored.source.dtype.kind in "iu" and stored.source.dtype.itemsize > 1:
        patterns = patterns.then(conversions.flag_largest)
    patterns = _subtract_dark(patterns, stored, settings, path, notes)
    mask = _check_mask(stored, shape, path, notes)
    patterns, looked = settle_flags(patterns, mask, settings, stored, progress, notes)
    patterns, mask, kept = settle_bad_values(patterns, mask, looked, settings, path, notes)
    changed = settings.get("bad_pixels") in ("fill", "zero") and len(looked.values.bad_rows) > 0
    if mask is not looked.mask or len(kept) < len(looked.patterns) or changed:
        looked = Looked(patterns, mask, settings, stored, progress)
    patterns, seen = to_counts(patterns, looked, stored, settings, path, notes)
    geometry = settle_geometry(stored.geometry, settings, path, notes)
    if geometry.propagator == "far" or settings.get("dc"):  # a shadow has no centre, unless the operator says so
        patterns, mask, seen = _centre(patterns, mask, looked.values.mean, seen, settings, notes)
    patterns, mask, seen, size, lost = _make_square(patterns, mask, seen, settings, path, notes)
    zoom = [geometry.zoom(length, size) for length in shape]
    positions = positions_px(stored, geometry, shape, settings, path, notes)[kept] * zoom
    if (farthest := abs(positions).max(initial=0)) > LARGEST_POSITION_PX:
        raise InputError(
            f"{path}: positions reach {farthest:.3g} pixels; no scan does, whatever its unit: set bad_positions=drop "
            "to leave out such patterns, or write it again",
            [Fix("leave out the patterns without a position", "bad_positions", "drop")],
        )
    if geometry.object_pixel_m and shape != (size, size):
        per_axis = [pixel / factor for pixel, factor in zip(geometry.object_pixel_m, zoom, strict=True)]
        geometry = dataclasses.replace(geometry, object_pixel_m=(per_axis[0], per_axis[1]))
    scan = Scan(
        patterns=patterns,
        positions=np.ascontiguousarray(positions),
        probe=_settle_probe(stored.probe, size, settings, path, notes),
        mask=mask,
        geometry=geometry,
        indexes=None if stored.indexes is None else stored.indexes[kept],
        object_guess=stored.object_guess,
        source=ScanSource(path, format=format_name),
        history=tuple(notes),
        assumptions=tuple(settings.assumptions),
        growing=stored.growing,
        lost=lost,
    )
    if seen is not None:
        remember(scan, seen, looked.everything)
    return scan


def _leave_out_unplaced(stored: Stored, settings: Settings, path: Path) -> None:
    """Leave out the patterns whose position is not finite or beyond all scans, as the operator wants it."""
    farthest = LARGEST_POSITION_PX if settings.given.get("bad_positions") == "drop" else np.inf
    placed = (np.isfinite(stored.positions) & (abs(stored.positions) < farthest)).all(axis=1)
    if placed.all():
        return
    if not placed.any():
        raise InputError(f"{path}: no pattern has a position that is a finite number and within reach of any scan")
    rows = np.arange(stored.source.shape[0]) if stored.rows is None else stored.rows
    stored.rows, stored.positions = rows[placed], stored.positions[placed]
    stored.indexes = rows[placed] if stored.indexes is None else stored.indexes[placed]
    stored.notes.append(f"left out {np.count_nonzero(~placed)} patterns without a position")


def _subtract_dark(patterns: Patterns, stored: Stored, settings: Settings, path: Path, notes: list[str]) -> Patterns:
    dark = stored.dark
    if dark is None:
        return patterns
    if dark.shape != patterns.shape[1:] or not np.isfinite(dark).all():
        raise InputError(
            f"{path}: the dark frame has shape {dark.shape} or values that are not finite; "
            f"it must be {patterns.shape[1:]} and finite: set dark=ignore to do without",
            [Fix("leave out the dark frame", "dark", "ignore")],
        )
    reason = "the file holds dark frames and does not say that they were subtracted"
    if settings.assume("dark", "subtract", reason) == "ignore":
        return patterns
    notes.append(f"subtracted the mean dark frame ({dark.mean():.3g} counts per pixel), clipped at zero")
    return patterns.then(conversions.SubtractDark(dark))


def _check_mask(stored: Stored, shape: tuple[int, ...], path: Path, notes: list[str]) -> GoodPixels | None:
    mask = stored.mask
    if mask is not None and mask.shape[-2:] != shape:
        sentence = f"{path}: the mask has shape {mask.shape[-2:]}; it must be that of the patterns, {shape}"
        raise InputError(f"{sentence}: set mask=ignore to do without", [IGNORE])
    if isinstance(mask, Masks):
        return mask if stored.rows is None else mask.take(stored.rows)
    if mask is None or mask.all():
        return None
    if not mask.any():
        sentence = f"{path}: the mask leaves no good pixel; it may be inverted: set mask=invert, or mask=ignore"
        raise InputError(sentence, [INVERT, IGNORE])
    notes.append(f"masked {np.count_nonzero(~mask)} bad pixels that the file lists")
    return mask


def _centre(
    patterns: Patterns,
    mask: GoodPixels | None,
    mean: NDArray[np.float64],
    seen: Survey | None,
    settings: Settings,
    notes: list[str],
) -> tuple[Patterns, GoodPixels | None, Survey | None]:
    """Return patterns, mask and, where it is known, survey with DC in the centre, judged by the ``mean`` as stored."""
    across_edges, across_middle = _light_across(mean), _light_across(conversions.centre_dc(mean))
    place = settings.get("dc") or "centre"
    turned = across_edges > np.maximum(2 * across_middle, _HARDLY * mean.mean() * np.array(mean.shape))
    if across_edges.sum() < _HARDLY * mean.mean() * sum(mean.shape):
        pass  # it is dark at the edges
    elif across_edges.sum() > 2 * across_middle.sum():
        place = settings.assume("dc", "corner", "the mean pattern goes on across its edges, around the corners")
    elif turned.any() and not turned.all():
        place, edges = ("top", "upper and lower") if turned[0] else ("left", "left and right")
        place = settings.assume("dc", place, f"the mean pattern goes on across its {edges} edge, and not the others")
    elif across_edges.sum() > across_middle.sum() / 2:
        place = settings.assume("dc", "centre", "the mean pattern does not tell; most files store DC in the centre")
    if place == "centre":
        return patterns, mask, seen
    of, move = _TO_CENTRE[place]
    notes.append(f"moved DC from the {of} of the patterns to their centre")
    mask = None if mask is None else where_good(mask, move)
    return patterns.then(move), mask, None if seen is None else _images(seen, move)


def _images(seen: Survey, change: PatternStep) -> Survey:
    """Return the survey of patterns that were changed in a way that moves pixels and loses none."""
    return dataclasses.replace(
        seen,
        mean=change(seen.mean),
        measured=change(seen.measured),
        highest=change(seen.highest),
        lowest=change(seen.lowest),
        bad_counts=change(seen.bad_counts),
        negative=change(seen.negative),
    )


def _light_across(mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light that goes on from the last row to the first, and from the last column to the first: (2,).

    With DC in the corner that is most of it. A beam off centre, or a ring, ends at an edge or before it; its light goes
    on across the middle.
    """
    return np.array([np.minimum(mean[0], mean[-1]).sum(), np.minimum(mean[:, 0], mean[:, -1]).sum()])


def _make_square(
    patterns: Patterns,
    mask: GoodPixels | None,
    seen: Survey | None,
    settings: Settings,
    path: Path,
    notes: list[str],
) -> tuple[Patterns, GoodPixels | None, Survey | None, int, float]:
    """Return square patterns, their mask, survey (where known) and width, and which part of the counts is lost."""
    _, height, width = patterns.shape
    how = settings.get("square")
    if height == width:
        return patterns, mask, seen, width, 0.0
    if how is None:
        raise InputError(
            f"{path}: patterns are {height} x {width} pixels, not square; set square=crop for {min(height, width)} "
            f"pixels or square=pad for {max(height, width)}, the added ones masked",
            [Fix("crop them", "square", "crop"), Fix("pad them with masked pixels", "square", "pad")],
        )
    size = min(height, width) if how == "crop" else max(height, width)
    fit = conversions.FitTo(size)
    if mask is not None or how == "pad":
        mask = where_good(np.ones((height, width), bool) if mask is None else mask, fit)
    lost = 0.0 if how == "pad" or seen is None else lost_counts(seen.mean, fit(seen.mean))
    told = f"{how}ped the patterns from {height} x {width} to {size} x {size} pixels".replace("padped", "padded")
    notes.append(told + say_lost(lost))
    return patterns.then(fit), mask, None if seen is None or how == "crop" else _images(seen, fit), size, lost


def _settle_probe(
    probe: NDArray[np.complex64] | None, size: int, settings: Settings, path: Path, notes: list[str]
) -> NDArray[np.complex64] | None:
    how = settings.get("probe") or "file"
    if probe is None or how == "ignore":
        if probe is not None:
            notes.append("left out the probe that the file holds")
        return None
    if not np.isfinite(probe).all():
        raise InputError(
            f"{path}: the probe holds values that are not finite; set probe=ignore to start from a guess",
            [Fix("start from a guess", "probe", "ignore")],
        )
    if how == "crop":
        fitted: NDArray[Any] = conversions.FitTo(size)(probe)
    elif how == "resample":
        fitted = conversions.resample(probe, size)
    else:
        return np.ascontiguousarray(probe)
    notes.append(f"{how}ped the probe from {probe.shape[1:]} to {size} pixels".replace("resampleped", "resampled"))
    return np.ascontiguousarray(fitted, dtype=np.complex64)
