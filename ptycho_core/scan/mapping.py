"""`Mapping`: where in a file of no known format the patterns, the positions and the rest are; to and from JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M, UNITS

OPEN = "?"
"""The key of what a proposal could not find."""
LINE, COLUMN = "#line", "#column"
"""The keys of coordinates that no array holds: the number of the line of a raster, and of the place in it, from 0. The
multiplier is the step."""


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of the positions.

    Parameters
    ----------
    key
        An array with a value for each position, or for each line or column of a raster; or a column of a text file,
        by name or by number from 0; or `LINE` or `COLUMN`.
    unit
        A key of `UNITS`: what the stored values are in, once multiplied.
    column
        Which column, from 0, of an array that holds several coordinates: (n, 2) or (2, n); of complex numbers 0 is the
        real part and 1 the imaginary one, of records (a compound type) it counts the fields.
    multiplier
        Of the stored values; a negative one reverses the axis.
    angle
        A number of the patterns' file, or an attribute as of a `Quantity`: degrees by which this motor is turned
        towards the beam, whose cosine shortens what it moves.
    """

    key: str
    unit: str
    column: int | None = None
    multiplier: float = 1.0
    angle: str | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise InputError("a coordinate needs a 'key'")
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
    lines, columns
        Of a raster that the patterns' own axes do not show.
    snake
        Whether every second line of such a raster runs backwards.
    """

    y: Coordinate
    x: Coordinate
    separate_file: bool = False
    index: str | None = None
    lines: int | None = None
    columns: int | None = None
    snake: bool = False

    def __post_init__(self) -> None:
        if any(number is not None and number < 1 for number in (self.lines, self.columns)):
            raise InputError(f"a raster has 1 line and 1 column or more (it is {self.lines} x {self.columns})")


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
    series
        Whether the patterns go on in the files beside this one whose names differ in their last number only.
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
    guessed
        What nobody stated and nobody confirmed: "positions", "position_unit", or one of `QUANTITIES`, whose unit it is.
        "step": the step of a raster is not known at all, and is asked for.
    """

    LAYOUT: ClassVar[int] = 1

    patterns: str
    positions: Positions
    series: bool = False
    index: str | None = None
    probe: str | None = None
    mask: Mask | None = None
    energy: Quantity | None = None
    distance: Quantity | None = None
    detector_pixel: Quantity | None = None
    object_pixel: Quantity | None = None
    settings: dict[str, str] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()

    @property
    def open(self) -> list[str]:
        """What is still to be filled in."""
        keys = {"patterns": self.patterns, "y": self.positions.y.key, "x": self.positions.x.key}
        return [name for name, key in keys.items() if key == OPEN]

    def __post_init__(self) -> None:
        if unknown := set(self.guessed) - {"positions", "position_unit", "step", *QUANTITIES}:
            raise InputError(f"'guessed' names {', '.join(sorted(unknown))}, which is no part of a mapping")
        for name in QUANTITIES:
            quantity: Quantity | None = getattr(self, name)
            valid = units_of(name)
            if quantity is not None and quantity.unit.lower() not in valid:
                raise InputError(f"the unit {quantity.unit!r} of the {name} is not one of {', '.join(valid)}")
        if len({self.positions.y.unit == "px", self.positions.x.unit == "px"}) > 1:
            raise InputError("y and x of the positions must both be in pixels or both in a unit of length")
        Settings(Path("settings"), self.settings)

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping as JSON-ready primitives, with the version of its layout and without what is default."""
        return encode(self, defaults=False)

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
        return decode(cls, body, source)


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
    return Mapping.from_dict(read_json(path, "the mapping"), str(path))


def write_mapping(mapping: Mapping, path: Path) -> None:
    """Write a mapping as JSON, atomically.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    write_json(path, mapping.to_dict())
