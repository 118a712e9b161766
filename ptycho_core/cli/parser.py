"""The parser that all commands share. It knows no setting: those take as long to import as all else."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from ptycho_core.base.errors import InputError

_VALUE_WITH_MINUS = re.compile(r"-[\d.xy]")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` in place of printing usage and leaving."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise `InputError` with argparse's sentence."""
        raise InputError(f"{message} (see {self.prog} --help)")

    def flags(self) -> list[str]:
        """Return every flag that the parser knows."""
        return list(self._option_string_actions)


def dashed(words: list[str]) -> list[str]:
    """Return the arguments with each flag written with dashes: ``--max_epochs=3`` becomes ``--max-epochs=3``.

    Values that begin with a minus, which argparse takes for flags, join theirs: ``--orient -y+x`` becomes
    ``--orient=-y+x``.
    """
    end = words.index("--") if "--" in words else len(words)
    flags: list[str] = []
    for word in words[:end]:
        if _VALUE_WITH_MINUS.match(word) and flags and flags[-1].startswith("--") and "=" not in flags[-1]:
            flags[-1] += f"={word}"
        else:
            flags.append(_dash_name(word) if word.startswith("--") else word)
    return flags + words[end:]


def _dash_name(word: str) -> str:
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value
