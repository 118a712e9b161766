"""Patterns of a scan on its whole canvas, streamed in bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.base.config import Config
from ptycho_core.engines.data import REGION, Amplitudes, Placed, Split, scan_canvas
from ptycho_core.engines.physics import Windows, light_on, place, squared_modulus
from ptycho_core.scan.scan import Scan

LIT = 0.1
"""A pixel counts as lit that got this part of the light of the probe's brightest pixel."""
_AMID = 0.8
"""Of the patterns nearest to a middle, the part around which all others are among them too."""
_PATTERNS_AT_ONCE = 64


class Some(NamedTuple):
    """Some patterns of a canvas: as `Measured`, with windows on the whole canvas, and places (b,) in the scan."""

    amplitude: Tensor
    windows: Windows
    rows: Tensor
    weight: Tensor | None


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

    def batch(self, rows: NDArray[np.int64]) -> Some:
        """Return some of the patterns."""
        amplitude, weight = self.amplitudes[rows].on(self.device)
        index = torch.from_numpy(rows).to(self.device, non_blocking=True)
        return Some(amplitude, self._windows(rows), index, weight)

    def batches(self) -> Iterator[Some]:
        """Yield all patterns, some at a time."""
        for rows in self._chunks():
            yield self.batch(rows)

    def _chunks(self) -> Iterator[NDArray[np.int64]]:
        most = _PATTERNS_AT_ONCE if self.device.type == "cpu" else REGION
        for start in range(0, len(self.rows), most):
            yield self.rows[start : start + most]

    def _windows(self, rows: NDArray[np.int64]) -> Windows:
        positions = torch.from_numpy(self.positions[rows].astype(np.float32)).to(self.device, non_blocking=True)
        return place(positions, self.size, (1, *self.shape))

    @torch.inference_mode()
    def light(self, probe: Tensor) -> Tensor:
        """Summed intensity of the probe on each pixel, in units of its brightest one: (1, H, W)."""
        total = torch.zeros(self.shape, device=self.device)
        for rows in self._chunks():
            total += light_on(probe, self._windows(rows))
        return total[None] / squared_modulus(probe).sum(dim=0).max()


def middle(scan: Scan, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the ``count`` of these patterns that lie nearest to their middle."""
    if len(rows) <= count:
        return rows
    offset = scan.positions[rows] - np.median(scan.positions[rows], axis=0)
    return np.sort(rows[np.argsort(np.square(offset).sum(axis=1), kind="stable")[:count]])


def middle_parts(scan: Scan, parts: Split, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return those that train, of the ``count`` patterns nearest to the middle, and those that validate amid them."""
    both = np.sort(np.concatenate([parts.train, parts.validation]))
    if len(both) <= count:
        return parts.train, parts.validation
    inner = middle(scan, both, count)
    amid = middle(scan, inner, round(_AMID * count))
    return np.intersect1d(parts.train, inner), np.intersect1d(parts.validation, amid)
