"""Training from a file on disk against training from memory, run alternately in one process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from fits import ENGINES, timed_fit
from harness import Row, main, simulated, tell

from ptycho_core.engines import data
from ptycho_core.formats import read_scan
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation import SimulationSpec

PAIRS = 5
HOW = (
    f"500 patterns of 128 x 128, default settings, time of the epochs, medians of {PAIRS} alternate pairs; the file is "
    "in the system's cache, and `data.IN_MEMORY_BYTES = 0` keeps its patterns out of the program's memory"
)


def measure(scan: Path) -> Iterator[Row]:
    spec = SimulationSpec(n_patterns=500, size=128, step_px=8.0)
    mapped = read_scan(simulated(spec, ".npz", compress=False))
    compressed = read_scan(simulated(spec, ".cxi"))
    for engine in ENGINES:
        tell(f"{engine} engine")
        timed_fit(engine, mapped)  # the first one also pays for caches, of the system and of torch
        yield Row(f"{engine} engine: memory-mapped NPZ over memory", _ratio(engine, mapped), 1.2)
        yield Row(f"{engine} engine: compressed HDF5 over memory", _ratio(engine, compressed))


def _ratio(engine: str, scan: Scan) -> float:
    pairs = [(_on_disk(engine, scan), _epochs(engine, scan)) for _ in range(PAIRS)]
    return statistics.median(on_disk / in_memory for on_disk, in_memory in pairs)


def _on_disk(engine: str, scan: Scan) -> float:
    with mock.patch.object(data, "IN_MEMORY_BYTES", 0):
        return _epochs(engine, scan)


def _epochs(engine: str, scan: Scan) -> float:
    return timed_fit(engine, scan)["run_training_epoch"]


if __name__ == "__main__":
    main(measure, HOW)
