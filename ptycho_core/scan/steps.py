"""Every preprocessing step, declared once as data with help and limits. No NumPy here: ``--help`` is made of these.

What a step does to a scan is in `ptycho_core.preprocessing`; how steps are read and written, in
`ptycho_core.scan.steps_json`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob, knob
from ptycho_core.scan.orientation import ORIENTATIONS

_DETECTOR, _COUNTS, _MASK, _POSITIONS, _SELECTION = "Detector", "Counts", "Mask", "Positions", "Selection"


@dataclass(frozen=True)
class Step:
    """One change to a scan: primitives only. The docstring of each kind is its help text.

    Raises
    ------
    InputError
        Naming step and setting, when a value lies outside its limits.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for setting, declared in self.knobs().items():
            value = declared.check(f"{self.name}: {setting}", getattr(self, setting))
            object.__setattr__(self, setting, value)

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Return the declarations of the step's settings, in order."""
        return {field.name: field.metadata["knob"] for field in dataclasses.fields(cls)}

    @classmethod
    def required(cls) -> list[str]:
        """Return the settings that have no default."""
        return [field.name for field in dataclasses.fields(cls) if field.default is MISSING]

    @classmethod
    def section(cls) -> str:
        """Return the heading under which the step is offered: that of its own settings, which follow inherited ones."""
        knobs = list(cls.knobs().values())
        return knobs[-1].section if knobs else _SELECTION

    @classmethod
    def help(cls) -> str:
        """Return what the step does, in a sentence."""
        return " ".join((cls.__doc__ or "").split())


@dataclass(frozen=True)
class FromFile(Step):
    """A step that takes an array from a file; a relative name is taken from the working folder, once."""

    file: str = knob(MISSING, str, _COUNTS, "A .npy, .npz, .tif or .h5 file; FILE::KEY where it holds several arrays")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "file", str(Path(self.file).absolute()))


@dataclass(frozen=True)
class Centre(Step):
    """Move the patterns' centre to pixel N//2; pixels that come from beyond the edge are masked."""

    name: ClassVar[str] = "centre"
    how: str = knob(
        "mass",
        str,
        _DETECTOR,
        "Where the centre is: that of mass or of point symmetry of the mean pattern, or the pixel given by y and x",
        choices=("mass", "symmetry", "given"),
    )
    y: int | None = knob(None, int, _DETECTOR, "Row of the centre, where it is given", minimum=0, none="none")
    x: int | None = knob(None, int, _DETECTOR, "Column of the centre, where it is given", minimum=0, none="none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.how == "given") != (self.y is not None and self.x is not None):
            raise InputError("centre: y and x must be set where how is given, and only there")


@dataclass(frozen=True)
class Crop(Step):
    """Keep the middle of the patterns: fewer and larger object pixels, the same field of view.

    In the near field the same pixels, a smaller field.
    """

    name: ClassVar[str] = "crop"
    size: int = knob(MISSING, int, _DETECTOR, "Width N of the patterns afterwards, in pixels", minimum=8)


@dataclass(frozen=True)
class Pad(Step):
    """Add masked pixels around the patterns: more and smaller object pixels, the same field of view.

    In the near field the same pixels, a larger field.
    """

    name: ClassVar[str] = "pad"
    size: int = knob(MISSING, int, _DETECTOR, "Width N of the patterns afterwards, in pixels", minimum=8, maximum=16384)


@dataclass(frozen=True)
class Bin(Step):
    """Sum blocks of detector pixels, bad where one of them is: the same object pixels, a smaller field of view.

    In the near field larger pixels, the same field.
    """

    name: ClassVar[str] = "bin"
    factor: int = knob(MISSING, int, _DETECTOR, "Width of a block in pixels", minimum=2, maximum=64)


@dataclass(frozen=True)
class Orient(Step):
    """Turn or mirror the patterns about their centre, and the probe if that then fits them better."""

    name: ClassVar[str] = "orient"
    orientation: str = knob(
        MISSING,
        str,
        _DETECTOR,
        "Which old axis, with which sign, the rows come from, then the columns",
        choices=ORIENTATIONS,
    )


@dataclass(frozen=True)
class Dark(FromFile):
    """Subtract a dark frame, or the mean of several, in counts; what falls below zero becomes zero."""

    name: ClassVar[str] = "dark"


@dataclass(frozen=True)
class Monitor(FromFile):
    """Divide each pattern by the monitor's reading for it, over the mean reading."""

    name: ClassVar[str] = "monitor"


@dataclass(frozen=True)
class Pedestal(Step):
    """Subtract a constant from all pixels, such as a detector's offset; what falls below zero becomes zero."""

    name: ClassVar[str] = "pedestal"
    level: float = knob(MISSING, float, _COUNTS, "What a pixel holds that no photon reached", above=0)


@dataclass(frozen=True)
class Scale(Step):
    """Multiply all patterns by a factor, so that a photon counts 1: after a normalisation, or in units of a gain."""

    name: ClassVar[str] = "scale"
    factor: float = knob(MISSING, float, _COUNTS, "What the values are multiplied by", above=0)


@dataclass(frozen=True)
class MaskFile(FromFile):
    """Mask the pixels where an image is zero or false."""

    name: ClassVar[str] = "mask"
    invert: bool = knob(False, bool, _MASK, "Mask those where it is not zero instead")


@dataclass(frozen=True)
class MaskRectangle(Step):
    """Mask a rectangle of pixels: rows top to bottom - 1, columns left to right - 1."""

    name: ClassVar[str] = "mask_rectangle"
    top: int = knob(MISSING, int, _MASK, "First row", minimum=0)
    left: int = knob(MISSING, int, _MASK, "First column", minimum=0)
    bottom: int = knob(MISSING, int, _MASK, "Row after the last", minimum=1)
    right: int = knob(MISSING, int, _MASK, "Column after the last", minimum=1)
    outside: bool = knob(False, bool, _MASK, "Mask all but these")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_order(self.name, ("top", self.top, "bottom", self.bottom), ("left", self.left, "right", self.right))


@dataclass(frozen=True)
class MaskPolygon(Step):
    """Mask the pixels whose centres lie inside a polygon."""

    name: ClassVar[str] = "mask_polygon"
    points: str = knob(
        MISSING, str, _MASK, "Three corners or more, as y,x pairs with spaces between: 10,12 40,12 25,30"
    )
    outside: bool = knob(False, bool, _MASK, "Mask all but these")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.corners) < 3:
            raise InputError(f"mask_polygon: points must name three corners or more (it is {self.points!r})")

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """(y, x) of each corner."""
        return _points(self.name, self.points)


