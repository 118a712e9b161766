"""What the tests that drive the installed window from outside ask of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.helpers.desktop import Program

BIN = Path(sys.executable).parent


def is_enabled(program: Program, name: str) -> bool:
    """Whether a button of the main toolbar can be pressed."""
    return any(widget.enabled for widget in program.find(name, kind="QToolButton", within="Main"))


def state(program: Program) -> str:
    """Return the line under the toolbar."""
    return program.widget("State").text


def epoch(program: Program) -> int:
    """Return the epoch that trains; 0 where none does."""
    found = re.search(r"epoch (\d+) of", state(program))
    return int(found[1]) if found else 0


def said_in(program: Program, name: str) -> str:
    """Return all that is written in a part of the window, such as Verdict or Message."""
    return " ".join(widget.text for widget in program.widgets() if name in widget.within and widget.text)
