"""How a setting is declared once, with its help and limits, and read from text, JSON or a widget alike."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ptycho_core.base.errors import InputError


@dataclass(frozen=True)
class Knob:
    """What is known of one setting besides its name and default.

    Parameters
    ----------
    kind
        ``int``, ``float``, ``str`` or ``bool``; ``tuple`` for a comma-separated choice of several words.
    section
        Heading under which ``--help`` and the window show it.
    help
        What it does to the run; the same text in ``--help`` and in tooltips.
    minimum, maximum
        Inclusive limits of numbers.
    above
        Exclusive lower limit of numbers.
    choices
        Permitted words; words permitted beside numbers too ("auto").
    none
        The word that stands for None ("auto", "none", "all"), where None is permitted.
    basic
        Shown at once; the others fold away.
    flags
        Further names on the command line.
    engines
        Those that use it; none are named where all do.
    resumable
        Whether it may change when a run is resumed: where and how long it runs, never the model or the data.
    """

    kind: type
    section: str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    none: str | None = None
    basic: bool = False
    flags: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    resumable: bool = False

    def serves(self, engine: str) -> bool:
        """Tell whether an engine uses it."""
        return not self.engines or engine in self.engines

    def valid(self) -> str:
        """Say in words which values are valid."""
        parts = list(self.choices)
        if self.kind in (int, float):
            noun = "whole number" if self.kind is int else "number"
            if self.above is not None:
                noun += f" above {self.above:.10g}"
            elif self.minimum is not None and self.maximum is not None:
                noun += f" from {self.minimum:.10g} to {self.maximum:.10g}"
            elif self.minimum is not None:
                noun += f" of at least {self.minimum:.10g}"
            if self.maximum is not None and self.above is not None:
                noun += f" up to {self.maximum:.10g}"
            parts.append(f"a {noun}")
        elif self.kind is bool:
            parts += ["true", "false"]
        elif not parts:
            parts.append("text")
        if self.none and self.none not in parts:
            parts.append(self.none)
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"

    def error(self, name: str, value: object) -> InputError:
        """Return the sentence for a value that is not valid."""
        return InputError(f"{name} must be {self.valid()} (it is {value!r})")

    def parse(self, name: str, text: str) -> Any:
        """Return the value that ``text`` means, or raise `InputError` naming the setting and its limits."""
        word = text.strip()
        if self.none is not None and word.lower() == self.none:
            return None
        if self.kind is tuple:
            return self.check(name, tuple(part.strip() for part in word.split(",") if part.strip()))
        if word in self.choices or self.kind is str:
            return self.check(name, word)
        if self.kind is bool:
            if word.lower() not in ("true", "false"):
                raise self.error(name, text)
            return word.lower() == "true"
        try:
            value = self.kind(word)
        except ValueError:
            raise self.error(name, text) from None
        return self.check(name, value)

    def text(self, value: Any) -> str:
        """Return the text that `parse` reads as ``value``."""
        if value is None:
            return str(self.none)
        if isinstance(value, bool):
            return str(value).lower()
        return ",".join(value) if isinstance(value, tuple) else str(value).removesuffix(".0")

    def check(self, name: str, value: Any) -> Any:
        """Return the value, whole floats as int where a whole number is due, or raise `InputError`."""
        if value is None:
            if self.none is None:
                raise self.error(name, value)
            return None
        if self.kind is tuple:
            if isinstance(value, str) or not all(v in self.choices for v in value) or not value:
                raise self.error(name, value)
            return tuple(value)
        if isinstance(value, str):
            permitted = value in self.choices if self.choices else self.kind is str
            if not permitted:
                raise self.error(name, value)
            return value
        if isinstance(value, bool) or self.kind is bool:
            if not (isinstance(value, bool) and self.kind is bool):
                raise self.error(name, value)
            return value
        if not isinstance(value, (int, float)) or self.kind not in (int, float) or not math.isfinite(value):
            raise self.error(name, value)
        if self.kind is int and value != int(value):
            raise self.error(name, value)
        below = (self.minimum is not None and value < self.minimum) or (self.above is not None and value <= self.above)
        if below or (self.maximum is not None and value > self.maximum):
            raise self.error(name, value)
        return self.kind(value)


def knob(default: Any, kind: type, section: str, help: str, **limits: Any) -> Any:
    """Declare a dataclass field that is a setting."""
    return dataclasses.field(default=default, metadata={"knob": Knob(kind, section, help, **limits)})
