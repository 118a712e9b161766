"""Jobs on preprocessing steps: what they make of a scan, and files of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import write_json
from ptycho_core.base.events import StopToken
from ptycho_core.preprocessing.preview import StepsPreview
from ptycho_core.scan.steps import Step
from ptycho_core.scan.steps_json import read_steps, steps_to_dict
from ptycho_gui.kit.threads.worker import Job


def preview_steps_job(preview: StepsPreview, steps: tuple[Step, ...], n_shown: int, row: int) -> Job:
    """Try steps; the arguments are those of `StepsPreview.look`. Result: `Effect`."""
    return lambda emit, token: preview.look(steps, n_shown, row, token)


def read_steps_job(path: Path) -> Job:
    """Read a file of steps. Result: a tuple of `Step`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> tuple[Step, ...]:
        return read_steps(path)

    return job


def save_steps_job(steps: tuple[Step, ...], path: Path) -> Job:
    """Write a file of steps. Result: its path."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        write_json(path, steps_to_dict(steps))
        return path

    return job
