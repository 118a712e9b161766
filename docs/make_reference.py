"""Write docs/commands.md from the flags that the commands declare: run it after changing one."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

from ptycho_core.base.choices import PRESETS
from ptycho_core.cli import COMMANDS
from ptycho_core.cli.parser import Parser

TARGET = Path(__file__).with_name("commands.md")

INTRODUCTION = """\
# Commands

Made by `docs/make_reference.py` from what `ptycho COMMAND --help` shows.

Every flag may be written with `-` or with `_` between its words. Every command also takes `--help`; `--json`, which
prints its result as JSON on standard output (all else goes to standard error); and `--debug`, which prints the
traceback of an error. Exit codes: 0 done, 2 bad input or arguments, 3 failed, 130 interrupted.
"""


def reference() -> str:
    """Return the text of docs/commands.md."""
    return "\n".join([INTRODUCTION, *(line for name in COMMANDS for line in _command(name)), *_presets()])


def _command(name: str) -> Iterator[str]:
    # Not argparse's own formatting: it differs between versions of Python.
    parser = Parser(prog=f"ptycho {name}")
    importlib.import_module(f"ptycho_core.cli.{name}").configure(parser)
    groups = [(group.title, _documented(group)) for group in parser._action_groups]
    yield from (f"## ptycho {name}", "", COMMANDS[name].capitalize() + ".", "")
    yield from ("```", parser.usage or _usage(parser.prog, parser._get_positional_actions()), "```", "")
    for title, actions in groups:
        if actions and title not in ("positional arguments", "options"):
            yield from (f"### {title}", "")
        yield from map(_line, actions)
        if actions:
            yield ""


def _documented(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [action for action in group._group_actions if action.dest != "help"]


def _usage(prog: str, positional: list[argparse.Action]) -> str:
    words = [f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar) for action in positional]
    return " ".join([prog, *words, "[flags]"])


def _line(action: argparse.Action) -> str:
    names = list(action.option_strings) or [str(action.metavar)]
    if action.option_strings and action.nargs != 0:
        value = str(action.metavar or action.dest.upper())
        names[-1] += f" [{value}]" if action.nargs == "?" else f" {value}"
    return f"- {', '.join(f'`{name}`' for name in names)}: {str(action.help).replace('%%', '%')}"


def _presets() -> Iterator[str]:
    yield from ("## Presets of ptycho train", "")
    for name, engines in PRESETS.items():
        for engine, settings in engines.items():
            words = ", ".join(f"{setting} {value}" for setting, value in settings.items())
            yield f"- `{name}`, engine {engine}: {words or 'the defaults'}"
    yield ""


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
