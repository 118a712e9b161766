"""Ptychographic reconstruction, from a scan to a picture. Knows nothing of Qt.

What this package itself names is its public interface, described in docs/python.md; nothing else is promised. A name is
imported when it is first asked for: torch comes with those that compute, such as `train` and `reconstruct`.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptycho_core.base import events as events
    from ptycho_core.base.build_config import build_config as build_config
    from ptycho_core.base.config import Config as Config
    from ptycho_core.base.errors import InputError as InputError
    from ptycho_core.base.errors import PtychoError as PtychoError
    from ptycho_core.base.errors import TrainingError as TrainingError
    from ptycho_core.base.events import StopToken as StopToken
    from ptycho_core.engines.best_picture import best_picture as best_picture
    from ptycho_core.engines.checkpoints import export_checkpoint as export_checkpoint
    from ptycho_core.engines.reconstruct import reconstruct as reconstruct
    from ptycho_core.engines.training import resume as resume
    from ptycho_core.engines.training import train as train
    from ptycho_core.formats import read_scan as read_scan
    from ptycho_core.formats.stored import Stored as Stored
    from ptycho_core.formats.stores.store import Store as Store
    from ptycho_core.formats.writers.exports import export as export
    from ptycho_core.formats.writers.exports import read_reconstruction as read_reconstruction
    from ptycho_core.formats.writers.exports import write_scan as write_scan
    from ptycho_core.inspection.inspection import Inspection as Inspection
    from ptycho_core.inspection.inspection import inspect as inspect
    from ptycho_core.preprocessing import preprocess as preprocess
    from ptycho_core.runs.record import RunInfo as RunInfo
    from ptycho_core.runs.record import find_runs as find_runs
    from ptycho_core.runs.record import read_metrics as read_metrics
    from ptycho_core.runs.record import read_run as read_run
    from ptycho_core.scan import steps as steps
    from ptycho_core.scan.mapping import Mapping as Mapping
    from ptycho_core.scan.mapping import read_mapping as read_mapping
    from ptycho_core.scan.reconstruction import Reconstruction as Reconstruction
    from ptycho_core.scan.scan import Geometry as Geometry
    from ptycho_core.scan.scan import Patterns as Patterns
    from ptycho_core.scan.scan import Scan as Scan
    from ptycho_core.scan.settings import Settings as Settings
    from ptycho_core.scan.source import ScanSource as ScanSource
    from ptycho_core.simulation import Simulation as Simulation
    from ptycho_core.simulation import SimulationSpec as SimulationSpec
    from ptycho_core.simulation import simulate as simulate

__version__ = "0.2.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # who wants the log takes it; the command line does not

_HOMES = {
    "Config": "base.config:Config",
    "Geometry": "scan.scan:Geometry",
    "InputError": "base.errors:InputError",
    "Inspection": "inspection.inspection:Inspection",
    "Mapping": "scan.mapping:Mapping",
    "Patterns": "scan.scan:Patterns",
    "PtychoError": "base.errors:PtychoError",
    "Reconstruction": "scan.reconstruction:Reconstruction",
    "RunInfo": "runs.record:RunInfo",
    "Scan": "scan.scan:Scan",
    "ScanSource": "scan.source:ScanSource",
    "Settings": "scan.settings:Settings",
    "Simulation": "simulation:Simulation",
    "SimulationSpec": "simulation:SimulationSpec",
    "StopToken": "base.events:StopToken",
    "Store": "formats.stores.store:Store",
    "Stored": "formats.stored:Stored",
    "TrainingError": "base.errors:TrainingError",
    "best_picture": "engines.best_picture:best_picture",
    "build_config": "base.build_config:build_config",
    "events": "base.events",
    "export": "formats.writers.exports:export",
    "export_checkpoint": "engines.checkpoints:export_checkpoint",
    "find_runs": "runs.record:find_runs",
    "inspect": "inspection.inspection:inspect",
    "preprocess": "preprocessing:preprocess",
    "read_mapping": "scan.mapping:read_mapping",
    "read_metrics": "runs.record:read_metrics",
    "read_reconstruction": "formats.writers.exports:read_reconstruction",
    "read_run": "runs.record:read_run",
    "read_scan": "formats:read_scan",
    "reconstruct": "engines.reconstruct:reconstruct",
    "resume": "engines.training:resume",
    "simulate": "simulation:simulate",
    "steps": "scan.steps",
    "train": "engines.training:train",
    "write_scan": "formats.writers.exports:write_scan",
}
"""Where each name lives: its module, and what it is called there unless it is the module itself."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    found: Any = importlib.import_module(f"{__name__}.{module}")
    if attribute:
        found = getattr(found, attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
