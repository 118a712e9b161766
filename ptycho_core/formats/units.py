"""Numbers with a ``units`` attribute, as NeXus requires and CXI allows, in the units of the core."""

from __future__ import annotations

from typing import Any

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.units import LENGTHS_M


def name(store: Store, key: str) -> str | None:
    """Return the name of an array's unit in small letters, or None where it has none."""
    stated: Any = store.attribute(key, "units")
    if isinstance(stated, bytes):
        stated = stated.decode(errors="replace")
    return stated.strip().lower() or None if isinstance(stated, str) else None


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
    """Return the only number of an array, or None where there is no such array.

    Raises
    ------
    InputError
        It is not one number, or not above zero.
    """
    if key is None or key not in store:
        return None
    number = store.number(key)
    if number <= 0:
        raise InputError(f"{store.path}: '{key}' is {number:g}; it must be positive")
    return number


def length_m(store: Store, key: str | None) -> float | None:
    """Return a length, in metres unless it has another unit; else as `positive` does."""
    number = positive(store, key)
    return None if number is None or key is None else number * factor(store, key, LENGTHS_M, "m")
