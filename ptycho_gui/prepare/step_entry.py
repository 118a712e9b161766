"""`StepEntry`: a preprocessing step while it is edited, when its settings need not be valid yet."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import MISSING, dataclass
from typing import Any

import numpy as np

from ptycho_core.preprocessing.preview import Look
from ptycho_core.scan.steps import (
    Bin,
    Centre,
    Crop,
    DropPatterns,
    Every,
    MaskBrush,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Orient,
    OrientPositions,
    Pad,
    Pedestal,
    Region,
    Saturation,
    Scale,
    Step,
)


@dataclass(frozen=True)
class StepEntry:
    """A kind of step, its settings by name, and whether it is switched on."""

    kind: type[Step]
    values: dict[str, Any]
    active: bool = True

    @classmethod
    def of(cls, step: Step) -> StepEntry:
        """Return the entry of a step."""
        return cls(type(step), dataclasses.asdict(step))

    def step(self) -> Step:
        """Return the step, or raise `InputError` that says what is wrong with its settings."""
        return self.kind(**self.values)

    def replace(self, name: str, value: object) -> StepEntry:
        """Return this entry with another value of a setting; the pixel of a centre goes when it is not given."""
        values = {**self.values, name: value}
        if self.kind is Centre and name == "how" and value != "given":
            values |= {"y": None, "x": None}
        return dataclasses.replace(self, values=values)

    @property
    def words(self) -> str:
        """What the step is, with those settings that are not at their default."""
        fields = {field.name: field for field in dataclasses.fields(self.kind)}
        told = [
            _words(name, f"{value:g}" if isinstance(value, float) else fields[name].metadata["knob"].text(value))
            for name, value in self.values.items()
            if fields[name].default is MISSING or value != fields[name].default
        ]
        return f"{title(self.kind)}: {', '.join(told)}" if told else title(self.kind)


def _words(name: str, text: str) -> str:
    if name == "points":
        return f"{len(text.split())} points"
    return text.rpartition("/")[2] if name == "file" else f"{name.replace('_', ' ')} {text}"


def title(kind: type[Step]) -> str:
    """Return what the window calls a kind of step: ``Mask rectangle``."""
    return " ".join(re.findall("[A-Z][a-z]*", kind.__name__)).capitalize()


def new_entry(kind: type[Step], look: Look, highest: float) -> StepEntry:
    """Return an entry to begin with: the defaults, and for what has none a value that suits the scan.

    Parameters
    ----------
    kind
        Of the step.
    look
        The scan as it is before the step.
    highest
        The largest count in it.
    """
    fields = dataclasses.fields(kind)
    values = {field.name: "" if field.default is MISSING else field.default for field in fields}
    return StepEntry(kind, {**values, **_start(kind, look, highest)})


def _start(kind: type[Step], look: Look, highest: float) -> dict[str, Any]:
    middle, eighth = look.size // 2, max(look.size // 8, 1)
    low, high = middle - eighth, middle + eighth
    starts: dict[type[Step], dict[str, Any]] = {
        Crop: {"size": max(look.size // 2, 8)},
        Pad: {"size": 2 * look.size},
        Bin: {"factor": 2},
        Orient: {"orientation": "+y+x"},
        OrientPositions: {"orientation": "+y+x"},
        MaskRectangle: {"top": low, "left": low, "bottom": high, "right": high},
        MaskPolygon: {"points": f"{low},{low} {low},{high} {high},{middle}"},
        MaskBrush: {"points": f"{middle},{middle}", "radius": float(eighth)},
        MaskThreshold: {"above": float(look.mean.max())},
        Saturation: {"level": highest or 1.0},
        Region: _extent(look),
        Every: {"k": 2},
        DropPatterns: {"places": "0"},
        Pedestal: {"level": max(float(look.mean.min()), 1.0)},
        Scale: {"factor": 2.0},
    }
    return starts.get(kind, {})


def _extent(look: Look) -> dict[str, float]:
    low, high = np.floor(look.positions.min(axis=0)), np.ceil(look.positions.max(axis=0))
    return dict(zip(("top", "left", "bottom", "right"), map(float, (*low, *high)), strict=True))
