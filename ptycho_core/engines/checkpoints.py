"""Checkpoints: found, loaded as data, made into models, exported."""

from __future__ import annotations

import contextlib
import errno
import logging
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.environment import host, versions
from ptycho_core.base.errors import InputError, Problem
from ptycho_core.engines.models import MODELS
from ptycho_core.engines.models.base import VERSION, Model
from ptycho_core.engines.models.start import place_of, scan_summary
from ptycho_core.inspection.scan_beam import ScanBeam
from ptycho_core.inspection.suitability import check_suitability
from ptycho_core.runs.bundle import read_bundle, write_bundle
from ptycho_core.runs.note import read_note
from ptycho_core.runs.record import RunInfo, read_run
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A trained model as data.

    Parameters
    ----------
    path
        The ``.ckpt`` or bundle ``.zip`` that it was read from.
    config
        Of the run.
    tensors
        The model's state by name.
    scan
        What it was trained on: n, size, sha256.
    epoch
        That it was saved after; None for a bundle.
    """

    path: Path
    config: Config
    tensors: dict[str, Tensor]
    scan: dict[str, Any]
    epoch: int | None = None

    def model(self) -> Model:
        """Build the model, on the CPU.

        Raises
        ------
        InputError
            The tensors are not those of such a model.
        """
        try:
            model = MODELS[self.config.engine].from_state(self.config, self.tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise InputError(f"{self.path} does not hold a model of this program: {error}") from error
        model.scan_summary = self.scan
        return model.eval()


def find_checkpoint(folder: Path | None, which: str) -> Path:
    """Return the file of a checkpoint.

    Parameters
    ----------
    folder
        A run directory, or None.
    which
        "best", "last", or a file's path.

    Raises
    ------
    InputError
        There is none: says which there are.
    """
    if which not in ("best", "last"):
        path = Path(which)
        if path.is_dir():
            return find_checkpoint(path, "best")
        if not path.is_file():
            raise InputError(f"there is no checkpoint {path}: name best, last, or a .ckpt or .zip file")
        return path
    if folder is None:
        raise InputError(f"the {which} checkpoint of which run? Name a run's folder, or a .ckpt or .zip file")
    info = read_run(folder)
    chosen = info.best_checkpoint if which == "best" else info.last_checkpoint
    if which == "best" and chosen is None:
        chosen = info.last_checkpoint  # nothing was monitored
    if chosen is None or not chosen.is_file():
        there = ", ".join(sorted(path.name for path in info.last_checkpoint.parent.glob("*.ckpt"))) or "none"
        raise InputError(f"the run in {folder} has no {which} checkpoint (there is {there})")
    return chosen


def checkpoint_at(place: str | Path) -> Path:
    """Return the file of the best checkpoint of the run in a folder; a file is taken as it is.

    Raises
    ------
    InputError
        There is no run in the folder, or it has no checkpoint.
    """
    place = Path(place)
    return find_checkpoint(place, "best") if place.is_dir() else place


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a ``.ckpt`` or a bundle as data: nothing in it is executed.

    Raises
    ------
    InputError
        The file is not a checkpoint of this program, of another version, or damaged.
    """
    if zipfile.is_zipfile(path) and path.suffix == ".zip":
        bundle = read_bundle(path)
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in bundle.tensors.items()}
        return Checkpoint(path, Config.from_dict(bundle.config, str(path)), tensors, bundle.scan_summary)
    with damage_explained(path):
        body = torch.load(path, map_location="cpu", weights_only=True)
        kept = body["ptycho"]
        version, config, scan, tensors = kept["version"], kept["config"], kept["scan"], dict(body["state_dict"])
        epoch = int(kept.get("epoch", body["epoch"]))  # version 0.1 counted as Lightning does, in its names too
    if version != VERSION:
        raise InputError(f"{path} is a checkpoint of version {version}; this program reads version {VERSION}")
    return Checkpoint(path, Config.from_dict(config, str(path)), tensors, scan, epoch)


