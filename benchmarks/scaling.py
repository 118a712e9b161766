"""Strong and weak scaling of training: one process and two under torchrun, of one thread each, for both engines.

What an epoch costs is the difference of a longer run and a shorter one: imports and the like drop out. Where other
programs want the same cores, seconds of the processor still tell: on idle ones two processes take half of them each.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Finished, Row, finish, main, simulated, tell

from ptycho_core.simulation import SimulationSpec

PATTERNS = {"direct": 1_024, "pinn": 256}
EPOCHS = {"direct": (1, 7), "pinn": (1, 3)}
"""Of the shorter and of the longer run."""
STEP = {"direct": 48, "pinn": 16}
"""Patterns, or groups, that one process has a step where it is alone."""
FLAGS = (
    "--accelerator cpu --no-probe-search --warm-start-epochs 0 --early-stop-patience 0 --preview-seconds 0 --quiet "
    "--checkpoint-save-top-k 1 --num-workers 0 --probe-modes 1"
)
HOW = (
    f"{PATTERNS['direct']} patterns of 128 x 128 in HDF5, {PATTERNS['pinn']} for the network, "
    "`torchrun --standalone --nproc-per-node K --no-python ptycho train --devices K --strategy ddp`, gloo, "
    "OMP_NUM_THREADS=1; strong: the same scan and patterns a step, halved for two; "
    "weak: twice of both for two"
)


def measure(scan: Path) -> Iterator[Row]:
    os.environ["OMP_NUM_THREADS"] = "1"
    for engine, step in STEP.items():
        patterns = PATTERNS[engine]
        specs = [SimulationSpec(n_patterns=count, size=128) for count in (patterns, 2 * patterns)]
        one, two = (simulated(spec, ".cxi", compress=False) for spec in specs)
        seconds, of_processor = epoch(engine, one, step, 1)
        yield Row(f"{engine}, one process: an epoch", seconds, unit="s")
        yield Row(f"{engine}, one process: an epoch, of the processor", of_processor, unit="s")
        yield Row(f"{engine}, one process: patterns per second of the processor", patterns / of_processor)
        for kind, data, per_process, more in (("strong", one, step // 2, 1), ("weak", two, step, 2)):
            both, of_both = epoch(engine, data, per_process, 2)
            yield Row(f"{engine}, {kind}: an epoch of two processes", both, unit="s")
            yield Row(
                f"{engine}, {kind}: work of both, of the processor, over that of one", of_both / of_processor / more
            )
            yield Row(f"{engine}, {kind}: speed of two over one, by the clock", more * seconds / both)
            yield Row(f"{engine}, {kind}: the same on idle cores, by the processor", 2 * more * of_processor / of_both)


def epoch(engine: str, data: Path, step: int, processes: int) -> tuple[float, float]:
    """Return the seconds of an epoch, by the clock and of the processor, of all processes together."""
    short, long = (train(engine, data, step, processes, epochs) for epochs in EPOCHS[engine])
    more = EPOCHS[engine][1] - EPOCHS[engine][0]
    return (long.seconds - short.seconds) / more, (long.cpu_seconds - short.cpu_seconds) / more


def train(engine: str, data: Path, step: int, processes: int, epochs: int) -> Finished:
    tell(f"{engine}: {epochs} epochs, {step} a step, {processes} process{'es' if processes > 1 else ''}")
    beside = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        return finish(
            *(beside / "torchrun", "--standalone", "--nproc-per-node", processes, "--no-python"),
            *(beside / "ptycho", "train", "--train_data_file", data, "--output_dir", folder, *FLAGS.split()),
            *("--engine", engine, "--batch_size", step, "--max_epochs", epochs),
            *("--devices", processes, "--strategy", "ddp"),
        )


if __name__ == "__main__":
    main(measure, HOW)
