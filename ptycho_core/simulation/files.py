"""A simulated scan on disk, with its truth beside it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.formats.writers.cxi_live import write_cxi_live
from ptycho_core.formats.writers.exports import scan_format_of, write_scan
from ptycho_core.scan.source import TRUTH
from ptycho_core.simulation import Simulation


def files_of(path: str | Path) -> tuple[Path, Path]:
    """Return the file of a simulated scan, and that of its truth."""
    scan = Path(path)
    return scan, scan.with_suffix(TRUTH)


def write_simulation(sim: Simulation, path: str | Path) -> tuple[Path, Path]:
    """Write the scan as PtychoPINN NPZ or CXI, by the ending of the path, and the truth beside it.

    Patterns are written as they are read: a simulation made with ``in_memory=False`` streams in bounded memory.
    The truth goes to ``<stem>.truth.npz``: ``object`` (H, W) complex64, ``probe`` (M, N, N) complex64 in
    sqrt(counts), ``positions_px`` (n, 2) float64 as in `Truth`, ``pixel_size_m`` (2,) float64 (y, x), ``spec`` JSON
    text.

    Returns
    -------
    tuple of Path
        The scan's file and the truth's.

    Raises
    ------
    InputError
        The path has another ending.
    PtychoError
        A file cannot be written.
    """
    scan_path, truth_path = files_of(path)
    write_scan(sim.scan, scan_path, scan_format_of(scan_path))
    _write_truth(sim, truth_path)
    return scan_path, truth_path


def write_simulation_live(sim: Simulation, path: str | Path, rate: float, stop: StopToken) -> int:
    """Write the truth, then the scan as a detector does, `cxi_live.write_cxi_live`; return how many patterns.

    Raises
    ------
    InputError
        The path does not end in .cxi.
    PtychoError
        A file cannot be written.
    """
    scan_path, truth_path = files_of(path)
    if scan_format_of(scan_path) != "cxi":
        raise InputError(f"{scan_path} must end in .cxi: no other file of ours can be read while it is written")
    _write_truth(sim, truth_path)
    return write_cxi_live(sim.scan, scan_path, rate, stop)


def _write_truth(sim: Simulation, path: Path) -> None:
    arrays: dict[str, Any] = {
        "object": sim.truth.object,
        "probe": sim.truth.probe,
        "positions_px": sim.truth.positions_px,
        "pixel_size_m": np.array(sim.scan.pixel_size_m),
        "spec": np.array(json.dumps(dataclasses.asdict(sim.spec))),
    }
    with atomic_write(path) as temporary:
        np.savez_compressed(temporary, **arrays)
