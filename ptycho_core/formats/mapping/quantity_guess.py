"""Guesses which numbers of a file are energy, distance and pixel sizes, and in which units they are."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats import units
from ptycho_core.formats.stores.store import Header, Store
from ptycho_core.scan.mapping import QUANTITIES, Quantity
from ptycho_core.scan.radiation import PLANCK_TIMES_C_EV_M
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M, UNITS

_MOST_GROUPS = 200
_UNIT_IN_NAME = re.compile(r"[_.\s(\[](pixels?|px|nm|um|µm|mm|cm|m|kev|ev|angstroms?)[)\]]?$", re.IGNORECASE)
_SMALLEST_DETECTOR_PIXEL_M = 1e-6
_PLAUSIBLE = {
    "energy": (50.0, 3e5),
    "distance": (1e-3, 200.0),
    "detector_pixel": (_SMALLEST_DETECTOR_PIXEL_M, 1e-3),
    "object_pixel": (1e-12, _SMALLEST_DETECTOR_PIXEL_M),
}
"""Limits in electronvolts or metres."""
_WORDS = {
    "energy": ("energy", "wavelength", "lambda", "photon"),
    "distance": ("distance", "dist", "camera_length", "detector_z", "z_m", "propagation"),
    "detector_pixel": ("pixel", "pitch", "psize"),
    "object_pixel": ("pixel", "dx", "psize", "resolution"),
}
_EXACTLY = {"zo": "distance", "z": "distance", "dxd": "detector_pixel", "dxo": "object_pixel", "dxp": "object_pixel"}
"""Names of PtyLab, and others that are too short to look for in longer ones."""
_OTHERS = {
    "energy": ("source", "ring", "machine", "threshold", "range", "width", "gap", "flux", "count"),
    "distance": ("source", "focus", "focal", "gap"),
    "detector_pixel": ("n_pixel", "npixel", "num", "mask", "bad", "count", "object"),
    "object_pixel": ("n_pixel", "npixel", "num", "mask", "bad", "count"),
}
_TRIED = {
    "wavelength": ("m", "angstrom", "nm"),
    "energy": ("j", "kev", "ev"),
    "distance": ("m", "mm"),
    "detector_pixel": ("m", "um", "mm"),
    "object_pixel": ("m",),
}
"""Units that a number without one may be in; the first that makes it plausible is taken."""

_SPELLED = {"ev": "eV", "kev": "keV", "mev": "MeV", "j": "J"}


@dataclass(frozen=True)
class _Number:
    key: str
    value: float
    unit: str | None


@dataclass(frozen=True)
class Guess:
    """What could be a quantity; ``guessed``: its unit is nowhere stated."""

    quantity: Quantity
    guessed: bool


def quantities(store: Store, headers: dict[str, Header], others: tuple[str, ...] = ()) -> dict[str, list[Guess]]:
    """Return what could be each of `QUANTITIES`, the likeliest first.

    Parameters
    ----------
    store
        The file.
    headers
        Of its arrays that hold numbers.
    others
        Beginnings of names that belong to another scan.
    """
    numbers = [*_single_numbers(store, headers), *_number_attributes(store)]
    numbers = [number for number in numbers if not number.key.startswith(others)]
    return {role: _ranked(role, numbers) for role in QUANTITIES}


def stated_unit(store: Store, key: str) -> str | None:
    """Return the unit that an array has as an attribute or at the end of its name, in small letters; or None."""
    return units.name(store, key) or _unit_in_name(key)


def position_unit(name: str | None) -> tuple[str, float] | None:
    """Return the unit of positions, and the multiplier, that a unit's name means."""
    if name in ("px", "pixel", "pixels"):
        return "px", 1.0
    metres = LENGTHS_M.get(name or "")
    if metres is None:
        return None
    return next(((unit, 1.0) for unit, length in UNITS.items() if length == metres), ("m", metres))


def _unit_in_name(key: str) -> str | None:
    found = _UNIT_IN_NAME.search(key)
    return found[1].lower() if found else None


def _single_numbers(store: Store, headers: dict[str, Header]) -> list[_Number]:
    numbers = []
    for key, header in headers.items():
        if math.prod(header.shape) > 2 or header.dtype.kind not in "iuf" or not any(_is_about(key, r) for r in _WORDS):
            continue
        try:
            values = store.numbers(key).ravel()
        except InputError:
            continue
        if np.isfinite(values).all():
            numbers.append(_Number(key, float(values[0]), stated_unit(store, key)))
    return numbers


def _number_attributes(store: Store) -> list[_Number]:
    numbers = []
    for group in ["", *itertools.islice(store.groups(), _MOST_GROUPS)]:
        for name, value in store.attributes(group).items():
            if isinstance(value, int | float | np.number) and not isinstance(value, complex | np.complexfloating):
                key = f"{group}@{name}"
                numbers.append(_Number(key, float(value), _unit_in_name(name)))
    return numbers


def _is_about(key: str, role: str) -> bool:
    lower = key.lower()
    name = re.split("[/@]", lower)[-1]
    if name in _EXACTLY:
        return _EXACTLY[name] == role
    return any(word in name for word in _WORDS[role]) and not any(word in lower for word in _OTHERS[role])


def _ranked(role: str, numbers: list[_Number]) -> list[Guess]:
    """Return the numbers that are plausible as this quantity; those with a unit first, then in the file's order."""
    found = []
    for number in numbers:
        unit = _plausible_unit(role, number) if _is_about(number.key, role) else None
        if unit is not None:
            found.append(Guess(Quantity(_SPELLED.get(unit, unit), key=number.key), number.unit is None))
    return sorted(found, key=lambda guess: guess.guessed)


def _plausible_unit(role: str, number: _Number) -> str | None:
    is_wavelength = role == "energy" and re.search("wavelength|lambda", number.key.lower())
    low, high = _PLAUSIBLE[role]
    for unit in [number.unit] if number.unit else _TRIED["wavelength" if is_wavelength else role]:
        if number.value > 0 and low < _si(role, number.value, unit) < high:
            return unit
    return None


def _si(role: str, value: float, unit: str) -> float:
    """Return a number in electronvolts, or metres; 0 where the unit is none of the quantity."""
    if role == "energy" and unit in ENERGIES_EV:
        return value * ENERGIES_EV[unit]
    metres = value * LENGTHS_M.get(unit, 0.0)
    return PLANCK_TIMES_C_EV_M / metres if role == "energy" and metres else metres
