"""A registry of models: a folder of bundles, and which of them are meant for a scan. No torch here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, Problem
from ptycho_core.inspection.scan_beam import ScanBeam
from ptycho_core.inspection.suitability import check_suitability
from ptycho_core.runs.bundle import read_bundle
from ptycho_core.scan.grouping import probe_diameter
from ptycho_core.scan.scan import Scan

_DEPTH = 3
"""Folders below that of the registry in which bundles may lie."""


@dataclass(frozen=True, eq=False)
class KnownModel:
    """What a bundle tells of its model.

    Parameters
    ----------
    path
        Of the bundle.
    config
        Of its training.
    summary
        Of the scan that it was trained on, as `inspection.suitability` reads it.
    probe
        (M, N, N) complex64 of the model.
    metrics
        Of its training.
    date
        On which that ended, ISO 8601; empty where it is not recorded.
    note
        Of the operator.
    """

    path: Path
    config: Config
    summary: dict[str, Any]
    probe: NDArray[np.complex64]
    metrics: dict[str, Any]
    date: str
    note: str

    @property
    def beam_px(self) -> float:
        """Diameter of the beam in pixels, `grouping.probe_diameter`."""
        return probe_diameter(self.probe)

    @property
    def score(self) -> float | None:
        """The monitored loss of the checkpoint; None where it is not recorded."""
        value = self.metrics.get(self.config.monitor)
        return float(value) if isinstance(value, (int, float)) else None


@dataclass(frozen=True)
class BrokenModel:
    """A file that ends like a bundle and is none, and why."""

    path: Path
    reason: str


def find_models(folder: Path) -> list[KnownModel | BrokenModel]:
    """Return the models in a folder and those below it that serve more than the scan of their training, by name.

    Raises
    ------
    InputError
        There is no such folder, or it may not be read.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(f"the folder {folder} cannot be read: you have no right to")
    found: list[KnownModel | BrokenModel] = []
    for path in sorted(_bundles(folder)):
        try:
            model = _read(path)
        except InputError as error:
            found.append(BrokenModel(path, str(error)))
            continue
        if not ENGINES[model.config.engine].serves_one_scan:
            found.append(model)
    return found


def _bundles(folder: Path) -> Iterator[Path]:
    for place, below, files in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) == _DEPTH:
            below.clear()
        yield from (Path(place) / name for name in files if name.endswith(".zip"))


def _read(path: Path) -> KnownModel:
    bundle = read_bundle(path)
    try:
        parts = bundle.tensors["probe_parts"]
        probe = np.ascontiguousarray(parts[..., 0] + 1j * parts[..., 1], dtype=np.complex64)
        int(bundle.scan_summary["size"]), float(bundle.scan_summary["brightest"]), int(bundle.scan_summary["patterns"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path} does not say what its model was trained on") from error
    return KnownModel(
        path,
        Config.from_dict(bundle.config, str(path)),
        bundle.scan_summary,
        probe,
        bundle.metrics,
        str(bundle.environment.get("trained", "")),
        str(bundle.environment.get("note", "")),
    )


@dataclass(frozen=True, eq=False)
class Suitability:
    """How a model suits a scan: in what that differs from the training, and `ScanBeam.apart` of the model's beam."""

    model: KnownModel
    differences: tuple[Problem, ...]
    beams_apart: float

    @property
    def suits(self) -> bool:
        """Whether nothing differs by more than a network takes well."""
        return not self.differences


def by_suitability(models: list[KnownModel | BrokenModel], scan: Scan) -> list[Suitability]:
    """Return the models in the order in which they should be tried on a scan, the best first.

    Those that differ in the fewest respects come first; of equals that whose beam explains the scan's patterns better,
    then the one of the better loss.
    """
    beam = ScanBeam(scan)
    fits = [
        Suitability(model, tuple(check_suitability(model.summary, model.probe, beam)), beam.apart(model.probe))
        for model in models
        if isinstance(model, KnownModel)
    ]
    return sorted(fits, key=lambda fit: (len(fit.differences), float(f"{fit.beams_apart:.2g}"), _loss(fit.model)))


def _loss(model: KnownModel) -> float:
    return math.inf if model.score is None else model.score
