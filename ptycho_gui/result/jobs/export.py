"""Jobs that export: a checkpoint, a reconstruction in several formats, a scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtGui import QImage

from ptycho_core.base.events import StopToken
from ptycho_core.formats.writers.exports import export, write_scan
from ptycho_core.runs.record import RECONSTRUCTION
from ptycho_core.runs.results import with_note
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True, eq=False)
class Page:
    """A logbook page: its files, and as a picture."""

    files: list[Path]
    picture: QImage


def export_checkpoint_job(path: Path, target: Path) -> Job:
    """Write a checkpoint as a bundle (``.zip``) or as it is (``.ckpt``). Result: the path written."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        emit(Progress(f"writing {target.name}"))
        from ptycho_core.engines.checkpoints import export_checkpoint

        return export_checkpoint(path, target)

    return job


def export_reconstruction_job(reconstruction: Reconstruction, noted: Path, folder: Path, formats: Sequence[str]) -> Job:
    """Write a reconstruction into a folder, in some of the formats of `EXPORTERS`. Result: the files written.

    The operator's note is that on the folder ``noted``.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Path]:
        files: list[Path] = []
        for done, format in enumerate(formats):
            token.leave_if_cancelled()
            emit(Progress(f"writing {format}", done, len(formats)))
            files += export(with_note(reconstruction, noted), folder, format)
        return files

    return job


def page_job(reconstruction: Reconstruction, folder: Path) -> Job:
    """Write the logbook page of what ``folder`` holds the reconstruction of, beside that. Result: `Page`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Page:
        files = export(with_note(reconstruction, folder), folder / RECONSTRUCTION, "page")
        picture = next(path for path in files if path.suffix == ".png")
        return Page(files, QImage(str(picture)))

    return job


def export_scan_job(scan: Scan, path: Path) -> Job:
    """Write a scan in the format that the path's ending stands for. Result: the path written."""
    return lambda emit, token: write_scan(scan, path)
