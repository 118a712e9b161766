"""The search for the orientation of the real scan, turned in each of the eight ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main

from ptycho_core.engines.orientation_search import search_orientation
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.orientation import ORIENTATIONS, inverse
from ptycho_core.scan.steps import Orient

HOW = "default settings: 200 patterns cropped to 64 x 64, 8 epochs of the direct engine for each orientation"


def measure(scan: Path) -> Iterator[Row]:
    measured = read_scan(scan)
    found, slowest, nearest = 0, 0.0, float("inf")
    for turned in ORIENTATIONS:
        started = time.perf_counter()
        best, second, *_ = search_orientation(preprocess(measured, [Orient(turned)]), accelerator="cpu")
        slowest = max(slowest, time.perf_counter() - started)
        found += best.orientation == inverse(turned)
        nearest = min(nearest, second.deviance / best.deviance)
    yield Row("turned scans whose orientation comes first", f"{found} of {len(ORIENTATIONS)}")
    yield Row("longest search", slowest, 120, "s")
    yield Row("least deviance of the second over that of the first", nearest)


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
