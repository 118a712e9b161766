"""One pass over a scan's whole canvas: streamed over patterns, tiled over the network, in bounded memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.engines.data import Amplitudes, group_canvas
from ptycho_core.engines.models.base import PtychographyModule
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel, residual
from ptycho_core.engines.models.unet import UNet
from ptycho_core.engines.physics import Estimate, Windows, backproject, coverage, place
from ptycho_core.quality.metrics import FRC, frc, r_factor
from ptycho_core.quality.registration import register, soft_window
from ptycho_core.scan.scan import Scan

TILE = 1024
"""Width in pixels of the tiles that the network sees at once."""
COVERED = 0.1
"""A pixel counts as lit that got this part of the light of the probe's brightest pixel."""
_PATTERNS_AT_ONCE = 64
_PREVIEW_PATTERNS = 256
_PREVIEW_PIXELS = 512


Place = tuple[slice, slice]
Piece = tuple[Tensor, Windows, Place]


class Canvas:
    """Patterns of a scan on its canvas, streamed.

    Parameters
    ----------
    amplitudes
        Of the whole scan.
    positions
        (n, 2) of the whole scan.
    rows
        The patterns to use.
    size
        N.
    device
        Where to compute.
    placed
        Origin and shape of the canvas; that of ``rows`` where None.
    """

    def __init__(
        self,
        amplitudes: Amplitudes,
        positions: NDArray[np.float64],
        rows: NDArray[np.int64],
        size: int,
        device: torch.device,
        placed: tuple[NDArray[np.float64], tuple[int, int]] | None = None,
    ) -> None:
        if placed is None:
            origin, shape = group_canvas(positions[rows][None], size)
            placed = origin[0, 0], shape
        self.origin, self.shape = placed
        self.amplitudes, self.rows, self.size, self.device = amplitudes, rows, size, device
        self.positions = positions - self.origin

    def only(self, rows: NDArray[np.int64]) -> Canvas:
        """Return the same canvas with other patterns."""
        other = copy.copy(self)
        other.rows = rows
        return other

    def pieces(self, rows: NDArray[np.int64] | None = None) -> Iterator[Piece]:
        """Yield amplitudes (b, N, N), their windows on the smallest canvas that holds them, and where that lies."""
        rows = self.rows if rows is None else rows
        for start in range(0, len(rows), _PATTERNS_AT_ONCE):
            chunk = rows[start : start + _PATTERNS_AT_ONCE]
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
def network_object(model: PinnModel, canvas: Canvas, tile: int | None = TILE) -> tuple[Tensor, Tensor]:
    """Run the trained network once over a whole canvas.

    Parameters
    ----------
    model
        Trained.
    canvas
        The patterns to use.
    tile
        Width of the network's tiles; None for none. The result is the same.

    Returns
    -------
    object
        (1, H, W) complex64.
    coverage
        (1, H, W) in units of the probe's brightest pixel.
    """
    probe, weight, network = model.probe, model.weight, model.network
    estimate = estimate_object(model, canvas)
    cover = estimate.coverage

    def apply(unet: UNet, image: Tensor) -> Tensor:
        return in_tiles(unet, image, tile)

    object = network.begin(estimate, apply)
    for number in range(len(network.rounds)):
        now = object

        def change(amplitude: Tensor, windows: Windows, where: Place, now: Tensor = now) -> Tensor:
            return residual(now[(slice(None), *where)], amplitude, probe, windows, weight)

        object = network.refine(number, now, canvas.accumulate(change, torch.complex64), cover, apply)
    return object, cover


@torch.inference_mode()
def estimate_object(model: PtychographyModule, canvas: Canvas) -> Estimate:
    """Back-project all patterns onto the canvas, with the model's probe."""
    probe, weight = model.probe, model.weight
    numerator = canvas.accumulate(lambda a, w, _: backproject(a, probe, w, weight).numerator, torch.complex64)
    return Estimate(numerator, light(canvas, probe))


