"""Energy, distance and pixels as a `Mapping` names them: numbers, arrays or attributes, each with a unit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats import fields, units
from ptycho_core.formats.stores.store import MOST_PATTERNS, Store
from ptycho_core.scan.mapping import QUANTITIES, Mapping, Quantity
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M


def told_geometry(store: Store, mapping: Mapping, settings: Settings) -> Geometry:
    """Return the geometry, with a question for each number whose unit was guessed."""
    found = geometry(store, mapping, settings)
    for role in (role for role in QUANTITIES if role in mapping.guessed):
        key = "energy_ev" if role == "energy" else f"{role}_m"
        value = getattr(found, key)
        if value is not None:
            of = getattr(mapping, role)
            reason = f"'{of.key}' has no unit, and {of.unit} was guessed"
            settings.assume(key, f"{float(np.ravel(value)[0]):.6g}", reason)
    return found


def geometry(store: Store, mapping: Mapping, settings: Settings) -> Geometry:
    """Return the geometry that a mapping names.

    Raises
    ------
    InputError
        A key does not exist, or holds something else than a positive number.
    """
    return Geometry(
        energy_ev=settings.unless_answered("energy_ev", lambda: _energy_ev(store, mapping.energy, settings)),
        distance_m=settings.unless_answered("distance_m", lambda: _length_m(store, mapping.distance)),
        detector_pixel_m=settings.unless_answered("detector_pixel_m", lambda: _pixel_m(store, mapping.detector_pixel)),
        object_pixel_m=settings.unless_answered("object_pixel_m", lambda: _pixel_m(store, mapping.object_pixel)),
    )


def _energy_ev(store: Store, of: Quantity | None, settings: Settings) -> float | None:
    if of is None:
        return None
    unit, (number,) = of.unit.lower(), _numbers(store, of)
    if unit in LENGTHS_M:
        return units.energy_ev(number * LENGTHS_M[unit], settings)
    return number * ENERGIES_EV[unit]


def _length_m(store: Store, of: Quantity | None) -> float | None:
    return None if of is None else _lengths_m(store, of)[0]


def _pixel_m(store: Store, of: Quantity | None) -> tuple[float, float] | None:
    if of is None:
        return None
    lengths = _lengths_m(store, of, pair=True)
    return lengths[0], lengths[-1]


def _lengths_m(store: Store, of: Quantity, pair: bool = False) -> list[float]:
    return [number * LENGTHS_M[of.unit.lower()] for number in _numbers(store, of, pair)]


def _numbers(store: Store, of: Quantity, pair: bool = False) -> list[float]:
    """Return the number, or with ``pair`` the one or two numbers, of a quantity; of several readings their median."""
    if of.value is not None or of.key is None:
        return [of.value or 0.0]
    numbers = readings(store, of.key)
    if not (numbers.size and np.isfinite(numbers).all() and (numbers > 0).all()):
        raise InputError(f"{store.path}: '{of.key}' must hold positive numbers")
    if pair and numbers.size == 2:
        return [float(number) for number in numbers]
    return [units.one_of_readings(store, of.key, numbers)]


def readings(store: Store, key: str) -> NDArray[np.float64]:
    """Return the numbers (n,) at a key, or of an attribute ``GROUP@NAME``.

    Raises
    ------
    InputError
        There is no such thing, or it is too large for one number.
    """
    group, at, name = key.rpartition("@")
    if key in store or not at:
        shape = store.header(store.require(key)).shape
        if math.prod(shape) > MOST_PATTERNS:
            raise InputError(f"{store.path}: '{key}' has shape {shape}; it must be one number")
        return store.numbers(key).ravel()
    values = fields.real(store.attribute(group, name))
    if values is not None:
        return values.ravel()
    known = not group or group in store
    there = ", ".join(store.attributes(group)) if known else f"no '{group}'"
    raise InputError(f"{store.path}: '{key}' is no attribute that holds a number; there is {there or 'none'}")
