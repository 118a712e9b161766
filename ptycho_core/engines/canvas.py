"""Patterns of a scan on its whole canvas, streamed in bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.base.config import Config
from ptycho_core.engines.data import Amplitudes, Placed, group_canvas, scan_canvas
from ptycho_core.engines.physics import Estimate, Windows, backproject, coverage, place
from ptycho_core.engines.propagators import propagator_of
from ptycho_core.scan.scan import Scan

LIT = 0.1
"""A pixel counts as lit that got this part of the light of the probe's brightest pixel."""
_PATTERNS_AT_ONCE = 64


Place = tuple[slice, slice]
Piece = tuple[Tensor, Windows, Place]


class Canvas:
    """Patterns of a scan on a canvas, streamed.

    Parameters
    ----------
    scan
        The whole scan.
    amplitudes
        Of the whole scan.
    rows
        The patterns to use.
    device
        Where to compute.
    placed
        Where the canvas lies.
    """

    def __init__(
        self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[np.int64], device: torch.device, placed: Placed
    ) -> None:
        self.amplitudes, self.rows, self.size, self.device = amplitudes, rows, scan.size, device
        self.propagator = propagator_of(scan)
        self.shape = placed.shape
        self.recorded = self.positions = scan.positions - placed.origin

    @classmethod
    def of_scan(
        cls,
        scan: Scan,
        amplitudes: Amplitudes,
        rows: NDArray[np.int64],
        device: torch.device,
        config: Config | None = None,
    ) -> Canvas:
        """Return the canvas of the whole scan, whichever patterns are used, for a model of this config."""
        return cls(scan, amplitudes, rows, device, scan_canvas(scan, config))

    @classmethod
    def of_rows(
        cls,
        scan: Scan,
        amplitudes: Amplitudes,
        rows: NDArray[np.int64],
        device: torch.device,
        config: Config | None = None,
    ) -> Canvas:
        """Return the smallest canvas that holds the patterns used, for a model of this config."""
        return cls(scan, amplitudes, rows, device, scan_canvas(scan.take(rows), config))

    def only(self, rows: NDArray[np.int64]) -> Canvas:
        """Return the same canvas with other patterns."""
        other = copy.copy(self)
        other.rows = rows
        return other

    def exchanged(self) -> Canvas:
        """Return the same canvas with each of its patterns at the place of another one."""
        other = copy.copy(self)
        other.recorded = self.recorded.copy()
        other.recorded[self.rows] = self.recorded[np.roll(self.rows, max(1, len(self.rows) // 2))]
        other.positions = other.recorded
        return other

    def moved(self, shifts: Tensor) -> Canvas:
        """Return the same canvas with its patterns (n, 2) pixels from their recorded places; none for all there.

        A pattern that would lie over the canvas' edge stays inside.
        """
        other = copy.copy(self)
        if len(shifts):
            moved = self.recorded + shifts.detach().cpu().double().numpy()
            low = self.size // 2
            other.positions = np.clip(moved, low, np.array(self.shape) - self.size - 1 + low)
        else:
            other.positions = self.recorded
        return other

    def pieces(self) -> Iterator[Piece]:
        """Yield amplitudes (b, N, N), their windows on the smallest canvas that holds them, and where that lies."""
        for start in range(0, len(self.rows), _PATTERNS_AT_ONCE):
            chunk = self.rows[start : start + _PATTERNS_AT_ONCE]
            corner, (height, width) = group_canvas(self.positions[chunk][None], self.size)
            # The rounding to a multiple may reach over the canvas' edge: move the piece back inside.
            low = np.minimum(corner[0, 0], np.array(self.shape) - (height, width)).astype(int)
            local = torch.from_numpy((self.positions[chunk] - low).astype(np.float32)).to(self.device)
            windows = place(local, self.size, (1, height, width))
            where = (slice(low[0], low[0] + height), slice(low[1], low[1] + width))
            yield self.amplitudes[chunk].to(self.device, non_blocking=True), windows, where

    def accumulate(self, of: Callable[[Tensor, Windows, Place], Tensor], dtype: torch.dtype) -> Tensor:
        """Add up what ``of`` makes of each piece: (1, H, W)."""
        total = torch.zeros((1, *self.shape), dtype=dtype, device=self.device)
        for amplitude, windows, where in self.pieces():
            total[(0, *where)] += of(amplitude, windows, where)[0]
        return total

    @torch.inference_mode()
    def estimate(self, probe: Tensor, weight: Tensor | None) -> Estimate:
        """Back-project all patterns with a probe (M, N, N), of their pixels those of weight 1."""
        numerator = self.accumulate(
            lambda a, w, _: backproject(a, probe, w, weight, self.propagator).numerator, torch.complex64
        )
        return Estimate(numerator, self.light(probe))

    @torch.inference_mode()
    def light(self, probe: Tensor) -> Tensor:
        """Summed intensity of the probe on each pixel, in units of its brightest one: (1, H, W)."""
        return self.accumulate(lambda _, windows, __: coverage(probe, windows), torch.float32)


def middle(scan: Scan, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the ``count`` of these patterns that lie nearest to their middle."""
    if len(rows) <= count:
        return rows
    offset = scan.positions[rows] - np.median(scan.positions[rows], axis=0)
    return np.sort(rows[np.argsort(np.square(offset).sum(axis=1), kind="stable")[:count]])
