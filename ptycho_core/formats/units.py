"""Numbers with a ``units`` attribute, as NeXus requires and CXI allows, in the units of the core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan import radiation
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M

_SAME = 0.01
"""Readings of one quantity may differ by this fraction."""
_ATTRIBUTES = ("units", "unit", "Units", "Unit", "UNITS", "UNIT")


def name(store: Store, key: str) -> str | None:
    """Return the name of an array's unit in small letters, as `canonical` has it, or None where it has none."""
    texts = (text(store.attribute(key, attribute)) for attribute in _ATTRIBUTES)
    stated = next(filter(None, texts), None)
    return canonical(stated) if stated else None


def text(value: Any) -> str:
    """Return an attribute that is a text, in an array of equal ones too, or in bytes of any encoding; else nothing."""
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size and (value == value.flat[0]).all() else ""
    if isinstance(value, str):  # h5py marks by half characters what is not UTF-8
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        return ""
    try:
        decoded = value.decode("utf-8")
    except UnicodeDecodeError:
        decoded = value.decode("latin-1")
    return decoded.strip("\0 \t\r\n")


def canonical(unit: str) -> str:
    """Return a unit's name in small letters, without brackets, and in the singular where only that is known."""
    plain = unit.strip(" .()[]").lower()
    known = {*LENGTHS_M, *ENERGIES_EV}
    return plain.removesuffix("s") if plain not in known and plain.removesuffix("s") in known else plain


def factor(store: Store, key: str, units: dict[str, float], default: str) -> float:
    """Return what to multiply an array by, which is in the unit ``default`` where it does not say.

    Raises
    ------
    InputError
        The array is in a unit that is not one of ``units``.
    """
    unit = name(store, key) or default
    if unit not in units:
        raise InputError(f"{store.path}: '{key}' is in '{unit}'; it must be in one of {', '.join(units)}")
    return units[unit]


def positive(store: Store, key: str | None) -> float | None:
    """Return the only number of an array, of several readings of it their median; None where there is no such array.

    Raises
    ------
    InputError
        It is not one number, or not above zero.
    """
    if key is None or key not in store:
        return None
    numbers = store.numbers(key).ravel()
    known = numbers.size and np.isfinite(numbers).all()
    number = one_of_readings(store, key, numbers) if known else store.number(key)
    if number <= 0:
        raise InputError(f"{store.path}: '{key}' is {number:g}; it must be positive")
    return number


def one_of_readings(store: Store, key: str, numbers: NDArray[np.float64]) -> float:
    """Return the median of the finite numbers at a key.

    Raises
    ------
    InputError
        They are not readings of one quantity, but differ.
    """
    median = float(np.median(numbers))
    if (abs(numbers - median) > _SAME * abs(median)).any():
        low, high = numbers.min(), numbers.max()
        raise InputError(f"{store.path}: '{key}' holds numbers from {low:g} to {high:g}; it must be one")
    return median


def length_m(store: Store, key: str | None) -> float | None:
    """Return a length, in metres unless it has another unit; else as `positive` does."""
    number = positive(store, key)
    return None if number is None or key is None else number * factor(store, key, LENGTHS_M, "m")


def energy_ev(wavelength_m: float | None, settings: Settings, stated: str | None = None) -> float | None:
    """Return the energy of what has a wavelength: as the operator says what it is, else the file, else of photons."""
    source = settings.get("source") or stated or radiation.SOURCES[0]
    return radiation.energy_ev(wavelength_m, source) if wavelength_m else None
