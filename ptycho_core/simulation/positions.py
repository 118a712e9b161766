"""Scan positions: raster, snake, Fermat spiral."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ptycho_core.simulation.spec import SimulationSpec

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def make_positions(spec: SimulationSpec) -> NDArray[np.float64]:
    """Return where the beam truly is: (n, 2) float64, (y, x) in object pixels, around 0, jitter included.

    A raster runs every row from left to right, a snake every other row back. The spiral has the same density,
    one position per square of ``step_px`` (Huang et al., Opt. Express 22, 12634 (2014)).
    """
    n = spec.n_patterns
    if spec.positions == "spiral":
        i = np.arange(n)
        r, angle = np.sqrt((i + 0.5) / math.pi), i * GOLDEN_ANGLE
        grid = np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1)
    else:
        columns = math.ceil(math.sqrt(n))
        row, column = np.divmod(np.arange(n), columns)
        if spec.positions == "snake":
            column = np.where(row % 2 == 1, columns - 1 - column, column)
        grid = np.stack([row - row.max() / 2, column - (columns - 1) / 2], axis=1)
    jitter = np.random.default_rng([spec.seed, 1]).uniform(-spec.jitter_px, spec.jitter_px, (n, 2))
    return np.asarray(spec.step_px * grid + jitter)


def record(spec: SimulationSpec, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions (n, 2) as a motor would report them: off by ``position_error_px`` RMS per axis."""
    error = np.random.default_rng([spec.seed, 2]).normal(0, spec.position_error_px, positions.shape)
    return np.asarray(positions + error)
