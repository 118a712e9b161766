"""Steps as JSON and as flags of the command line, there and back. No NumPy here."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import InputError
from ptycho_core.scan.steps import STEPS, FromFile, Step

VERSION = 1


def steps_to_dict(steps: Iterable[Step]) -> dict[str, Any]:
    """Return steps as JSON-ready primitives, with the version of the layout."""
    return {"version": VERSION, "steps": [{"step": step.name, **dataclasses.asdict(step)} for step in steps]}


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
    if not isinstance(body, dict) or not isinstance(body.get("steps"), list):
        raise InputError(f"{source} must hold a JSON object with a list of 'steps'")
    if body.get("version") != VERSION:
        raise InputError(f"{source} has steps of version {body.get('version')!r}; this program reads version {VERSION}")
    unknown = [name for name in body if name not in ("version", "steps")]
    if unknown:
        raise InputError(f"{source} names the unknown {unknown[0]!r}; it may hold version and steps")
    return tuple(_step(entry, source, folder) for entry in body["steps"])


def _step(entry: object, source: str, folder: Path) -> Step:
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), str):
        raise InputError(f"{source}: each of the steps must be an object that names its 'step'")
    settings = dict(entry)
    kind = STEPS[_known(settings.pop("step"), STEPS, f"{source} names the unknown step")]
    knobs = kind.knobs()
    for name in settings:
        _known(name, knobs, f"{source}: step {kind.name} names the unknown setting")
    missing = [name for name in kind.required() if name not in settings]
    if missing:
        raise InputError(f"{source}: step {kind.name} needs {', '.join(missing)}")
    if issubclass(kind, FromFile) and isinstance(settings["file"], str):
        settings["file"] = str(folder / settings["file"])
    return kind(**settings)


def _known(name: str, there: Iterable[str], complaint: str) -> str:
    names = list(there)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise InputError(f"{complaint} {name!r}; {hint}")
    return name


def read_steps(path: Path) -> tuple[Step, ...]:
    """Return the steps in a JSON file; files that they name are looked for beside it.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or as `steps_from_dict`.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the file of steps {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    return steps_from_dict(body, str(path), path.parent)


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
