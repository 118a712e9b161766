"""`Reconstruction`: what a reconstruction is, for writers, readers and viewers. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Geometry


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """An object and a probe that explain a scan.

    Parameters
    ----------
    object
        (H, W) complex64 on a canvas.
    probe
        (M, N, N) complex64 in sqrt(counts), modes ordered by power; probe pixel (N//2, N//2) is its centre.
    coverage
        (H, W) float32: summed probe intensity that fell on each pixel, 0 where the beam never was.
    positions_px
        (n, 2) float64: (y, x) on the canvas of probe pixel (N//2, N//2), so that pattern i sees rows
        ``y - N//2`` to ``y - N//2 + N``.
    pattern_index
        (n,) int64: place in the scan of the patterns that were used.
    geometry
        Of the scan; the pixel size follows from it and N.
    metrics
        Scores, timings and so on, as in ``metrics.json``.
    config
        The config of the run as JSON-ready primitives.
    history
        The scan's history and what was done since.
    loss_history
        Rows (epoch, loss), one per epoch of training.
    name
        Of the scan.
    sample, comments
        As the operator wrote them.
    recorded_positions_px
        (n, 2) float64: where the scan has the patterns, if refinement moved them to ``positions_px``; else None.
    """

    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    coverage: NDArray[np.float32]
    positions_px: NDArray[np.float64]
    pattern_index: NDArray[np.int64]
    geometry: Geometry = field(default_factory=Geometry)
    metrics: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    loss_history: tuple[tuple[int, float], ...] = ()
    name: str = ""
    sample: str = ""
    comments: str = ""
    recorded_positions_px: NDArray[np.float64] | None = None

    @property
    def pixel_size_m(self) -> tuple[float, float] | None:
        """Object pixel size (y, x), or None where it is not known."""
        return self.geometry.pixel_size_m(self.probe.shape[-1])
