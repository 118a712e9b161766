"""The folder of reconstructions: the newest one, and those before it. No torch here.

::

    out/reconstruction/                       the newest; its metrics.json is written last and names the checkpoint
    out/reconstruction/previous/version_<k>/  those before it, the oldest first
    out/scans/2-<name>/reconstruction/        of the second scan of a run on several, and so on
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.codec import read_json
from ptycho_core.base.errors import InputError
from ptycho_core.base.verdict import Verdict, verdict_in
from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.runs.note import read_note
from ptycho_core.runs.record import PREVIOUS, RECONSTRUCTION, RECORD, RunInfo, folders_with
from ptycho_core.scan.reconstruction import Reconstruction

METRICS_FILE = "metrics.json"


@dataclass(frozen=True)
class Result:
    """A reconstruction on the disk: the folder of its files, and its metrics."""

    folder: Path
    metrics: dict[str, Any]


def find_results(folder: Path) -> list[Result]:
    """Return the reconstructions that ``folder`` holds, newest first; those that are broken or unfinished are not."""
    newest = folder / RECONSTRUCTION
    found = []
    for place in (newest, *(path for _, path in sorted(_versions(newest), reverse=True))):
        try:
            metrics = read_json(place / METRICS_FILE, "the metrics")
        except InputError:
            continue
        if isinstance(metrics, dict):
            found.append(Result(place, metrics))
    return found


def read_newest(folder: Path) -> Reconstruction | None:
    """Return the newest reconstruction that ``folder`` holds, with the operator's note; None where there is none.

    Raises
    ------
    InputError
        Its file cannot be read.
    """
    path = folder / RECONSTRUCTION / "reconstruction.npz"
    return with_note(read_reconstruction(path), folder) if path.is_file() else None


def with_note(recon: Reconstruction, folder: Path) -> Reconstruction:
    """Return a reconstruction with what the operator's note on a folder says now."""
    note = read_note(folder)
    return dataclasses.replace(recon, sample=note.sample, comments=note.comment)


def find_applied(root: Path, depth: int = 5) -> list[Result]:
    """Return the newest reconstruction of each folder in ``root``, and up to ``depth`` below, that holds no run."""
    folders = folders_with(root.absolute(), depth, f"{RECONSTRUCTION}/{METRICS_FILE}")
    return [found[0] for folder in folders if not (folder / RECORD).exists() and (found := find_results(folder))]


def free_misfit_of_checkpoints(info: RunInfo, place: int = 0) -> dict[Path, float]:
    """Return the misfit of free patterns by checkpoint, where it is known.

    It is that of the newest reconstruction of the run's scan at a place. Those of before version 0.2 have none.
    """
    folder = info.folder_of_scan(place)
    files = {Path(os.path.relpath(saved.path, folder)).as_posix(): saved for saved in info.checkpoints}
    known: dict[Path, float] = {}
    for result in find_results(folder):
        told = result.metrics
        saved = files.get(str(told.get("checkpoint")))
        if saved is None or told.get("checkpoint_epoch") != saved.epoch:
            continue
        misfit = told.get("free_misfit")
        if told.get("same_scan") and isinstance(misfit, float):
            known.setdefault(Path(saved.path), misfit)
    return known


def verdict_of(info: RunInfo, results: list[Result]) -> Verdict | None:
    """Return what is thought of a run's picture: of the newest reconstruction, or else as the run ended."""
    return (verdict_in(results[0].metrics) if results else None) or info.verdict


def picture_of(info: RunInfo, place: int = 0) -> Result | None:
    """Return the newest reconstruction of a run's scan at a place, where it was made after the run had ended."""
    for result in find_results(info.folder_of_scan(place))[:1]:
        date = str(result.metrics.get("date", ""))
        if info.ended is not None and date >= info.ended.isoformat(timespec="seconds"):
            return result
    return None


def set_results_aside(folder: Path) -> Path | None:
    """Move the reconstruction in ``folder`` to ``previous/version_<k>`` below it; return that, if there was any.

    Raises
    ------
    PtychoError
        The folder cannot be written.
    """
    newest = folder / RECONSTRUCTION
    with explain_write_errors(newest):
        left = [path for path in newest.iterdir() if path.name != PREVIOUS] if newest.is_dir() else []
        if not left:
            return None
        target = newest / PREVIOUS / f"version_{max((k for k, _ in _versions(newest)), default=-1) + 1}"
        target.mkdir(parents=True)
        for path in left:
            os.rename(path, target / path.name)
    return target


def _versions(newest: Path) -> list[tuple[int, Path]]:
    folders = newest.glob(f"{PREVIOUS}/version_*")
    return [(int(found[1]), path) for path in folders if (found := re.fullmatch(r"version_(\d+)", path.name))]
