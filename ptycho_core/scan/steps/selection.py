"""Steps that keep some patterns and leave others out."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import ClassVar

from ptycho_core.base.errors import InputError
from ptycho_core.scan.steps.step import Step, check_order, setting


@dataclass(frozen=True)
class Region(Step):
    """Keep the patterns whose positions lie in a rectangle, its edges included."""

    name: ClassVar[str] = "region"
    top: float = setting(MISSING, float, "Least y")
    left: float = setting(MISSING, float, "Least x")
    bottom: float = setting(MISSING, float, "Greatest y")
    right: float = setting(MISSING, float, "Greatest x")
    unit: str = setting("px", str, "Unit of the edges: object pixels, or micrometres", choices=("px", "um"))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order(self.name, ("top", self.top, "bottom", self.bottom), ("left", self.left, "right", self.right))


@dataclass(frozen=True)
class Every(Step):
    """Keep every k-th pattern."""

    name: ClassVar[str] = "every"
    k: int = setting(MISSING, int, "Of how many patterns one is kept", minimum=1)
    start: int = setting(0, int, "The first that is kept", minimum=0)


@dataclass(frozen=True)
class DropDead(Step):
    """Leave out the patterns that hold no counts, or far fewer than most."""

    name: ClassVar[str] = "drop_dead"
    looks_at_all: ClassVar[bool] = True
    fraction: float = setting(0.1, float, "Part of the median pattern's counts that is too few", minimum=0, maximum=1)


@dataclass(frozen=True)
class DropBright(Step):
    """Leave out the patterns that hold far more counts than most."""

    name: ClassVar[str] = "drop_bright"
    looks_at_all: ClassVar[bool] = True
    factor: float = setting(10.0, float, "How many times the median pattern's counts is too much", above=1)


@dataclass(frozen=True)
class DropRepeated(Step):
    """Leave out the patterns that repeat an earlier one count by count, as a detector that stopped delivers them."""

    name: ClassVar[str] = "drop_repeated"
    looks_at_all: ClassVar[bool] = True


@dataclass(frozen=True)
class DropDuplicates(Step):
    """Leave out the patterns whose positions repeat an earlier one's."""

    name: ClassVar[str] = "drop_duplicates"
    distance_px: float = setting(0.0, float, "Object pixels between positions that are the same", minimum=0)


@dataclass(frozen=True)
class DropPatterns(Step):
    """Leave out single patterns, by their places in the scan as the steps before leave it."""

    name: ClassVar[str] = "drop_patterns"
    places: str = setting(MISSING, str, "Their places, counted from 0, with spaces between: 3 17 20")

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
