"""Patterns in batches of bounded size, for writers that must not hold a whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan import Patterns

_BATCH_BYTES = 32 * 2**20


def batches(patterns: Patterns) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield (places, counts (b, N, N) float32) over all patterns in order, about 32 MiB at a time."""
    step = max(1, _BATCH_BYTES * max(1, len(patterns)) // max(1, patterns.nbytes))
    for start in range(0, len(patterns), step):
        places = slice(start, min(start + step, len(patterns)))
        yield places, patterns[places]


def counts_dtype(patterns: Patterns) -> np.dtype[Any]:
    """Return the smallest unsigned integer type that holds all counts exactly, or float32 if some are not whole.

    The largest number of a type is not used, because it is what detectors write where they did not count.
    Reads every pattern once.
    """
    largest = np.float32(0)
    for _, counts in batches(patterns):
        if not np.all(np.isfinite(counts) & (counts >= 0) & (counts == np.rint(counts))):
            return np.dtype(np.float32)
        largest = max(largest, counts.max(initial=0))
    return np.min_scalar_type(int(largest) + 1) if largest < 2**63 else np.dtype(np.float32)
