"""Jobs on the pictures that were kept while a run went on: read them, and make a moving picture of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.events import PreviewReady, StopToken
from ptycho_core.runs.previews import read_previews
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True, eq=False)
class Course:
    """The course of a run: what it is called, and its previews in their order."""

    name: str
    previews: tuple[PreviewReady, ...]


def read_course(folder: Path) -> Job:
    """Read what a run's folder has of its course. Result: `Course`."""
    return lambda emit, token: Course(folder.name, tuple(read_previews(folder)))


def animation_job(course: Course, path: Path) -> Job:
    """Write the course of a run as a moving picture. Result: the file, in a list."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Path]:
        emit(Progress(f"writing {path.name}"))
        from ptycho_core.quality.animation import write_animation

        write_animation(course.previews, path, name=course.name, stop=token)
        return [path]

    return job