@dataclass(frozen=True)
class MaskBrush(Step):
    """Mask the pixels whose centres lie within a radius of a stroke; one point makes a disc."""

    name: ClassVar[str] = "mask_brush"
    points: str = knob(MISSING, str, _MASK, "Where the stroke goes, as y,x pairs with spaces between: 10,12 40,12")
    radius: float = knob(MISSING, float, _MASK, "Radius of the brush in pixels", minimum=0, maximum=16384)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stroke:
            raise InputError("mask_brush: points must name one point or more")

    @property
    def stroke(self) -> tuple[tuple[float, float], ...]:
        """(y, x) of each point."""
        return _points(self.name, self.points)


@dataclass(frozen=True)
class MaskThreshold(Step):
    """Mask the pixels whose mean count over the scan lies beyond a limit."""

    name: ClassVar[str] = "mask_threshold"
    above: float | None = knob(None, float, _MASK, "Mask pixels of a larger mean count", minimum=0, none="none")
    below: float | None = knob(None, float, _MASK, "Mask pixels of a smaller mean count", minimum=0, none="none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.above is None and self.below is None:
            raise InputError("mask_threshold: above, below or both must be set")


@dataclass(frozen=True)
class Saturation(Step):
    """Mask the pixels that reach a count in any pattern."""

    name: ClassVar[str] = "saturation"
    level: float = knob(MISSING, float, _MASK, "Count from which on a pixel no longer counts right", above=0)


@dataclass(frozen=True)
class HotPixels(Step):
    """Mask the pixels whose mean count stands out from the median of their 5 x 5 neighbours, beyond photon noise."""

    name: ClassVar[str] = "hot_pixels"
    factor: float = knob(10.0, float, _MASK, "How many times the median is too much", above=1)


@dataclass(frozen=True)
class OrientPositions(Step):
    """Swap the axes of the positions, or change their signs."""

    name: ClassVar[str] = "orient_positions"
    orientation: str = knob(
        MISSING, str, _POSITIONS, "Which old coordinate, with which sign, is y, then which is x", choices=ORIENTATIONS
    )


@dataclass(frozen=True)
class TurnPositions(Step):
    """Rotate the positions about their mean, after shearing them: for axes that are not those of the detector."""

    name: ClassVar[str] = "turn_positions"
    rotation_deg: float = knob(
        0.0, float, _POSITIONS, "Degrees from +x (right) towards +y (down)", minimum=-180, maximum=180
    )
    shear_deg: float = knob(
        0.0, float, _POSITIONS, "Degrees by which the y axis leans towards +x", minimum=-60, maximum=60
    )


@dataclass(frozen=True)
class Region(Step):
    """Keep the patterns whose positions lie in a rectangle, its edges included."""

    name: ClassVar[str] = "region"
    top: float = knob(MISSING, float, _SELECTION, "Least y")
    left: float = knob(MISSING, float, _SELECTION, "Least x")
    bottom: float = knob(MISSING, float, _SELECTION, "Greatest y")
    right: float = knob(MISSING, float, _SELECTION, "Greatest x")
    unit: str = knob("px", str, _SELECTION, "Unit of the edges: object pixels, or micrometres", choices=("px", "um"))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_order(self.name, ("top", self.top, "bottom", self.bottom), ("left", self.left, "right", self.right))


@dataclass(frozen=True)
class Every(Step):
    """Keep every k-th pattern."""

    name: ClassVar[str] = "every"
    k: int = knob(MISSING, int, _SELECTION, "Of how many patterns one is kept", minimum=1)
    start: int = knob(0, int, _SELECTION, "The first that is kept", minimum=0)


@dataclass(frozen=True)
class DropDead(Step):
    """Leave out the patterns that hold no counts, or far fewer than most."""

    name: ClassVar[str] = "drop_dead"
    fraction: float = knob(
        0.1,
        float,
        _SELECTION,
        "Part of the median pattern's counts that is too few",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True)
class DropBright(Step):
    """Leave out the patterns that hold far more counts than most."""

    name: ClassVar[str] = "drop_bright"
    factor: float = knob(10.0, float, _SELECTION, "How many times the median pattern's counts is too much", above=1)


@dataclass(frozen=True)
class DropRepeated(Step):
    """Leave out the patterns that repeat an earlier one count by count, as a detector that stopped delivers them."""

    name: ClassVar[str] = "drop_repeated"


@dataclass(frozen=True)
class DropDuplicates(Step):
    """Leave out the patterns whose positions repeat an earlier one's."""

    name: ClassVar[str] = "drop_duplicates"
    distance_px: float = knob(0.0, float, _SELECTION, "Object pixels between positions that are the same", minimum=0)


@dataclass(frozen=True)
class DropPatterns(Step):
    """Leave out single patterns, by their places in the scan as the steps before leave it."""

    name: ClassVar[str] = "drop_patterns"
    places: str = knob(MISSING, str, _SELECTION, "Their places, counted from 0, with spaces between: 3 17 20")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rows:
            raise InputError("drop_patterns: places must name one pattern or more")

    @property
    def rows(self) -> tuple[int, ...]:
        """The places."""
        if not all(word.isdecimal() for word in self.places.split()):
            raise InputError(
                f"drop_patterns: places must be whole numbers with spaces between, as 3 17 20 (it is {self.places!r})"
            )
        return tuple(map(int, self.places.split()))


STEPS: dict[str, type[Step]] = {
    kind.name: kind
    for kind in (
        Centre,
        Crop,
        Pad,
        Bin,
        Orient,
        Dark,
        Monitor,
        Pedestal,
        Scale,
        MaskFile,
        MaskRectangle,
        MaskPolygon,
        MaskBrush,
        MaskThreshold,
        Saturation,
        HotPixels,
        OrientPositions,
        TurnPositions,
        Region,
        Every,
        DropDead,
        DropBright,
        DropRepeated,
        DropDuplicates,
        DropPatterns,
    )
}
"""All kinds by name."""


def _check_order(name: str, *edges: tuple[str, float, str, float]) -> None:
    for low, least, high, greatest in edges:
        if not least < greatest:
            raise InputError(f"{name}: {high} must be above {low} ({least:.10g}) (it is {greatest:.10g})")


def _points(name: str, text: str) -> tuple[tuple[float, float], ...]:
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in text.split()]
    except ValueError:
        pairs = [()]
    if not all(len(pair) == 2 and all(map(math.isfinite, pair)) for pair in pairs):
        raise InputError(f"{name}: points must be y,x pairs with spaces between, as 10,12 40,12 (it is {text!r})")
    return tuple((pair[0], pair[1]) for pair in pairs)
