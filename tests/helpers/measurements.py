"""Scans as engines take them, for tests of engines."""

from __future__ import annotations

import numpy as np

from ptycho_core.engines.data import Amplitudes, Measurement, PatternDataset, Split, TrainingScans
from ptycho_core.scan.scan import Scan


def measured(scan: Scan, parts: Split | None = None, amplitudes: Amplitudes | None = None) -> Measurement:
    """A scan as a run has it; all of its patterns train unless parts say otherwise."""
    rows = np.arange(len(scan))
    whole = Split(rows, rows[:0], rows[:0])
    return Measurement(scan, Amplitudes(scan) if amplitudes is None else amplitudes, parts or whole)


def dataset(scan: Scan, amplitudes: Amplitudes | None = None) -> PatternDataset:
    """Batches of one scan."""
    return PatternDataset(TrainingScans([measured(scan, amplitudes=amplitudes)]))
