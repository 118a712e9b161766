"""Other programs, each in a virtual environment of its own: ``make interchange`` makes them and runs these tests.

PTYCHO_INTERCHANGE names the folder that holds them; without it, these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., None]
"""Runs ``with_<program>.py`` by that program's own Python, with these arguments."""


def _runner(program: str) -> Run:
    folder = os.environ.get("PTYCHO_INTERCHANGE")
    if not folder:
        pytest.skip("needs other programs in environments of their own: `make interchange` runs it")
    python = Path(folder).absolute() / program / "bin" / "python"
    script = Path(__file__).with_name(f"with_{program}.py")

    def run(*arguments: object) -> None:
        command = [str(python), str(script), *map(str, arguments)]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert finished.returncode == 0, finished.stderr

    return run


@pytest.fixture(scope="session")
def ptychodus() -> Run:
    return _runner("ptychodus")


@pytest.fixture(scope="session")
def cdtools() -> Run:
    return _runner("cdtools")


@pytest.fixture(scope="session")
def libertem() -> Run:
    return _runner("libertem")


@pytest.fixture(scope="session")
def rosettasciio() -> Run:
    return _runner("rosettasciio")
