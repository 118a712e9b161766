"""Reconstruction of scans of 500, 5,000 and 20,000 patterns of 128 x 128 on disk: time linear, memory bounded."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

from harness import Report, Row, main, ptycho, reconstruct, simulated, tell

from ptycho_core.simulation import SimulationSpec

NUMBERS = (500, 5_000, 20_000)
TRAINING = "--max-epochs 1 --n-groups 8 --batch-size 4 --warm-start-epochs 0 --preview-seconds 0"
"""What a network has learned does not change how long it takes."""


def measure(scan: Path) -> Report:
    tell("simulating, where it was not done before")
    files = {n: simulated(SimulationSpec(n_patterns=n, size=128, step_px=8.0), ".cxi") for n in NUMBERS}
    per_pattern, rows = {}, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        ptycho("train", "--train-data-file", files[NUMBERS[0]], "--output-dir", folder, *TRAINING.split())
        for n in NUMBERS:
            tell(f"{n} patterns")
            run, metrics = reconstruct(
                Path(name) / str(n), "--checkpoint", next(folder.glob("*/last.ckpt")), "--scan", files[n]
            )
            per_pattern[n] = metrics["reconstruct_seconds"] / metrics["patterns"]
            limit = 3.0 if n == NUMBERS[-1] else None
            rows += [
                Row(f"{n:,} patterns: one pass, once loaded", metrics["reconstruct_seconds"], None, "s"),
                Row(f"{n:,} patterns: whole process, with metrics and export", run.seconds, None, "s"),
                Row(f"{n:,} patterns: peak of resident memory", run.peak_gib, limit, "GiB"),
            ]
    growth = [
        Row(f"time per pattern at {more:,} patterns over that at {less:,}", per_pattern[more] / per_pattern[less], 1.2)
        for less, more in pairwise(NUMBERS)
    ]
    return Report(
        "`ptycho reconstruct out --checkpoint model.ckpt --scan scan.cxi`, counts compressed", [*rows, *growth]
    )


if __name__ == "__main__":
    main(measure)
