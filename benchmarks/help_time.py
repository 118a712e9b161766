"""`ptycho --help` answers at once: no torch, no h5py."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main, ptycho

TIMES = 9
HOW = f"`ptycho --help`, median of {TIMES}"


def measure(scan: Path) -> Iterator[Row]:
    yield Row("whole process", statistics.median(ptycho("--help").seconds for _ in range(TIMES)), 0.3, "s")


if __name__ == "__main__":
    main(measure, HOW)
