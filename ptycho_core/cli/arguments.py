"""Flags: one for each setting that is declared, and those that commands share."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob
from ptycho_core.scan.steps import STEPS, Step
from ptycho_core.scan.steps_json import flag_name, read_steps, step_from_text, usage

if TYPE_CHECKING:
    from ptycho_core.scan.source import ScanSource

_METAVARS = {int: "N", float: "X", str: "WORD", tuple: "WORDS"}


def add_knobs(parser: argparse.ArgumentParser, knobs: Mapping[str, Knob], defaults: object) -> None:
    """Add a flag for each setting; a flag that is not given leaves no trace in the namespace.

    Parameters
    ----------
    parser
        Gets a group of flags for each section.
    knobs
        Declarations by name.
    defaults
        Has the default of each as an attribute.
    """
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, setting in knobs.items():
        if setting.section not in groups:
            groups[setting.section] = parser.add_argument_group(setting.section)
        group = groups[setting.section]
        dest = f"knob {name}"
        flags = [f"--{flag}" for flag in (name.replace("_", "-"), *setting.flags)]
        if flags[0] in parser._option_string_actions:
            continue  # `_FileOrKnob` takes it
        default = setting.text(getattr(defaults, name))
        users = f"; {' and '.join(setting.engines)} engine only" if setting.engines else ""
        help = f"{setting.help} [{setting.valid()}; default {default}{users}]".replace("%", "%%")
        common: dict[str, Any] = {"dest": dest, "default": argparse.SUPPRESS, "help": help}
        if setting.kind is bool:
            group.add_argument(*flags, nargs="?", const="true", metavar="true|false", **common)
            common["help"] = f"the same as {flags[0]} false"
            group.add_argument(flags[0].replace("--", "--no-"), action="store_const", const="false", **common)
        else:
            group.add_argument(*flags, metavar=_METAVARS[setting.kind], **common)


def given_knobs(args: argparse.Namespace, knobs: Mapping[str, Knob]) -> dict[str, Any]:
    """Return the settings that were given as flags, parsed and checked."""
    texts = {name: getattr(args, f"knob {name}") for name in knobs if hasattr(args, f"knob {name}")}
    return {name: knobs[name].parse(name, text) for name, text in texts.items()}


class _FileOrKnob(argparse.Action):
    """Takes a word that a setting of the same name knows for that setting, and anything else for a file."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Argparse: the flag was met."""
        is_knob = values in KNOBS[self.dest].choices
        setattr(namespace, *((f"knob {self.dest}", values) if is_knob else (self.dest, Path(str(values)))))


class _AddStep(argparse.Action):
    """Appends the steps that a flag stands for, so that all of them keep the order in which they were given."""

    def __init__(self, *, kind: type[Step] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.kind = kind

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Argparse: the flag was met."""
        text = str(values or "")
        more = read_steps(Path(text)) if self.kind is None else (step_from_text(self.kind, text),)
        namespace.steps = (*namespace.steps, *more)


def add_accelerator(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says what computes, to a command that takes no other setting of a run."""
    device = KNOBS["accelerator"]
    parser.add_argument(
        "--accelerator",
        default="auto",
        metavar="WORD",
        help=f"{device.help} [{device.valid()}; default auto]",
    )


def refuse_accelerator(name: str) -> None:
    """Raise `InputError` where what should compute is not there, before a scan is read in vain."""
    if name not in ("auto", "cpu"):  # which are there: torch need not be asked
        from ptycho_core.engines.trainer import choose_accelerator

        choose_accelerator(name)


def refuse_missing(folder: Path) -> None:
    """Raise `InputError` where there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder" if folder.exists() else f"there is no folder {folder}")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the flag without which a command writes over nothing."""
    parser.add_argument("--overwrite", action="store_true", help="write over files that are there already")


def refuse_existing(args: argparse.Namespace, paths: Iterable[Path]) -> None:
    """Raise `InputError` where a command would write over files, unless it was told to."""
    there = [str(path) for path in paths if path.exists()]
    if there and not args.overwrite:
        verb = "is" if len(there) == 1 else "are"
        raise InputError(f"{', '.join(there)} {verb} there already: name another target, or add --overwrite")


def add_reading(parser: argparse.ArgumentParser, *, trains: bool = False) -> None:
    """Add the flags that say how a scan file is to be read, and what is done to the scan then.

    Of a command that ``trains``, ``--positions`` takes the setting of that name too.
    """
    group = parser.add_argument_group("Reading the scan")
    file = "file of positions, where the scan's has none"
    if trains:
        knob = KNOBS["positions"]
        file += " (of several scans the first one's: the others' are named alike)"
        help = f"{file}; or a setting: {knob.help} [{knob.valid()}; default {knob.text(Config.positions)}]"
        group.add_argument("--positions", action=_FileOrKnob, metavar="FILE|WORD", help=help)
    else:
        group.add_argument("--positions", type=Path, metavar="FILE", help=file)
    group.add_argument(
        "--format", metavar="NAME", help="read it as this format, whatever its content looks like (docs/formats.md)"
    )
    group.add_argument(
        "--mapping",
        type=Path,
        metavar="FILE",
        help="JSON file that says what is where in a scan of no known format (ptycho inspect proposes one)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="answer what the file leaves open (ptycho inspect lists it); may be repeated",
    )

    group = parser.add_argument_group("Preprocessing, in the order given")
    add: dict[str, Any] = {"action": _AddStep, "dest": "steps", "default": ()}
    group.add_argument("--steps", metavar="FILE", help="JSON file of such steps", **add)
    for kind in STEPS.values():
        if "points" in kind.knobs():  # hold commas themselves: left to the file
            continue
        group.add_argument(
            f"--{flag_name(kind)}",
            metavar=usage(kind),
            nargs=None if kind.required() else "?",
            kind=kind,
            help=_step_help(kind).replace("%", "%%"),
            **add,
        )


def _step_help(kind: type[Step]) -> str:
    settings = []
    for field in dataclasses.fields(kind):
        declared: Knob = field.metadata["knob"]
        default = "" if field.name in kind.required() else f"; default {declared.text(field.default)}"
        settings.append(f"{field.name}: {declared.help} [{declared.valid()}{default}]")
    return f"{kind.help()} {'; '.join(settings)}"


def given_source(args: argparse.Namespace, path: Path, positions: Path | None = None) -> ScanSource:
    """Return how the flags of `add_reading` say that a file is to be read."""
    from ptycho_core.scan.mapping import read_mapping
    from ptycho_core.scan.source import ScanSource

    mapping = read_mapping(args.mapping) if args.mapping else None
    return ScanSource(path, positions, _settings(args), args.format, mapping, args.steps)


def reads_as_given(args: argparse.Namespace) -> bool:
    """Return whether a flag of `add_reading` was given."""
    return bool(args.set or args.positions or args.format or args.mapping or args.steps)


def _settings(args: argparse.Namespace) -> dict[str, str]:
    """Return the ``--set`` pairs."""
    pairs = [pair.partition("=") for pair in args.set]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"--set needs KEY=VALUE (it is {key + equals!r})")
    return {key.strip(): value.strip() for key, _, value in pairs}
