"""Steps that change counts."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import ClassVar

from ptycho_core.scan.steps.step import FromFile, Step, setting


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
    level: float | None = setting(
        MISSING,
        float,
        "What a pixel holds that no photon reached; of each pattern what its darkest tenth of the pixels holds",
        above=0,
        none="each",
    )


@dataclass(frozen=True)
class Scale(Step):
    """Multiply all patterns by a factor, so that a photon counts 1: after a normalisation, or in units of a gain."""

    name: ClassVar[str] = "scale"
    factor: float = setting(MISSING, float, "What the values are multiplied by", above=0)


@dataclass(frozen=True)
class Photons(Step):
    """Multiply each pattern by what makes its values whole: where each was divided by a number of its own."""

    name: ClassVar[str] = "photons"
    looks_at_all: ClassVar[bool] = True
