"""The command line, in a process of its own or in the test's, and what happens in the middle of a command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ptycho_core import cli

PTYCHO = [sys.executable, "-c", "import sys; from ptycho_core.cli import main; sys.exit(main())"]


def call(line: str) -> int:
    """Run a command in the test's own process; return its exit code."""
    return cli.main(shlex.split(line))


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Do something when the network has made so many steps."""
    from ptycho_core.engines.models.base import Model

    whole = Model.training_step

    def training_step(self: Model, batch: Any, number: int) -> Any:
        if self.config.engine == "pinn" and self.trainer.global_step == step:
            act()
        return whole(self, batch, number)

    monkeypatch.setattr(Model, "training_step", training_step)
