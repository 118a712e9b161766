"""Where a fit begins: the probe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptycho_core.engines.physics import scale_probe
from ptycho_core.engines.probe_modes import add_modes
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.inspection.suitability import conditions_of, scans_of
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import survey_of


def starting_probe(scan: Scan, modes: int) -> Tensor:
    """Return the scan's own probe, or a guess from its patterns, at the scan's brightness: (modes, N, N) complex64."""
    guess = scan.probe if scan.probe is not None and scan.probe.any() else initial_probe(scan)
    probe = add_modes(torch.from_numpy(np.ascontiguousarray(guess, dtype=np.complex64)), modes)
    return at_brightness(probe, scan)


def at_brightness(probe: Tensor, scan: Scan) -> Tensor:
    """Return modes (M, N, N) scaled so that an object of modulus 1 gives the scan's brightest pattern."""
    return scale_probe(probe, brightest(scan))


def brightest(scan: Scan) -> float:
    """Return the counts of the brightest pattern (of those looked at, where the scan is large)."""
    return float(survey_of(scan).sums.max())


_MARKS = ("patterns", "size", "brightest", "spread")
"""Of a summary, what tells one scan from another."""


def scan_summary(scan: Scan) -> dict[str, Any]:
    """Return what a checkpoint keeps of the scan that it was trained on: enough to know it again, and how it was."""
    # In as many digits as every machine sums up alike.
    known = {"patterns": len(scan), "size": scan.size, "brightest": float(f"{brightest(scan):.6g}")}
    known |= conditions_of(scan)
    spread = scan.fresnel_spread
    return known if spread is None else {**known, "spread": [float(f"{one:.6g}") for one in spread]}


def is_same_scan(summary: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two summaries are of one scan; older ones say less of it."""
    return all(summary.get(mark) == other.get(mark) for mark in _MARKS)


def place_of(trained: dict[str, Any], summary: dict[str, Any]) -> int | None:
    """Return the place, from 0, of a scan among those of a training, of which a checkpoint keeps this; None: none."""
    return next((place for place, one in enumerate(scans_of(trained)) if is_same_scan(one, summary)), None)
