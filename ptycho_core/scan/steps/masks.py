"""Steps that say which pixels do not count."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass
from typing import ClassVar

from ptycho_core.base.errors import InputError
from ptycho_core.scan.steps.step import FromFile, Step, check_order, setting


@dataclass(frozen=True)
class MaskFile(FromFile):
    """Mask the pixels where an image is zero or false."""

    name: ClassVar[str] = "mask"
    invert: bool = setting(False, bool, "Mask those where it is not zero instead")


@dataclass(frozen=True)
class MaskRectangle(Step):
    """Mask a rectangle of pixels: rows top to bottom - 1, columns left to right - 1."""

    name: ClassVar[str] = "mask_rectangle"
    top: int = setting(MISSING, int, "First row", minimum=0)
    left: int = setting(MISSING, int, "First column", minimum=0)
    bottom: int = setting(MISSING, int, "Row after the last", minimum=1)
    right: int = setting(MISSING, int, "Column after the last", minimum=1)
    outside: bool = setting(False, bool, "Mask all but these")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self.name, ("top", self.top, "bottom", self.bottom), ("left", self.left, "right", self.right))


@dataclass(frozen=True)
class MaskPolygon(Step):
    """Mask the pixels whose centres lie inside a polygon."""

    name: ClassVar[str] = "mask_polygon"
    points: str = setting(MISSING, str, "Three corners or more, as y,x pairs with spaces between: 10,12 40,12 25,30")
    outside: bool = setting(False, bool, "Mask all but these")

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
    points: str = setting(MISSING, str, "Where the stroke goes, as y,x pairs with spaces between: 10,12 40,12")
    radius: float = setting(MISSING, float, "Radius of the brush in pixels", minimum=0, maximum=16384)

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
    above: float | None = setting(None, float, "Mask pixels of a larger mean count", minimum=0, none="none")
    below: float | None = setting(None, float, "Mask pixels of a smaller mean count", minimum=0, none="none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.above is None and self.below is None:
            raise InputError("mask_threshold: above, below or both must be set")


@dataclass(frozen=True)
class Saturation(Step):
    """Mask the pixels that reach a count in any pattern."""

    name: ClassVar[str] = "saturation"
    looks_at_all: ClassVar[bool] = True
    level: float = setting(MISSING, float, "Count from which on a pixel no longer counts right", above=0)


@dataclass(frozen=True)
class HotPixels(Step):
    """Mask the pixels whose mean count stands out from the median of their 5 x 5 neighbours, beyond photon noise."""

    name: ClassVar[str] = "hot_pixels"
    factor: float = setting(10.0, float, "How many times the median is too much", above=1)


@dataclass(frozen=True)
class DeadPixels(Step):
    """Mask the pixels that hold nothing in any pattern and lie between others that many photons reach."""

    name: ClassVar[str] = "dead_pixels"


def _points(name: str, text: str) -> tuple[tuple[float, float], ...]:
    try:
        pairs = [tuple(map(float, pair.split(","))) for pair in text.split()]
    except ValueError:
        pairs = [()]
    if not all(len(pair) == 2 and all(map(math.isfinite, pair)) for pair in pairs):
        raise InputError(f"{name}: points must be y,x pairs with spaces between, as 10,12 40,12 (it is {text!r})")
    return tuple((pair[0], pair[1]) for pair in pairs)
