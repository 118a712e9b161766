"""A picture of a scan while it is measured: an update of 1,000, 10,000 and 100,000 patterns by a thousand more."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, main, tell
from numpy.typing import NDArray

COUNTS = (1_000, 10_000, 100_000)
"""Patterns that are in the picture."""
MORE, AT_ONCE, TIMES = 1_000, 2_000, 5
"""Patterns of an update, of those before it, and how often it is measured."""
HOW = "N = 128, raster of 8 px, an untrained network, patterns in memory, progress and preview included; medians"


@dataclasses.dataclass(frozen=True)
class Again:
    """Patterns (n, N, N) that come again after some: what they hold does not change how long they take."""

    some: NDArray[Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return self.some[np.arange(self.shape[0])[index] % len(self.some)]


def measure(scan: Path) -> Iterator[Row]:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the entry points do, before torch is imported
    import torch

    from ptycho_core.base.config import Config
    from ptycho_core.engines.models.pinn import PinnModel
    from ptycho_core.engines.mosaic import Mosaic
    from ptycho_core.scan.scan import Patterns
    from ptycho_core.simulation import SimulationSpec, simulate

    some = simulate(SimulationSpec(n_patterns=MORE, size=128, step_px=8.0)).scan
    total = max(COUNTS) + TIMES * MORE
    side = int(np.ceil(np.sqrt(total)))
    places = np.stack(np.divmod(np.arange(total), side), axis=1) * 8.0
    counts = some.patterns[:]
    shape = (total, *counts.shape[1:])
    again = Patterns(Again(counts, shape, counts.dtype))
    whole = some.replace(patterns=again, positions=places, indexes=np.arange(total))
    mosaic, done = Mosaic(PinnModel.from_scan(some, Config()).eval()), 0

    def add(more: int) -> tuple[float, float]:
        nonlocal done
        rows, begun = np.arange(done, done + more), (time.perf_counter(), time.process_time())
        mosaic.add(whole.take(rows), rows)
        mosaic.progress(), mosaic.preview()
        done += more
        return time.perf_counter() - begun[0], time.process_time() - begun[1]

    of_processor = {}
    for count in COUNTS:
        tell(f"{count:,} patterns")
        while done < count:
            add(min(AT_ONCE, count - done))
        seconds, of_processor[count] = map(statistics.median, zip(*(add(MORE) for _ in range(TIMES)), strict=True))
        yield Row(f"{count:,} patterns in the picture: {MORE:,} more", seconds, 1.0, "s")
        yield Row(f"{count:,} patterns in the picture: {MORE:,} more, of the processor", of_processor[count], None, "s")
    growth = of_processor[COUNTS[-1]] / of_processor[COUNTS[0]]
    yield Row("the same, most patterns over fewest", growth, 1.2)
    yield Row("threads", torch.get_num_threads())


if __name__ == "__main__":
    main(measure, HOW)
