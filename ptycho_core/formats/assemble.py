"""From what a file stores to a `Scan`: every conversion that formats share, each in one place and each recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats import conversions
from ptycho_core.formats.conversions import lost_counts
from ptycho_core.formats.masks import IGNORE, INVERT
from ptycho_core.scan.orientation import axes_of
from ptycho_core.scan.plausible import implausible
from ptycho_core.scan.radiation import SOURCES
from ptycho_core.scan.scan import ArraySource, Geometry, Patterns, PatternStep, Scan
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.survey import Survey, Surveyor, flags, remember
from ptycho_core.scan.units import UNITS

SMALLEST_SIDE = 8
"""Pixels: a smaller image is no diffraction pattern."""
LARGEST_COUNT = 1e12
SMALLEST_LENGTH = 1e-30
"""Metres, or electronvolts: what is smaller, or larger than 1 over it, is no reading of anything."""
LARGEST_POSITION_PX = 1e15
"""Beyond every scan, whatever the unit; what is larger overflows where it is squared."""
SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 1e-14, 1e-2
"""No object is looked at more finely or coarsely, be it with electrons or with light."""
_SAMPLE_VALUES = 2**20
_HARDLY = 0.1
"""Of the light that a row or column holds on average."""
_LEAST_LEFT = 0.5
"""Part of the pixels that masking has to leave."""
_LARGEST_JUDGED = 1e4
"""Counts up to which float32 rounding of a square root is far from hiding whether its square was whole."""
_FEWEST_JUDGED = 10
_LARGEST_LOGARITHM = 40.0
_ROUNDING_THAT_TELLS = 0.05
_ASKED_FOR_PIXEL = [
    Fix("say it", key, None) for key in ("energy_ev", "distance_m", "detector_pixel_m", "object_pixel_m")
]
_PIXEL_SETTINGS = "energy_ev, distance_m and detector_pixel_m, or object_pixel_m"
_OF_PIXEL = ("energy_ev", "distance_m", "detector_pixel_m")
_ELECTRON_EV = (60e3, 1e6)
"""Between these energies a beam may be of electrons, and is hardly of photons."""


@dataclass(eq=False)
class Stored:
    """What a reader found, in the file's own values; its axes already (n, y, x) and (y, x).

    Parameters
    ----------
    source
        Patterns as stored, (n, y, x) after ``steps``.
    positions
        (n, 2) float64 (y, x) of the probe on the sample, of the patterns at ``rows``, in ``unit``.
    values
        What the format holds where the numbers do not tell: "counts", "amplitude", or of `conversions.LOGARITHMS`.
    unit
        A key of `UNITS`; ``unit_reason`` says why.
    steps
        What turns the stored patterns so that their axes are those of the positions.
    rows
        (n,) patterns of the source that have a position; None for all.
    mask
        (y, x) bool, True where good.
    dark
        (y, x) counts without beam.
    probe
        (M, y, x) complex, any size.
    notes
        Sentences for the history.
    growing
        Whether the file was still being written.
    """

    source: ArraySource
    positions: NDArray[np.float64]
    values: str = "counts"
    unit: str = "px"
    unit_reason: str = "the format's convention"
    steps: tuple[PatternStep, ...] = ()
    rows: NDArray[np.int64] | None = None
    mask: NDArray[np.bool_] | None = None
    dark: NDArray[np.float32] | None = None
    probe: NDArray[np.complex64] | None = None
    geometry: Geometry = field(default_factory=Geometry)
    indexes: NDArray[np.int64] | None = None
    object_guess: NDArray[np.complex64] | None = None
    notes: list[str] = field(default_factory=list)
    growing: bool = False


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
    _leave_out_unplaced(stored)
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
    mask = _check_mask(stored.mask, shape, path, notes)
    looked = _Looked(patterns, mask, settings, stored, progress)
    if found := flags(looked.values, mask):
        told = " and ".join(f"{value:.10g} in {count} pixels" for value, count in found.items())
        notes.append(f"took for no counts, as a detector writes it where it does not count: {told} of all patterns")
        patterns = patterns.then(conversions.FlagValues(tuple(found)))
        looked = _Looked(patterns, mask, settings, stored, progress)
    patterns, mask, kept = _settle_bad_values(patterns, mask, looked, settings, path, notes)
    if mask is not looked.mask or len(kept) < len(looked.patterns) or settings.get("bad_pixels") == "fill":
        looked = _Looked(patterns, mask, settings, stored, progress)
    patterns, seen = _to_counts(patterns, looked, stored, settings, path, notes)
    geometry = _settle_geometry(stored.geometry, settings, path, notes)
    if geometry.propagator == "far" or settings.get("dc"):  # a shadow has no centre, unless the operator says so
        patterns, mask, seen = _centre(patterns, mask, looked.values.mean, seen, settings, notes)
    patterns, mask, seen, size = _make_square(patterns, mask, seen, settings, path, notes)
    zoom = [geometry.zoom(length, size) for length in shape]
    positions = _positions_px(stored, geometry, shape, settings, path, notes)[kept] * zoom
    if (farthest := abs(positions).max(initial=0)) > LARGEST_POSITION_PX:
        raise InputError(
            f"{path}: positions reach {farthest:.3g} pixels; no scan does, whatever its unit: write it again"
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
    )
    if seen is not None:
        remember(scan, seen, looked.everything)
    return scan


def _leave_out_unplaced(stored: Stored) -> None:
    """Leave out the patterns whose position is not finite, which the reader let pass as the operator wants it."""
    placed = np.isfinite(stored.positions).all(axis=1)
    if placed.all():
        return
    rows = np.arange(stored.source.shape[0]) if stored.rows is None else stored.rows
    stored.rows, stored.positions = rows[placed], stored.positions[placed]
    stored.indexes = rows[placed] if stored.indexes is None else stored.indexes[placed]
    stored.notes.append(f"left out {np.count_nonzero(~placed)} patterns without a position")


class _Looked:
    """The one pass over the patterns when a scan is opened: what is stored, and what it will be as counts.

    What the values are is told by the first of them at once, and by a sample of all at the end. Where both agree, as
    they do but for odd files, the scan needs no other survey.
    """

    def __init__(
        self,
        patterns: Patterns,
        mask: NDArray[np.bool_] | None,
        settings: Settings,
        stored: Stored,
        progress: Callable[[int, int], None],
    ) -> None:
        self.patterns, self.mask = patterns, mask
        self.everything = settings.get("bad_pixels") is not None
        as_stored = Surveyor(patterns, mask, self.everything)
        as_counts = Surveyor(patterns, mask, self.everything)
        few = max(1, min(len(as_stored.rows), _SAMPLE_VALUES // (patterns.shape[1] * patterns.shape[2])))
        wanted = np.unique(np.linspace(0, len(as_stored.rows) - 1, few).astype(np.int64))
        sample: list[NDArray[np.float32]] = []
        self.conversion: PatternStep | None = None
        for places, batch in as_stored.batches():
            as_stored.see(places, batch)
            batch = conversions.clear_bad(batch)
            sample.append(batch[wanted[(wanted >= places.start) & (wanted < places.stop)] - places.start])
            if places.start == 0:
                told = what_values_are(batch[:few], stored.source.dtype)
                self.conversion = _conversion_of(settings.get("data") or told or stored.values, told)
            if self.conversion is not None:
                with np.errstate(over="ignore"):
                    as_counts.see(places, self.conversion(batch))
            progress(places.stop, len(as_stored.rows))
        self.told = what_values_are(np.concatenate(sample), stored.source.dtype)
        self.values = as_stored.survey()
        self.counts = _without_bad(self.values) if self.conversion is None else as_counts.survey()


def _without_bad(seen: Survey) -> Survey:
    """Return the survey of the same patterns once their bad values are zero."""
    nowhere = np.zeros_like(seen.bad_counts)
    return dataclasses.replace(seen, n_not_finite=0, n_negative=0, bad_counts=nowhere, bad_rows=seen.bad_rows[:0])


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


def _check_mask(
    mask: NDArray[np.bool_] | None, shape: tuple[int, ...], path: Path, notes: list[str]
) -> NDArray[np.bool_] | None:
    if mask is None or mask.all():
        return None
    if mask.shape != shape:
        sentence = f"{path}: the mask has shape {mask.shape}; it must be that of the patterns, {shape}"
        raise InputError(f"{sentence}: set mask=ignore to do without", [IGNORE])
    if not mask.any():
        sentence = f"{path}: the mask leaves no good pixel; it may be inverted: set mask=invert, or mask=ignore"
        raise InputError(sentence, [INVERT, IGNORE])
    notes.append(f"masked {np.count_nonzero(~mask)} bad pixels that the file lists")
    return mask


def _settle_bad_values(
    patterns: Patterns,
    mask: NDArray[np.bool_] | None,
    looked: _Looked,
    settings: Settings,
    path: Path,
    notes: list[str],
) -> tuple[Patterns, NDArray[np.bool_] | None, NDArray[np.int64]]:
    """Return patterns without bad values, the mask, and the places of the patterns that are kept."""
    kept = np.arange(len(patterns))
    treatment, seen = settings.get("bad_pixels"), looked.values
    found = [(seen.n_not_finite, "NaN, infinite or flagged"), (seen.n_negative, "negative")]
    what = " and ".join(f"{count} {kind}" for count, kind in found if count)
    where = f"{what} values in {np.count_nonzero(seen.bad_pixels)} pixels of {len(seen.bad_rows)} patterns"
    if treatment == "fill" and what:
        measured = len(seen.rows) - seen.bad_counts
        filling = (seen.mean * len(seen.rows) / np.maximum(measured, 1)).astype(np.float32)
        patterns = patterns.then(conversions.FillBad(filling))
    elif mask is not None or treatment is not None:
        patterns = patterns.then(conversions.clear_bad)
    if not what:
        return patterns, mask, kept
    ways = _ways_out(seen, mask, len(patterns))
    if treatment == "fill":
        part = seen.bad_counts.sum() / (seen.bad_counts.size * len(seen.rows))
        never = np.count_nonzero(seen.bad_counts == len(seen.rows))
        notes.append(f"put the mean of the pixel in the place of {where} ({part:.2%} of all): they were not measured")
        if never:
            mask = (seen.bad_counts < len(seen.rows)) & (True if mask is None else mask)
            notes.append(f"masked {never} pixels that were measured in no pattern")
        return patterns, mask, kept
    if treatment not in [fix.value for fix in ways]:
        left = np.count_nonzero(~seen.bad_pixels if mask is None else mask & ~seen.bad_pixels)
        why = {
            None: "counts are finite and not negative",
            "mask": f"masking them leaves {left} of {seen.bad_pixels.size} pixels",
            "drop": "no pattern is left without",
            "zero": "only noise below zero may be set to zero",
        }[treatment]
        help_ = ", ".join(f"bad_pixels={fix.value} to {fix.label}" for fix in ways)
        help_ = f"set {help_}"
        raise InputError(f"{path} holds {where}{seen.extent}; {why}; {help_}", ways)
    if treatment == "zero":
        notes.append(f"set to zero: {where}")
    elif treatment == "mask":
        notes.append(f"masked pixels with {where}")
        mask = ~seen.bad_pixels if mask is None else mask & ~seen.bad_pixels
    else:
        kept = np.setdiff1d(kept, seen.bad_rows)
        patterns = patterns.take(kept)
        notes.append(f"left out {len(seen.bad_rows)} patterns with {where}")
    return patterns, mask, kept


def _ways_out(seen: Survey, mask: NDArray[np.bool_] | None, n: int) -> list[Fix]:
    """Return what can be done about bad values, and leaves a scan."""
    n_good = seen.bad_pixels.size if mask is None else np.count_nonzero(mask)
    left = n_good - np.count_nonzero(seen.bad_pixels)
    fixes = []
    if left >= n_good * _LEAST_LEFT:
        fixes.append(Fix("leave these pixels out", "bad_pixels", "mask"))
    if len(seen.bad_rows) < min(n, len(seen.rows)):
        fixes.append(Fix("leave these patterns out", "bad_pixels", "drop"))
    always = (seen.bad_counts == len(seen.rows)).sum() > np.count_nonzero(seen.bad_counts) / 2
    if not seen.n_not_finite and not always:  # noise is below zero now and then
        fixes.append(Fix("set noise below zero to zero", "bad_pixels", "zero"))
    return fixes or [Fix("put the mean of the pixel in their place", "bad_pixels", "fill")]


def _to_counts(
    patterns: Patterns, looked: _Looked, stored: Stored, settings: Settings, path: Path, notes: list[str]
) -> tuple[Patterns, Survey | None]:
    """Return the patterns as counts, and their survey where it is known."""
    told = looked.told
    reason = f"the format's usual content; the numbers do not tell (a {stored.source.dtype} that is neither)"
    held = (settings.get("data") or told) if told else settings.assume("data", stored.values, reason)
    conversion = _conversion_of(held, told)
    largest = looked.values.maximum
    if held == "amplitude":
        largest **= 2
    elif conversion is not None:
        with np.errstate(over="ignore"):
            largest = float(conversion(np.array([largest], np.float64))[0])
    if largest > LARGEST_COUNT:
        other = "amplitude" if held == "counts" else "counts"
        raise InputError(
            f"{path}: a pixel of {largest:.3g} counts is more than any detector counts ({LARGEST_COUNT:.0e}); the "
            f"values were taken as {held}: set data={other} if they are these",
            [Fix(f"they are {other}", "data", other)],
        )
    if conversion is not None:
        base = conversions.LOGARITHMS.get(held)
        done = "squared the stored amplitudes to counts" if base is None else f"turned {held}(1 + counts) into counts"
        notes.append(done + ("" if told else f" (assumed to be {'amplitudes' if base is None else held})"))
    elif not told:
        notes.append("took the stored values as counts (assumed)")
    seen = looked.counts if conversion == looked.conversion else None
    return patterns if conversion is None else patterns.then(conversion), seen


def _conversion_of(held: str, told: str | None) -> PatternStep | None:
    """Return what makes counts of stored values that are held for something, and are told to be so or not."""
    if held in conversions.LOGARITHMS:
        return conversions.FromLogarithm(conversions.LOGARITHMS[held], whole=told == held)
    if held != "amplitude":
        return None
    return conversions.square_to_whole if told == "amplitude" else conversions.square


def what_values_are(batch: NDArray[np.float32], dtype: np.dtype[Any]) -> str | None:
    """Tell counts from amplitudes and logarithms by values (b, y, x), stored as ``dtype``; None where they do not tell.

    Whole numbers are counts. Numbers whose squares are whole to within the rounding of float32 are amplitudes, and
    logarithms are those whose exponential, less one, is.
    """
    if dtype.kind in "biu":
        return "counts"
    values = batch.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    precision = max(np.finfo(np.float32).eps, np.finfo(dtype).eps)
    judged = values[abs(values) < 1 / precision]
    if len(judged) and (judged == np.round(judged)).all():
        return "counts"
    squares = np.square(values[values > 0])
    judged = squares[squares < min(_LARGEST_JUDGED, 1e-2 / (8 * precision))]
    if len(judged) >= _FEWEST_JUDGED and (abs(judged - np.round(judged)) <= 8 * precision * judged).all():
        return "amplitude"
    bases = conversions.LOGARITHMS
    return next((name for name, base in bases.items() if _are_logarithms(values, base, precision)), None)


def _are_logarithms(values: NDArray[np.float64], base: float, precision: float) -> bool:
    values = values[(values > 0) & (values < _LARGEST_LOGARITHM)]
    counts = np.expm1(values * np.log(base))
    rounding = 8 * precision * values * np.log(base) * (1 + counts)
    judged = counts[rounding < _ROUNDING_THAT_TELLS]
    different = len(np.unique(np.round(judged)))
    return bool(different >= _FEWEST_JUDGED and (abs(judged - np.round(judged)) <= _ROUNDING_THAT_TELLS).all())


def _centre(
    patterns: Patterns,
    mask: NDArray[np.bool_] | None,
    mean: NDArray[np.float64],
    seen: Survey | None,
    settings: Settings,
    notes: list[str],
) -> tuple[Patterns, NDArray[np.bool_] | None, Survey | None]:
    """Return patterns, mask and, where it is known, survey with DC in the centre, judged by the ``mean`` as stored."""
    across_edges, across_middle = _light_across(mean), _light_across(conversions.centre_dc(mean))
    place = settings.get("dc") or "centre"
    if across_edges < _HARDLY * mean.mean() * sum(mean.shape):
        pass  # it is dark at the edges
    elif across_edges > 2 * across_middle:
        place = settings.assume("dc", "corner", "the mean pattern goes on across its edges, around the corners")
    elif across_edges > across_middle / 2:
        place = settings.assume("dc", "centre", "the mean pattern does not tell; most files store DC in the centre")
    if place == "centre":
        return patterns, mask, seen
    notes.append("moved DC from the corner of the patterns to their centre")
    mask = None if mask is None else conversions.centre_dc(mask)
    return patterns.then(conversions.centre_dc), mask, None if seen is None else _images(seen, conversions.centre_dc)


def _images(seen: Survey, change: PatternStep) -> Survey:
    """Return the survey of patterns that were changed in a way that moves pixels and loses none."""
    mean, bad = change(seen.mean), change(seen.bad_counts)
    return dataclasses.replace(
        seen, mean=mean, highest=change(seen.highest), lowest=change(seen.lowest), bad_counts=bad
    )


def _light_across(mean: NDArray[np.float64]) -> float:
    """Return the light that goes on from the last row to the first, and from the last column to the first.

    With DC in the corner that is most of it. A beam off centre, or a ring, ends at an edge or before it; its light goes
    on across the middle.
    """
    rows, columns = np.minimum(mean[0], mean[-1]).sum(), np.minimum(mean[:, 0], mean[:, -1]).sum()
    return float(rows + columns)


def _make_square(
    patterns: Patterns,
    mask: NDArray[np.bool_] | None,
    seen: Survey | None,
    settings: Settings,
    path: Path,
    notes: list[str],
) -> tuple[Patterns, NDArray[np.bool_] | None, Survey | None, int]:
    """Return square patterns, their mask, their survey where it is known, and their width."""
    _, height, width = patterns.shape
    how = settings.get("square")
    if height == width:
        return patterns, mask, seen, width
    if how is None:
        raise InputError(
            f"{path}: patterns are {height} x {width} pixels, not square; set square=crop for {min(height, width)} "
            f"pixels or square=pad for {max(height, width)}, the added ones masked",
            [Fix("crop them", "square", "crop"), Fix("pad them with masked pixels", "square", "pad")],
        )
    size = min(height, width) if how == "crop" else max(height, width)
    fit = conversions.FitTo(size)
    if mask is not None or how == "pad":
        mask = fit(np.ones((height, width), bool) if mask is None else mask)
    lost = "" if how == "pad" or seen is None else lost_counts(seen.mean, size)
    told = f"{how}ped the patterns from {height} x {width} to {size} x {size} pixels".replace("padped", "padded")
    notes.append(told + lost)
    return patterns.then(fit), mask, None if seen is None or how == "crop" else _images(seen, fit), size


def _settle_geometry(stated: Geometry, settings: Settings, path: Path, notes: list[str]) -> Geometry:
    pitch, pixel = settings.number("detector_pixel_m"), settings.number("object_pixel_m")
    geometry = Geometry(
        energy_ev=settings.number("energy_ev") or stated.energy_ev,
        distance_m=settings.number("distance_m") or stated.distance_m,
        detector_pixel_m=(pitch, pitch) if pitch else stated.detector_pixel_m,
        object_pixel_m=(pixel, pixel) if pixel else stated.object_pixel_m,
        source=settings.get("source") or stated.source,
    )
    energy = geometry.energy_ev or 0.0
    if geometry.source == SOURCES[0] and _ELECTRON_EV[0] <= energy <= _ELECTRON_EV[1]:
        reason = f"{energy / 1e3:.4g} keV are a lot for photons, and usual for electrons"
        settings.assume("source", SOURCES[0], reason)
    geometry = _settle_propagator(geometry, stated.magnification, settings, path, notes)
    for key, value in dataclasses.asdict(geometry).items():
        if isinstance(value, str) or value is None:
            continue
        if not all(SMALLEST_LENGTH < number < 1 / SMALLEST_LENGTH for number in np.ravel(value)):
            raise InputError(f"{path}: {key} is {value}, which cannot be right; set {key}", [Fix("say it", key, None)])
    if geometry.propagator == "near":
        lacking, why = geometry.missing_for_near_field, "the near field asks for it, and the file does not say"
    else:
        lacking = [] if geometry.pixel_size_m(1) else [key for key in _OF_PIXEL if getattr(geometry, key) is None]
        why = "the file does not say; lengths stay in pixels"
    for key in lacking:
        settings.assume(key, "unknown", why)
    return geometry


def _settle_propagator(
    geometry: Geometry, stated: float | None, settings: Settings, path: Path, notes: list[str]
) -> Geometry:
    """Return the geometry with propagator and magnification, as far as these are known; the file may state the last."""
    defocus, magnification = settings.number("defocus_m"), settings.number("magnification")
    told = "near" if defocus or magnification or stated else None
    propagator = settings.get("propagator") or told
    if propagator != "near":
        if told:
            notes.append("left out defocus and magnification, which are of the near field")
        return geometry
    if defocus and magnification:
        raise InputError(f"{path}: defocus_m and magnification tell the same: set one of them")
    settings.assume("propagator", "near", "the file says so" if stated else "its defocus or magnification is set")
    if defocus and geometry.distance_m:
        magnification = 1 + geometry.distance_m / defocus
        notes.append(f"took the sample's shadow as magnified {magnification:.5g} times, {defocus:g} m behind the focus")
    return dataclasses.replace(geometry, propagator="near", magnification=magnification or stated)


def _positions_px(
    stored: Stored, geometry: Geometry, shape: tuple[int, ...], settings: Settings, path: Path, notes: list[str]
) -> NDArray[np.float64]:
    """Return positions (y, x) in object pixels of patterns of ``shape``, before these are made square."""
    orientation = settings.assume("orientation", "+y+x", "positions and patterns are taken to share their axes")
    positions = np.stack([sign * stored.positions[:, axis] for axis, sign in axes_of(orientation)], axis=1)
    if orientation != "+y+x":
        notes.append(f"turned the positions: (row, column) = {orientation} of the file's")
    unit = settings.assume("position_unit", stored.unit, stored.unit_reason)
    metres = UNITS[unit]
    if metres is None:
        return positions
    pixel = geometry.object_pixel_m or _pixel_size_m(geometry, shape)
    if pixel is None:
        raise InputError(
            f"{path}: positions are in {unit}, and the file does not say how large a pixel is; set {_PIXEL_SETTINGS}",
            [fix for fix in _ASKED_FOR_PIXEL if getattr(geometry, fix.field) is None],
        )
    if not all(SMALLEST_PIXEL_M < length < LARGEST_PIXEL_M for length in pixel):
        wrong = implausible(geometry)
        help_ = f": {'; '.join(problem.message for problem in wrong)}" if wrong else ""
        origin = "the file's" if geometry.object_pixel_m else "energy, distance and detector pixel give an"
        raise InputError(
            f"{path}: {origin} object pixel of {pixel[0]:.3g} x {pixel[1]:.3g} m, which cannot be right; set "
            f"{_PIXEL_SETTINGS}{help_}",
            [fix for problem in wrong for fix in problem.fixes] or _ASKED_FOR_PIXEL,
        )
    notes.append(f"converted positions from {unit} to pixels of {pixel[0] * 1e9:.4g} x {pixel[1] * 1e9:.4g} nm")
    with np.errstate(over="ignore"):  # what is too far, or infinite, is refused after this
        pixels: NDArray[np.float64] = positions * metres / np.asarray(pixel)
    return pixels


def _pixel_size_m(geometry: Geometry, shape: tuple[int, ...]) -> tuple[float, float] | None:
    rows, columns = geometry.pixel_size_m(shape[0]), geometry.pixel_size_m(shape[1])
    return (rows[0], columns[1]) if rows and columns else None


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
