"""`Mapping`: where in a file of no known format the patterns, the positions and the rest are; to and from JSON."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import write_json
from ptycho_core.base.errors import InputError
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M, UNITS

VERSION = 1
_LARGEST_FILE = 2**20


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of the positions.

    Parameters
    ----------
    key
        An array with a value for each position, or for each line or column of a raster; or a column of a text file,
        by name or by number from 0.
    unit
        A key of `UNITS`: what the stored values are in, once multiplied.
    column
        Which column, from 0, of an array that holds several coordinates: (n, 2) or (2, n).
    multiplier
        Of the stored values; a negative one reverses the axis.
    """

    key: str
    unit: str
    column: int | None = None
    multiplier: float = 1.0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InputError(f"the unit {self.unit!r} of '{self.key}' is not one of {', '.join(UNITS)}")
        if not (math.isfinite(self.multiplier) and self.multiplier):
            raise InputError(f"the multiplier of '{self.key}' must be a number other than 0 (it is {self.multiplier})")
        if self.column is not None and self.column < 0:
            raise InputError(f"columns of '{self.key}' count from 0 (it is {self.column})")


@dataclass(frozen=True)
class Positions:
    """Where the positions are.

    Parameters
    ----------
    y, x
        Rows grow with y, downwards, and columns with x, to the right.
    separate_file
        Whether all keys of the positions are those of a file of its own (``--positions``).
    index
        Array of the number of the pattern that each position belongs to; without it, and without `Mapping.index`,
        the order pairs them.
    """

    y: Coordinate
    x: Coordinate
    separate_file: bool = False
    index: str | None = None


@dataclass(frozen=True)
class Mask:
    """A detector mask: the pixels where it is zero are bad, or with ``invert`` those where it is not."""

    key: str
    invert: bool = False


@dataclass(frozen=True)
class Quantity:
    """A number with its unit: a constant ``value``, or at a ``key``.

    ``GROUP@NAME`` is the attribute NAME of a group or an array, ``@NAME`` that of the file.
    """

    unit: str
    key: str | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if (self.key is None) == (self.value is None):
            raise InputError("a quantity is either a 'key' or a 'value'")
        if self.value is not None and not (math.isfinite(self.value) and self.value > 0):
            raise InputError(f"the value {self.value} must be positive")


@dataclass(frozen=True)
class Mapping:
    """Where everything is in a file of no known format. Keys of HDF5 are paths without a leading slash.

    Parameters
    ----------
    patterns
        (n, y, x), or a raster (lines, columns, y, x), which is put line after line; a ``*`` in the name puts all
        arrays that match one after another. Another order of axes is the setting ``axes``.
    positions
        Of the probe on the sample.
    index
        Array of the patterns' own numbers, (n,).
    probe
        Complex array (y, x) or (modes, y, x).
    mask
        Of the detector.
    energy
        Of the photons; in a unit of length it is the wavelength.
    distance, detector_pixel, object_pixel
        Lengths; pixels may be one number or two, (y, x).
    settings
        Answers as with ``--set``, which overrides them: ``{"data": "amplitude"}``.
    """

    patterns: str
    positions: Positions
    index: str | None = None
    probe: str | None = None
    mask: Mask | None = None
    energy: Quantity | None = None
    distance: Quantity | None = None
    detector_pixel: Quantity | None = None
    object_pixel: Quantity | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            quantity: Quantity | None = getattr(self, name)
            valid = units_of(name)
            if quantity is not None and quantity.unit.lower() not in valid:
                raise InputError(f"the unit {quantity.unit!r} of the {name} is not one of {', '.join(valid)}")
        if len({self.positions.y.unit == "px", self.positions.x.unit == "px"}) > 1:
            raise InputError("y and x of the positions must both be in pixels or both in a unit of length")

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping as JSON-ready primitives, with the version of the layout; what is None is left out."""
        return {"version": VERSION, **_without_defaults(self)}

    @classmethod
    def from_dict(cls, body: object, source: str = "the mapping") -> Mapping:
        """Return the mapping that `to_dict` wrote.

        Parameters
        ----------
        body
            What the JSON holds.
        source
            Its name, for messages.

        Raises
        ------
        InputError
            Another version, an unknown or missing name, a value of the wrong type or outside its limits; by name.
        """
        if not isinstance(body, dict):
            raise InputError(f"{source} must hold a JSON object with 'patterns' and 'positions'")
        if body.get("version") != VERSION:
            raise InputError(f"{source} has version {body.get('version')!r}; this program reads version {VERSION}")
        mapping: Mapping = _build(cls, {name: item for name, item in body.items() if name != "version"}, source, "")
        Settings(Path(source), mapping.settings)
        return mapping


QUANTITIES = ("energy", "distance", "detector_pixel", "object_pixel")
"""The fields of `Mapping` that are a `Quantity`."""


def units_of(quantity: str) -> tuple[str, ...]:
    """Return the names, in small letters, of the units that one of `QUANTITIES` may have."""
    return (*ENERGIES_EV, *LENGTHS_M) if quantity == "energy" else tuple(LENGTHS_M)


def read_mapping(path: Path) -> Mapping:
    """Return the mapping in a JSON file.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or as `Mapping.from_dict`.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot read the mapping {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the mapping {path} is not text: {error}") from error
    if len(text) > _LARGEST_FILE:
        raise InputError(f"{path} is larger than any mapping")
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the mapping {path} is not JSON: {error}") from error
    return Mapping.from_dict(body, str(path))


def write_mapping(mapping: Mapping, path: Path) -> None:
    """Write a mapping as JSON, atomically.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    write_json(path, mapping.to_dict())


def _without_defaults(record: Any) -> dict[str, Any]:
    found = {}
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if dataclasses.is_dataclass(value):
            found[f.name] = _without_defaults(value)
        elif value not in (None, {}) and value != f.default:
            found[f.name] = value
    return found


def _build(kind: Any, body: object, source: str, place: str) -> Any:
    """Return a dataclass of this kind from a JSON object; ``place`` is where in ``source`` it is."""
    where = f"{source}: '{place}'" if place else source
    if not isinstance(body, dict):
        raise InputError(f"{where} must be an object with {', '.join(f.name for f in dataclasses.fields(kind))}")
    hints = typing.get_type_hints(kind)
    for name in body:
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(hints)}"
            raise InputError(f"{where} has the unknown name {name!r}; {hint}")
    required = [f.name for f in dataclasses.fields(kind) if _is_required(f)]
    missing = [name for name in required if name not in body]
    if missing:
        raise InputError(f"{where} lacks {', '.join(map(repr, missing))}")
    prefix = f"{place}." if place else ""
    values = {name: _value(hints[name], item, source, prefix + name) for name, item in body.items()}
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _is_required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _value(hint: Any, value: object, source: str, place: str) -> Any:
    """Return a JSON value as the type that a field declares."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, source, place)
    what, is_valid = _KINDS[hint]
    if not is_valid(value):
        raise InputError(f"{source}: '{place}' must be {what} (it is {json.dumps(value)[:80]})")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    str: ("a text", lambda value: isinstance(value, str) and bool(value)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a number", _is_number),
    dict[str, str]: (
        "an object of texts",
        lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
    ),
}
