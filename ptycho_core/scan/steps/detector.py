"""Steps that change what part of the detector a pattern shows, and how it lies."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import ClassVar

from ptycho_core.base.errors import InputError
from ptycho_core.scan.orientation import ORIENTATIONS
from ptycho_core.scan.steps.step import Step, setting


@dataclass(frozen=True)
class Centre(Step):
    """Move the patterns' centre to pixel N//2; pixels that come from beyond the edge are masked."""

    name: ClassVar[str] = "centre"
    how: str = setting(
        "mass",
        str,
        "Where the centre is: that of mass or of point symmetry of the mean pattern, or the pixel given by y and x",
        choices=("mass", "symmetry", "given"),
    )
    y: int | None = setting(None, int, "Row of the centre, where it is given", minimum=0, none="none")
    x: int | None = setting(None, int, "Column of the centre, where it is given", minimum=0, none="none")

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
    size: int = setting(MISSING, int, "Width N of the patterns afterwards, in pixels", minimum=8)


@dataclass(frozen=True)
class Pad(Step):
    """Add masked pixels around the patterns: more and smaller object pixels, the same field of view.

    In the near field the same pixels, a larger field.
    """

    name: ClassVar[str] = "pad"
    size: int = setting(MISSING, int, "Width N of the patterns afterwards, in pixels", minimum=8, maximum=16384)


@dataclass(frozen=True)
class Bin(Step):
    """Sum blocks of detector pixels, bad where one of them is: the same object pixels, a smaller field of view.

    In the near field larger pixels, the same field.
    """

    name: ClassVar[str] = "bin"
    factor: int = setting(MISSING, int, "Width of a block in pixels", minimum=2, maximum=64)


@dataclass(frozen=True)
class Orient(Step):
    """Turn or mirror the patterns about their centre, and the probe if that then fits them better."""

    name: ClassVar[str] = "orient"
    orientation: str = setting(
        MISSING, str, "Which old axis, with which sign, the rows come from, then the columns", choices=ORIENTATIONS
    )
