"""Drawing groups and loading their patterns, as a share of a training step, for both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fits import ENGINES, timed_fit
from harness import Row, main, simulated

from ptycho_core.formats import read_scan
from ptycho_core.simulation import SimulationSpec

HOW = "500 patterns of 128 x 128 in memory, default settings, under Lightning's profiler"


def measure(scan: Path) -> Iterator[Row]:
    data = read_scan(simulated(SimulationSpec(n_patterns=500, size=128, step_px=8.0), ".cxi"))
    for engine in ENGINES:
        seconds = timed_fit(engine, data)
        share = seconds["[_TrainingEpochLoop].train_dataloader_next"] / seconds["run_training_batch"]
        yield Row(f"{engine} engine: share of a step", 100 * share, 5, "%")


if __name__ == "__main__":
    main(measure, HOW)
