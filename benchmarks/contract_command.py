"""The command that has to work: 64 patterns of 64 x 64, gridsize 2, 6 epochs of 64 groups in batches of 4.

PtychoPINN needs 41 s, 66 CPU seconds and 1.5 GB for the same on two cores.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Row, finish, main, ptycho, simulated

from ptycho_core.simulation import SimulationSpec

FLAGS = (
    "--n_images 64 --gridsize 2 --max_epochs 6 --batch_size 4 --accelerator auto --deterministic --num-workers 0 "
    "--logger csv --checkpoint-save-top-k 2 --early-stop-patience 5"
)
IMPORTS = "import ptycho_core.cli.train, ptycho_core.cli.progress, ptycho_core.formats, ptycho_core.engines.training"
TIMES = 3
HOW = (
    f"`ptycho train --train_data_file scan.npz --test_data_file scan.npz --output_dir out {FLAGS}`, median of {TIMES}; "
    "CPU time and memory against PtychoPINN's"
)


def measure(scan: Path) -> Iterator[Row]:
    data = simulated(SimulationSpec(n_patterns=64), ".npz")
    runs = []
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as folder:
            files = ("--train_data_file", data, "--test_data_file", data, "--output_dir", folder)
            runs.append(ptycho("train", *files, *FLAGS.split()))
    imports = [finish(sys.executable, "-c", IMPORTS).seconds for _ in range(TIMES)]
    yield Row("whole process", statistics.median(run.seconds for run in runs), 10, "s")
    yield Row("interpreter and imports alone", statistics.median(imports), 4, "s")
    yield Row("CPU time", statistics.median(run.cpu_seconds for run in runs), 66, "s")
    yield Row("peak of resident memory", statistics.median(run.peak_gib for run in runs), 1.5, "GiB")


if __name__ == "__main__":
    main(measure, HOW)
