"""Steps that change the frame of the patterns: the geometry, positions, mask and probe follow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.conversions import FitTo, lost_counts, resample, say_lost
from ptycho_core.preprocessing.centring import best_probe, centre_of_mass, mean_pattern, symmetry_centre
from ptycho_core.scan.orientation import axes_of
from ptycho_core.scan.scan import Geometry, GoodPixels, Masks, PatternStep, Scan, where_good
from ptycho_core.scan.steps import Bin, Centre, Crop, Orient, Pad
from ptycho_core.scan.survey import ever_good


@dataclass(frozen=True)
class Shift:
    """Move images (..., y, x) up by ``up`` and left by ``left`` pixels; zeros come in."""

    up: int
    left: int

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the moved batch."""
        moved = np.zeros_like(batch)
        (to_rows, rows), (to_columns, columns) = (
            _overlap(by, length) for by, length in zip((self.up, self.left), batch.shape[-2:], strict=True)
        )
        moved[..., to_rows, to_columns] = batch[..., rows, columns]
        return moved


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    low, high = max(0, -by), max(max(0, -by), min(length, length - by))
    return slice(low, high), slice(low + by, high + by)


@dataclass(frozen=True)
class SumBlocks:
    """Sum blocks of ``factor`` x ``factor`` pixels."""

    factor: int

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the batch with sides shorter by the factor."""
        n, height, width = batch.shape
        blocks = batch.reshape(n, height // self.factor, self.factor, width // self.factor, self.factor)
        summed: NDArray[Any] = blocks.sum(axis=(2, 4))
        return summed


@dataclass(frozen=True)
class AllOfBlocks:
    """Tell which blocks of ``factor`` x ``factor`` pixels of masks (..., y, x) are good as a whole."""

    factor: int

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the masks with sides shorter by the factor."""
        *front, height, width = batch.shape
        blocks = batch.reshape(*front, height // self.factor, self.factor, width // self.factor, self.factor)
        return np.asarray(blocks.all(axis=(-3, -1)))


@dataclass(frozen=True)
class Turn:
    """Turn or mirror square images (..., y, x) about their centre pixel N//2.

    With an even N the first row has no partner on the other side and stays where it is, as in the discrete Fourier
    transform: that of a turned image is the turned transform.
    """

    orientation: str

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the turned batch."""
        (row_from, row_sign), (_, column_sign) = axes_of(self.orientation)
        turned = batch.swapaxes(-1, -2) if row_from else batch
        for axis, sign in ((-2, row_sign), (-1, column_sign)):
            if sign < 0:
                turned = np.roll(np.flip(turned, axis), 1 - batch.shape[axis] % 2, axis)
        return turned


def centre(step: Centre, scan: Scan) -> Scan:
    """Move the centre of the patterns to pixel N//2.

    The probe is moved along in its far field, or left as it is where that fits the centred patterns better.
    """
    if scan.geometry.propagator == "near":
        raise InputError("centre: patterns of the near field are shadows, which have no centre; leave the step out")
    middle, last, mean = scan.size // 2, scan.size - 1, mean_pattern(scan)
    if step.how == "given":
        found = (float(step.y or 0), float(step.x or 0))
        if max(found) > last:
            raise InputError(f"centre: y and x must be from 0 to {last} (they are {found[0]:g} and {found[1]:g})")
    else:
        found = (centre_of_mass if step.how == "mass" else symmetry_centre)(mean, ever_good(scan))
    up, left = (int(np.floor(place + 0.5)) - middle for place in found)
    how = {"mass": "centre of mass", "symmetry": "centre of symmetry", "given": "given centre"}[step.how]
    note = f"found the patterns centred: their {how} is at pixel ({found[0]:.5g}, {found[1]:.5g})"
    if not (up or left):
        return scan.replace(note)
    shift = Shift(up, left)
    _check_good(shift(ever_good(scan)), "centre")
    note = f"moved the patterns' {how} from pixel ({found[0]:.5g}, {found[1]:.5g}) to pixel ({middle}, {middle})"
    lost = lost_counts(mean, shift(mean))
    moved = scan.replace(
        note + say_lost(lost),
        patterns=scan.patterns.then(shift),
        mask=_mask_after(shift, scan),
        lost=scan.without(lost),
    )
    if scan.probe is None:
        return moved
    probe = _probe_of(scan, scan.probe)
    return moved.replace(probe=best_probe(mean_pattern(moved), _tilted(probe, up, left), probe))


def crop(step: Crop, scan: Scan) -> Scan:
    """Keep the middle of the patterns."""
    if step.size > scan.size:
        raise InputError(f"crop: size must be at most the patterns' {scan.size} pixels (it is {step.size})")
    return _resize(scan, step.size, "cropped")


def pad(step: Pad, scan: Scan) -> Scan:
    """Add masked pixels around the patterns."""
    if step.size < scan.size:
        raise InputError(f"pad: size must be at least the patterns' {scan.size} pixels (it is {step.size})")
    return _resize(scan, step.size, "padded")


def _resize(scan: Scan, size: int, what: str) -> Scan:
    """Crop or pad the patterns: their width, and so the number of object pixels in the field of view, changes."""
    fit, zoom = FitTo(size), scan.geometry.zoom(scan.size, size)
    note = f"{what} the patterns from {scan.size} to {size} pixels"
    note += "" if zoom == 1 else " and counted positions in the new object pixels"
    if size == scan.size:
        return scan.replace(f"left the patterns at {size} pixels")
    object_guess = scan.object_guess if zoom == 1 else None
    if scan.object_guess is not object_guess:
        note += "; left out the object guess, which is in the old ones"
    mean = mean_pattern(scan) if size < scan.size else None
    lost = 0.0 if mean is None else lost_counts(mean, fit(mean))
    note += say_lost(lost)
    _check_good(fit(ever_good(scan)), "crop")
    pixel = scan.geometry.object_pixel_m
    return scan.replace(
        note,
        patterns=scan.patterns.then(fit),
        positions=scan.positions * zoom,
        mask=_mask_after(fit, scan),
        probe=scan.probe if scan.probe is None else _c64(_resized(scan, _probe_of(scan, scan.probe), size)),
        geometry=dataclasses.replace(scan.geometry, object_pixel_m=pixel and (pixel[0] / zoom, pixel[1] / zoom)),
        object_guess=object_guess,
        lost=scan.without(lost),
    )


def _resized(scan: Scan, probe: NDArray[np.complex64], size: int) -> NDArray[Any]:
    """Return the probe in a window of cropped or padded patterns: of as many pixels, smaller ones in the far field."""
    return FitTo(size)(probe) if scan.geometry.propagator == "near" else resample(probe, size)


def bin(step: Bin, scan: Scan) -> Scan:
    """Sum blocks of pixels; in the far field the probe loses the rim of its field of view, which has to be dark.

    The block that holds DC has its centre elsewhere by ``d = (n//2) K + (K - 1) / 2 - N//2`` pixels (K the factor,
    n = N / K), so the probe gets the phase ramp that moves its far field by as much. In the near field the object's
    pixels grow with the detector's.
    """
    factor, size = step.factor, scan.size // step.factor
    if scan.size % factor or size < 8:
        fitting = scan.size - scan.size % factor
        hint = f"crop to {fitting} first" if scan.size % factor and fitting >= 8 * factor else "take a smaller factor"
        raise InputError(f"bin: patterns of {scan.size} pixels do not divide into 8 blocks or more of {factor}; {hint}")
    note = f"summed blocks of {factor} x {factor} detector pixels: patterns of {scan.size} became {size} pixels wide"
    whole = AllOfBlocks(factor)
    left = whole(ever_good(scan))
    _check_good(left, "bin")
    lost = 0.0
    if scan.mask is not None:
        mean = mean_pattern(scan)
        lost = lost_counts(mean, SumBlocks(factor)(mean[None])[0] * left)
        note += f"; {lost:.2%} of the counts lay in blocks with a bad pixel" if lost > 1e-3 else ""
    probe = scan.probe
    near = scan.geometry.propagator == "near"
    off = (size // 2) * factor + (factor - 1) / 2 - scan.size // 2
    if probe is not None and near:
        probe = _c64(resample(_moved(_probe_of(scan, probe), off), size))
    elif probe is not None:
        tilted = _tilted(_probe_of(scan, probe), off, off)
        probe = _c64(FitTo(size)(tilted))
        outside = 1 - (abs(probe) ** 2).sum() / ((abs(tilted) ** 2).sum() or 1.0)
        note += f"; {outside:.2%} of the probe's light lay outside the new field of view" if outside > 1e-3 else ""
    pitch, pixel = scan.geometry.detector_pixel_m, scan.geometry.object_pixel_m
    if near:
        note += ", and so did the object's; left out the object guess" if scan.object_guess is not None else ""
        pixel = pixel and (pixel[0] * factor, pixel[1] * factor)
    return scan.replace(
        note,
        patterns=scan.patterns.then(SumBlocks(factor)),
        positions=scan.positions / factor if near else scan.positions,
        mask=_mask_after(whole, scan),
        probe=probe,
        geometry=dataclasses.replace(
            scan.geometry,
            detector_pixel_m=pitch and (pitch[0] * factor, pitch[1] * factor),
            object_pixel_m=pixel,
        ),
        object_guess=None if near else scan.object_guess,
        lost=scan.without(lost),
    )


def orient(step: Orient, scan: Scan) -> Scan:
    """Turn or mirror the patterns.

    Detector pixels that are not square turn along, so that positions in object pixels may change with them.
    """
    turn = Turn(step.orientation)
    oriented = scan.replace(
        f"turned the patterns: (row, column) = {step.orientation} of the old ones",
        patterns=scan.patterns.then(turn),
        mask=_mask_after(turn, scan),
        geometry=_turned_geometry(scan.geometry, step.orientation),
    )
    old, new = scan.pixel_size_m, oriented.pixel_size_m
    if old and new and old != new:
        oriented = oriented.replace(positions=scan.positions * (np.asarray(old) / new))
    if scan.probe is None:
        return oriented
    probe = _probe_of(scan, scan.probe)
    turned = np.ascontiguousarray(turn(probe))
    if scan.geometry.propagator == "near":  # a turned shadow is that of a turned beam
        return oriented.replace(probe=turned)
    return oriented.replace(probe=best_probe(mean_pattern(oriented), turned, probe))


def _turned_geometry(geometry: Geometry, orientation: str) -> Geometry:
    if axes_of(orientation)[0][0] == 0:
        return geometry
    pitch, pixel = geometry.detector_pixel_m, geometry.object_pixel_m
    return dataclasses.replace(geometry, detector_pixel_m=pitch and pitch[::-1], object_pixel_m=pixel and pixel[::-1])


def _mask_after(step: PatternStep, scan: Scan) -> GoodPixels | None:
    """Return a scan's mask after a step: None where all pixels are good in all patterns."""
    mask = where_good(np.ones((scan.size, scan.size), bool) if scan.mask is None else scan.mask, step)
    return mask if isinstance(mask, Masks) or not mask.all() else None


def _check_good(mask: NDArray[np.bool_], name: str) -> None:
    if not mask.any():
        raise InputError(f"{name}: no good pixel would be left")


def _probe_of(scan: Scan, probe: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the probe if it has the size of the patterns: else nobody knows what its pixels are."""
    if probe.shape[-2:] != (scan.size, scan.size):
        raise InputError(
            f"the probe is {probe.shape[-2]} x {probe.shape[-1]} pixels and the patterns are {scan.size} x "
            f"{scan.size}: crop, resample or ignore it first",
            by_command="--set probe=crop, probe=resample or probe=ignore",
        )
    return probe


def _tilted(probe: NDArray[np.complex64], up: float, left: float) -> NDArray[np.complex64]:
    """Return modes (M, N, N) whose far field lies ``up`` pixels higher and ``left`` pixels further left."""
    n = probe.shape[-1]
    r = (np.arange(n) - n // 2) / n
    return _c64(probe * np.exp(-2j * np.pi * (up * r[:, None] + left * r)))


def _moved(probe: NDArray[np.complex64], by: float) -> NDArray[np.complex64]:
    """Return modes (M, N, N) moved ``by`` pixels up and to the left."""
    q = np.fft.fftfreq(probe.shape[-1])
    return _c64(np.fft.ifft2(np.fft.fft2(probe) * np.exp(2j * np.pi * by * (q[:, None] + q))))


def _c64(probe: NDArray[Any]) -> NDArray[np.complex64]:
    return np.ascontiguousarray(probe, dtype=np.complex64)
