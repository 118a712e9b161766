"""Which energies, distances and pixels a measurement can have, and what was meant where it has others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.scan.radiation import energy_ev, wavelength_m
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.units import JOULE_PER_EV

_PLAUSIBLE = {
    "energy_ev": ((1.0, 4.0), (20.0, 1e6)),
    "distance_m": ((1e-4, 50.0),),
    "detector_pixel_m": ((5e-7, 2e-3),),
    "object_pixel_m": ((1e-13, 1e-4),),
}
"""Light, then anything from the extreme ultraviolet to fast electrons; from a lens to the end of a beamline; ..."""
_WORDS = {
    "energy_ev": ("energy", "eV", ""),
    "distance_m": ("distance", "m", " from sample to detector"),
    "detector_pixel_m": ("pitch", "m", " of the detector's pixels"),
    "object_pixel_m": ("object pixel", "m", ""),
}
_LENGTHS = {1e-3: "mm", 1e-6: "µm", 1e-9: "nm", 1e-2: "cm", 1e3: "km"}
_MEANT = {
    "energy_ev": {
        1e3: "keV",
        1e10: "a wavelength in angstrom",
        1e9: "a wavelength in nm",
        1e-9: "a wavelength in m",
        1e-3: "meV",
        1 / JOULE_PER_EV: "J",
        1e-3 / JOULE_PER_EV: "J",
    },
    "distance_m": _LENGTHS,
    "detector_pixel_m": {**_LENGTHS, 1e6: "m"},
    "object_pixel_m": {**_LENGTHS, 1e-10: "angstrom"},
}
"""What a number was in, by what it has to be multiplied with; the likeliest first. The reader may have taken it for nm,
keV or micrometres."""
_SLIPS = {
    "energy_ev": (10.0, 0.1, 1e3, 1e-3),
    "distance_m": (1e-3, 1e3, 1e-2, 1e2),
    "detector_pixel_m": (1e-3, 1e3),
    "object_pixel_m": (1e-3, 1e3, 10.0, 0.1),
}
"""Factors by which a number may be wrong and yet plausible: angstrom for nanometres, millimetres for metres."""


def is_plausible(key: str, value: float) -> bool:
    """Tell whether a field of `Geometry` can have this value."""
    return any(low <= value <= high for low, high in _PLAUSIBLE[key])


def implausible(geometry: Geometry, fits: Callable[[Geometry], bool] = lambda changed: True) -> list[Problem]:
    """Return what of a geometry cannot be right, with the values that may have been meant.

    Where some of these make a geometry that ``fits`` what else is known, the others are not offered.
    """
    problems = []
    for key, (word, unit, of) in _WORDS.items():
        value = getattr(geometry, key)
        if value is None or all(is_plausible(key, one) for one in np.ravel(value)):
            continue
        number = float(np.ravel(value)[0])
        meant = {number * factor: f"it was in {what}" for factor, what in _MEANT[key].items()}
        if key == "energy_ev":
            meant |= _energies(number, geometry.source)
        offered: dict[str, str] = {}
        for one, what in meant.items():
            if is_plausible(key, one):
                offered.setdefault(f"{one:.6g}", what)  # two slips may lead to one number
        fixes = tuple(Fix(f"{what}: {text} {unit}", key, text) for text, what in offered.items())
        fitting = tuple(fix for fix in fixes if fits(_changed(geometry, key, float(fix.value) / number)))
        fixes = fitting or fixes
        ranges = " or ".join(f"{low:g} to {high:g}" for low, high in _PLAUSIBLE[key])
        help_ = f"; {' or '.join(f'{fix.value} {unit}' for fix in fixes)} would be" if fixes else ""
        message = f"the {word}{of} is {number:.6g} {unit}, and {ranges} {unit} are plausible{help_}"
        problems.append(Problem(key, message, "warning", fixes or (Fix(f"say the {word}", key, None),)))
    return problems


def _energies(number: float, source: str) -> dict[float, str]:
    """Return the energies that were meant where a wavelength in angstrom or nm stood for one, or it for that."""
    meant = {}
    for metres, unit in ((1e-10, "angstrom"), (1e-9, "nm")):
        for taken in (1.0, 1e3):  # for eV, for keV
            meant[energy_ev(number / taken * metres, source)] = f"it was a wavelength in {unit}"
    wavelength = wavelength_m(number, source)
    for metres in (1.0, 1e-9, 1e-10):
        for factor, unit in ((1e3, "keV"), (1.0, "eV")):
            meant.setdefault(wavelength / metres * factor, f"it was an energy in {unit}, taken for a wavelength")
    return meant


def _changed(geometry: Geometry, key: str, factor: float) -> Geometry:
    value = getattr(geometry, key)
    other = tuple(factor * one for one in value) if isinstance(value, tuple) else factor * value
    changes: dict[str, Any] = {key: other}
    return dataclasses.replace(geometry, **changes)


def slips(geometry: Geometry, size: int, fits: tuple[float, float]) -> list[Fix]:
    """Return the single changes of a geometry that multiply its pixel by a factor between these limits."""
    pixel, fixes = geometry.pixel_size_m(size), []
    electrons = dataclasses.replace(geometry, source="electrons").pixel_size_m(size)
    if pixel and electrons and geometry.source != "electrons" and fits[0] <= electrons[0] / pixel[0] <= fits[1]:
        fixes.append(Fix("the beam is of electrons", "source", "electrons"))
    for key, factors in _SLIPS.items():
        value = getattr(geometry, key)
        if value is None or pixel is None or (geometry.object_pixel_m and key != "object_pixel_m"):
            continue
        if key == "energy_ev":
            factors = (*factors, *(one / value for one in _energies(value, geometry.source)))
        for factor in factors:
            changed = _changed(geometry, key, factor).pixel_size_m(size)
            number = factor * float(np.ravel(value)[0])
            if changed and fits[0] <= changed[0] / pixel[0] <= fits[1] and is_plausible(key, number):
                word, unit, _ = _WORDS[key]
                fixes.append(Fix(f"the {word} is {number:.6g} {unit}", key, f"{number:.6g}"))
    return list({(fix.field, fix.value): fix for fix in fixes}.values())
