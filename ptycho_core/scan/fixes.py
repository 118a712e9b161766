"""A `Fix` as it is typed on the command line."""

from __future__ import annotations

import shlex
from typing import Any

from ptycho_core.base.config import KNOBS
from ptycho_core.scan.settings import SETTINGS


def flag_of(field: str, value: Any) -> str:
    """Return the flag that sets the ``field`` of a `Fix` to its value; NUMBER stands for what only the operator knows.

    What is both an answer and a setting of a run is answered, as all commands that read a scan know that flag.
    """
    if field.startswith("--"):  # a step
        return f"{field}={shlex.quote(value)}" if value else field
    if field in KNOBS and (value is None or field not in SETTINGS):
        return f"--{field.replace('_', '-')} {KNOBS[field].text(value)}"
    return f"--set {field}={'NUMBER' if value is None else value}"
