"""The type in which a scan's counts are written."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptycho_core.scan.scan import Patterns
from ptycho_core.scan.survey import batches


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
