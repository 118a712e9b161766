"""Steps as JSON and as flags of the command line, there and back. No NumPy here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError, did_you_mean
from ptycho_core.scan.steps import STEPS, FromFile, Step


@dataclass(frozen=True)
class _Steps:
    LAYOUT: ClassVar[int] = 1

    steps: tuple[Any, ...]


def steps_to_dict(steps: Iterable[Step]) -> dict[str, Any]:
    """Return steps as JSON-ready primitives, with the version of the layout."""
    return encode(_Steps(tuple({"step": step.name, **encode(step)} for step in steps)))


def steps_from_dict(body: object, source: str, folder: Path = Path()) -> tuple[Step, ...]:
    """Return the steps that `steps_to_dict` wrote.

    Parameters
    ----------
    body
        What the JSON holds.
    source
        Its name, for messages.
    folder
        Where files with relative names lie.

    Raises
    ------
    InputError
        Another version, an unknown step or setting, one that is missing, or a value outside its limits; by name.
    """
    entries = decode(_Steps, body, source).steps
    return tuple(_step(entry, f"{source}: step {number}", folder) for number, entry in enumerate(entries, 1))


def _step(entry: object, source: str, folder: Path) -> Step:
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), str):
        raise InputError(f"{source} must be a JSON object that names its 'step'")
    settings = dict(entry)
    name = settings.pop("step")
    if name not in STEPS:
        raise InputError(f"{source} has the unknown name {name!r}; {did_you_mean(name, STEPS)}")
    kind = STEPS[name]
    if issubclass(kind, FromFile) and isinstance(settings.get("file"), str):
        settings["file"] = str(folder / settings["file"])
    return decode(kind, settings, f"{source} ({name})")


def read_steps(path: Path) -> tuple[Step, ...]:
    """Return the steps in a JSON file; files that they name are looked for beside it.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or as `steps_from_dict`.
    """
    return steps_from_dict(read_json(path, "the file of steps"), str(path), path.parent)


def step_from_text(kind: type[Step], text: str) -> Step:
    """Return a step from its settings in their order, separated by commas; later ones may be left out.

    Raises
    ------
    InputError
        Too few or too many, or a value outside its limits.
    """
    words = text.split(",") if text else []
    knobs, least = kind.knobs(), len(kind.required())
    if not least <= len(words) <= len(knobs):
        optional = f", of which {', '.join(list(knobs)[least:])} may be left out" if least < len(knobs) else ""
        raise InputError(f"--{flag_name(kind)} takes {usage(kind)}{optional} (it is {text!r})")
    given = zip(knobs.items(), words, strict=False)
    return kind(**{name: declared.parse(f"{kind.name}: {name}", word) for (name, declared), word in given})


def steps_to_flags(steps: Iterable[Step]) -> list[str]:
    """Return the flags of the command line that stand for steps, in their order.

    Raises
    ------
    InputError
        A step holds commas itself, so that only a file of steps can say it.
    """
    return [_flag(step) for step in steps]


def _flag(step: Step) -> str:
    fields = list(dataclasses.fields(step))
    while len(fields) > 1 and getattr(step, fields[-1].name) == fields[-1].default:
        fields.pop()
    words = [field.metadata["knob"].text(getattr(step, field.name)) for field in fields]
    if any("," in word for word in words):
        raise InputError(f"{step.name} cannot be given as a flag; save the steps and give their file with --steps")
    return f"--{flag_name(type(step))}={','.join(words)}"


def flag_name(kind: type[Step]) -> str:
    """Return the step's flag, less its dashes."""
    return kind.name.replace("_", "-")


def usage(kind: type[Step]) -> str:
    """Return the step's settings as a flag takes them: ``K,START``."""
    return ",".join(kind.knobs()).upper()