@contextlib.contextmanager
def damage_explained(path: Path) -> Iterator[None]:
    """Say in a sentence, as `InputError`, that a ``.ckpt`` which is read inside is damaged, or cannot be read."""
    try:
        yield
    except (
        OSError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        # A file cut short may name places outside itself, which are invalid arguments to the system.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        raise InputError(f"{path} is not a checkpoint of this program, or is damaged") from error


def check_checkpoint(checkpoint: Checkpoint, scan: Scan) -> list[Problem]:
    """Return in what a scan differs from that of a network's training by more than it takes well; of its own, nothing.

    The direct engine's checkpoints serve their own scan alone, and refuse another one themselves.
    """
    known = place_of(checkpoint.scan, scan_summary(scan)) is not None
    if known or ENGINES[checkpoint.config.engine].serves_one_scan:
        return []
    probe = torch.view_as_complex(checkpoint.tensors["probe_parts"].contiguous()).numpy()
    return check_suitability(checkpoint.scan, probe, ScanBeam(scan))


def initial_model(config: Config) -> Model | None:
    """Return the model that a run goes on from with what it has learned; None where it begins anew.

    Raises
    ------
    InputError
        The file is none, or its network is not of the kind that the config asks for.
    """
    if config.init is None or not KNOBS["init"].serves(config.engine):
        return None
    path = Path(config.init).expanduser()
    if not path.is_file():
        raise InputError(f"init must be a checkpoint or a bundle: there is no file {path}")
    loaded = load_checkpoint(path)
    if loaded.config.engine != config.engine:
        raise InputError(f"{path} has no network to go on from: it is of the {loaded.config.engine} engine")
    if loaded.config.model_width != config.model_width:
        raise InputError(
            f"the network of {path} has a width of {loaded.config.model_width}: set model_width to that (it is "
            f"{config.model_width})"
        )
    return loaded.model()


def export_checkpoint(checkpoint: str | Path, target: str | Path) -> Path:
    """Write a checkpoint for use elsewhere: a bundle (``.zip``), or the checkpoint itself (``.ckpt``).

    Parameters
    ----------
    checkpoint
        A ``.ckpt``, a bundle, or the folder of a run, whose best one is taken.
    target
        The file to write.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        The target has another suffix, or the checkpoint cannot be read.
    """
    path, target = checkpoint_at(checkpoint), Path(target)
    loaded = load_checkpoint(path)
    _log.info("exporting %s to %s", path, target)
    if target.suffix == ".zip":
        run = _run_of(path)
        saved = [s for s in run.checkpoints if Path(s.path).name == path.name] if run else []
        metrics = {**(run.metrics if run else {}), **{s.monitor: s.value for s in saved if s.monitor}}
        return write_bundle(
            target,
            tensors={name: tensor.numpy() for name, tensor in loaded.tensors.items()},
            config=loaded.config.to_dict(),
            scan_summary=loaded.scan,
            metrics=metrics,
            environment={**(run.versions if run else versions()), **_about(run), **_host()},
            command=run.command if run else "",
        )
    if target.suffix == ".ckpt" and path.suffix == ".ckpt":
        with atomic_write(target, check=load_checkpoint) as temporary:
            shutil.copyfile(path, temporary)
        return target
    raise InputError(f"{target} must end in .zip for a bundle, or in .ckpt for a copy of a .ckpt")


def _about(run: RunInfo | None) -> dict[str, str]:
    """Return when a model was trained, and what the operator wrote to its run."""
    return (
        {} if run is None else {"trained": (run.ended or run.updated).isoformat(), "note": str(read_note(run.folder))}
    )


def _host() -> dict[str, str]:
    return {name: str(value) for name, value in host().items()}


def _run_of(path: Path) -> RunInfo | None:
    try:
        return read_run(path.absolute().parent.parent)
    except InputError:
        return None
