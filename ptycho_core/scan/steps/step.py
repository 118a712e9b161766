"""What every preprocessing step is: primitives with help and limits, declared as the knobs of a run are."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, ClassVar

from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob, knob


def setting(default: Any, kind: type, help: str, **limits: Any) -> Any:
    """Declare a dataclass field that is a setting of a step, and shown with it, under no heading of its own."""
    return knob(default, kind, "", help, **limits)


@dataclass(frozen=True)
class Step:
    """One change to a scan: primitives only. The docstring of each kind is its help text.

    Raises
    ------
    InputError
        Naming step and setting, when a value lies outside its limits.
    """

    name: ClassVar[str]
    looks_at_all: ClassVar[bool] = False
    """Whether it reads all patterns of the scan, not only some or none, before one of them is used."""

    def __post_init__(self) -> None:
        for name, declared in self.knobs().items():
            value = declared.check(f"{self.name}: {name}", getattr(self, name))
            object.__setattr__(self, name, value)

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Return the declarations of the step's settings, in order."""
        return {field.name: field.metadata["knob"] for field in dataclasses.fields(cls)}

    @classmethod
    def required(cls) -> list[str]:
        """Return the settings that have no default."""
        return [field.name for field in dataclasses.fields(cls) if field.default is MISSING]

    @classmethod
    def help(cls) -> str:
        """Return what the step does, in a sentence."""
        return " ".join((cls.__doc__ or "").split())


@dataclass(frozen=True)
class FromFile(Step):
    """A step that takes an array from a file; a relative name is taken from the working folder, once."""

    file: str = setting(MISSING, str, "A .npy, .npz, .tif or .h5 file; FILE::KEY where it holds several arrays")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "file", str(Path(self.file).absolute()))


def check_order(name: str, *edges: tuple[str, float, str, float]) -> None:
    """Raise `InputError` unless of each two edges, name and value, the second lies above the first."""
    for low, least, high, greatest in edges:
        if not least < greatest:
            raise InputError(f"{name}: {high} must be above {low} ({least:.10g}) (it is {greatest:.10g})")
