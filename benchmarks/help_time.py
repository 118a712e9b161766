"""`ptycho --help` answers at once: no torch, no h5py."""

from __future__ import annotations

import statistics
from pathlib import Path

from harness import Report, Row, main, ptycho


def measure(scan: Path) -> Report:
    seconds = statistics.median(ptycho("--help").seconds for _ in range(9))
    return Report("`ptycho --help`, median of 9", [Row("whole process", seconds, 0.3, "s")])


if __name__ == "__main__":
    main(measure)
