"""Jobs that look at what a dialog was told, so that it can say what is wrong, or what will be replaced, at once."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, Problem
from ptycho_core.base.events import Status, StopToken
from ptycho_core.formats import format_of
from ptycho_core.runs.bundle import read_bundle
from ptycho_core.runs.record import RECORD, read_run
from ptycho_gui.kit.threads.worker import Job


@dataclass(frozen=True)
class Looked:
    """What is wrong, and in words what was found."""

    problems: tuple[Problem, ...] = ()
    about: str = ""


def look_at_targets(folder: Path, names: Sequence[str]) -> Job:
    """See whether files can be written into a folder, and which are there already. Result: `Looked`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Looked:
        if wrong := _folder_problem(folder):
            return Looked((wrong,))
        there = [name for name in names if (folder / name).exists()]
        if not there:
            return Looked()
        noun = (
            "is there already and will be replaced." if len(there) == 1 else "are there already and will be replaced."
        )
        return Looked((Problem("folder", f"{', '.join(there)} {noun}", "warning"),))

    return job


def look_at_target(path: Path, suffixes: Sequence[str]) -> Job:
    """See whether a file with one of some endings can be written, and whether it is there already. Result: `Looked`."""
    if path.suffix not in suffixes:
        wrong = Problem("file", f"The file's name must end in {' or '.join(suffixes)}.")
        return lambda emit, token: Looked((wrong,))
    return look_at_targets(path.parent, [path.name])


def look_at_checkpoint(path: Path) -> Job:
    """See what a checkpoint is, from its bundle or from the record of its run. Result: `Looked`.

    The weights are not loaded: that takes torch, whose import cannot be cancelled when the dialog is closed.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> Looked:
        try:
            known = _config_and_scan(path)
        except InputError as error:
            return Looked((Problem("checkpoint", f"{error}."),))
        if known is None:
            return Looked(about="A checkpoint without its run: what it holds shows when it is used.")
        config, patterns = known
        if not ENGINES[config.engine].serves_one_scan:
            return Looked(about=f"A network, gridsize {config.gridsize}, trained on {patterns}.")
        sentence = (
            f"This checkpoint was fitted to one scan by the {config.engine} engine ({patterns}): it reconstructs that "
            "scan and no other. For another scan take a checkpoint of the network engine."
        )
        return Looked((Problem("checkpoint", sentence, "warning"),))

    return job


def look_at_scan(path: Path) -> Job:
    """See whether a file is a scan, without reading its patterns. Result: `Looked`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Looked:
        try:
            return Looked(about=f"A scan ({format_of(path)}), to be read as it is.")
        except InputError as error:
            return Looked((Problem("scan", f"{error}."),))

    return job


def look_at_result_folder(folder: Path) -> Job:
    """See what a folder holds that is to get a reconstruction. Result: `Looked`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Looked:
        if wrong := _folder_problem(folder):
            return Looked((wrong,))
        if (folder / RECORD).exists() and read_run(folder).status == Status.RUNNING:
            return Looked((Problem("folder", "A run is training in this folder: choose another one."),))
        if (folder / RECORD).exists():
            sentence = "There is a run in this folder. Choose another one, unless the scan is the one of that run."
            return Looked((Problem("folder", sentence, "warning"),))
        return Looked()

    return job


def _folder_problem(folder: Path) -> Problem | None:
    if folder.exists() and not folder.is_dir():
        return Problem("folder", f"{folder} is a file: choose a folder.")
    return None


def _config_and_scan(path: Path) -> tuple[Config, str] | None:
    """Return the settings of a checkpoint and the size of its scan in words; None where nothing tells them."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.suffix not in (".zip", ".ckpt") or not zipfile.is_zipfile(path):
        raise InputError(f"{path.name} is neither a checkpoint (.ckpt) nor a bundle (.zip)")
    if path.suffix == ".zip":
        bundle = read_bundle(path)
        count, size = bundle.scan_summary["patterns"], bundle.scan_summary["size"]
        config = Config.from_dict(bundle.config, str(path))
    else:
        try:
            info = read_run(path.absolute().parent.parent)
        except InputError:
            return None
        (count, _, size), config = info.scan.shape, info.config
    return config, f"{count} patterns of {size} x {size} pixels"
