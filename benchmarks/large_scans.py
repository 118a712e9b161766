"""Reconstruction of scans of 500, 5,000 and 20,000 patterns of 128 x 128 on disk: time linear, memory bounded."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from harness import Row, main, ptycho, reconstruct, simulated, tell

from ptycho_core.simulation import SimulationSpec

TIMES = {500: 3, 5_000: 3, 20_000: 1}
"""Patterns, and how often each scan is reconstructed: short runs are noisy."""
LARGEST = max(TIMES)
TRAINING = "--max-epochs 1 --n-groups 8 --batch-size 4 --warm-start-epochs 0"
"""What a network has learned does not change how long it takes."""
HOW = "`ptycho reconstruct out --checkpoint model.ckpt --scan scan.cxi`, medians; uint16, compressed"


def measure(scan: Path) -> Iterator[Row]:
    tell("simulating, where it was not done before")
    files = {n: simulated(SimulationSpec(n_patterns=n, size=128, step_px=8.0), ".cxi") for n in TIMES}
    per_pattern = {}
    with tempfile.TemporaryDirectory() as name:
        run, out = Path(name) / "run", Path(name) / "out"
        ptycho("train", "--train-data-file", files[min(TIMES)], "--output-dir", run, *TRAINING.split())
        model = run / "checkpoints" / "last.ckpt"
        for n, times in TIMES.items():
            tell(f"{n:,} patterns")
            made = [reconstruct(out, "--checkpoint", model, "--scan", files[n]) for _ in range(times)]
            seconds = statistics.median(metrics["reconstruct_seconds"] for _, metrics in made)
            per_pattern[n] = seconds / made[0][1]["patterns"]
            yield Row(f"{n:,} patterns: one pass, once loaded", seconds, None, "s")
            whole = statistics.median(process.seconds for process, _ in made)
            yield Row(f"{n:,} patterns: whole process, metrics and export included", whole, None, "s")
            peak = max(process.peak_gib for process, _ in made)
            yield Row(f"{n:,} patterns: peak of resident memory", peak, 3 if n == LARGEST else None, "GiB")
    for less, more in pairwise(TIMES):
        growth = per_pattern[more] / per_pattern[less]
        yield Row(f"time per pattern of {more:,} over that of {less:,}", growth, 1.2)


if __name__ == "__main__":
    main(measure, HOW)