@torch.inference_mode()
def light(canvas: Canvas, probe: Tensor) -> Tensor:
    """Summed intensity of the probe on each pixel, in units of its brightest one: (1, H, W)."""
    return canvas.accumulate(lambda _, windows, __: coverage(probe, windows), torch.float32)


def in_tiles(unet: UNet, image: Tensor, tile: int | None) -> Tensor:
    """Run a U-Net on (b, c, H, W) in tiles that overlap by as far as it sees, so that no seam can form."""
    height, width = image.shape[-2:]
    if tile is None or (height <= tile and width <= tile):
        return unet(image)  # type: ignore[no-any-return]
    multiple = unet.multiple
    margin = -(-unet.reach // multiple) * multiple
    step = max(multiple, tile // multiple * multiple)
    rows = []
    for top in range(0, height, step):
        row = []
        for left in range(0, width, step):
            y, x = max(0, top - margin), max(0, left - margin)
            result = unet(image[..., y : top + step + margin, x : left + step + margin])
            row.append(result[..., top - y : top - y + step, left - x : left - x + step])
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def half_scan_correlation(model: PinnModel, canvas: Canvas, tile: int | None = TILE) -> FRC | None:
    """Correlate the objects that the network makes of every other pattern and of the rest, where both are well lit.

    Both use the same probe, so that errors of the probe do not show. None where no pixel is well lit by both.
    """
    (a, light_a), (b, light_b) = (network_object(model, canvas.only(canvas.rows[start::2]), tile) for start in (0, 1))
    window = soft_window((torch.minimum(light_a, light_b)[0] >= 1).cpu().numpy())
    if not window.any():
        return None
    aligned = register(b[0].cpu().numpy(), a[0].cpu().numpy(), window).aligned
    return frc(a[0].cpu().numpy(), aligned, window=window)


@torch.inference_mode()
def r_of(model: PtychographyModule, object: Tensor, probe: Tensor, canvas: Canvas, rows: NDArray[np.int64]) -> float:
    """R-factor of patterns, from the stitched object (1, H, W) and the final probe; NaN without patterns."""
    if not len(rows):
        return math.nan
    good = 1 if model.weight is None else model.weight

    def batches() -> Iterator[tuple[Any, Any]]:
        for amplitude, windows, where in canvas.pieces(rows):
            expected = model.predict_patterns(object[(slice(None), *where)], probe, windows)
            yield expected.sqrt(), amplitude

    return float(r_factor(batches, good).value)


def middle(scan: Scan, rows: NDArray[np.int64], count: int = _PREVIEW_PATTERNS) -> NDArray[np.int64]:
    """Return the ``count`` of these patterns that lie nearest to their middle."""
    if len(rows) <= count:
        return rows
    offset = scan.positions[rows] - np.median(scan.positions[rows], axis=0)
    return np.sort(rows[np.argsort(np.square(offset).sum(axis=1), kind="stable")[:count]])


@torch.inference_mode()
def preview(
    model: PtychographyModule, scan: Scan, amplitudes: Amplitudes, rows: NDArray[np.int64]
) -> tuple[NDArray[np.complex64], NDArray[np.complex64], int]:
    """Return a picture of the object as it is now, its probe and the picture's binning, at bounded cost.

    The network engine reconstructs the 256 patterns nearest to the scan's middle.
    """
    if isinstance(model, DirectModel):
        object = model.object.detach()
    else:
        assert isinstance(model, PinnModel)
        canvas = Canvas(amplitudes, scan.positions, middle(scan, rows), scan.size, model.device)
        object = network_object(model, canvas)[0][0]
    binning = max(1, math.ceil(max(object.shape) / _PREVIEW_PIXELS))
    height, width = (side // binning for side in object.shape)
    blocks = object[: height * binning, : width * binning].view(height, binning, width, binning)
    return blocks.mean(dim=(1, 3)).cpu().numpy(), model.probe[0].detach().cpu().numpy(), binning
