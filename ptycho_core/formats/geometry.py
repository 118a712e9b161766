"""From what a file and the operator say of lengths to a `Geometry`, and to positions in object pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.stored import Stored
from ptycho_core.scan.orientation import axes_of
from ptycho_core.scan.plausible import implausible
from ptycho_core.scan.radiation import SOURCES
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import UNITS

SMALLEST_LENGTH = 1e-30
"""Metres, or electronvolts: what is smaller, or larger than 1 over it, is no reading of anything."""
SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 1e-14, 1e-2
"""No object is looked at more finely or coarsely, be it with electrons or with light."""
_ASKED_FOR_PIXEL = [
    Fix("say it", key, None) for key in ("energy_ev", "distance_m", "detector_pixel_m", "object_pixel_m")
]
_PIXEL_SETTINGS = "energy_ev, distance_m and detector_pixel_m, or object_pixel_m"
_OF_PIXEL = ("energy_ev", "distance_m", "detector_pixel_m")
_ELECTRON_EV = (60e3, 1e6)
"""Between these energies a beam may be of electrons, and is hardly of photons."""


def settle_geometry(stated: Geometry, settings: Settings, path: Path, notes: list[str]) -> Geometry:
    """Return the geometry: what the operator says, else what the file states; ask for what is missing.

    Raises
    ------
    InputError
        A number cannot be right, or two answers tell the same.
    """
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
    return dataclasses.replace(
        geometry, propagator="near", magnification=magnification or (None if defocus else stated)
    )


def positions_px(
    stored: Stored, geometry: Geometry, shape: tuple[int, ...], settings: Settings, path: Path, notes: list[str]
) -> NDArray[np.float64]:
    """Return positions (y, x) in object pixels of patterns of ``shape``, before these are made square."""
    orientation = settings.assume("orientation", "+y+x", stored.axes_reason)
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
