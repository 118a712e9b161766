"""Patches on a canvas, and the light on it.

Conventions. Arrays are (..., y, x). Measured amplitudes and weights of pixels lie as the propagator has waves at the
detector (`Propagator.arranged`). A position (y, x) is the canvas coordinate of probe pixel (N//2, N//2).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptycho_core.engines import subpixel


@dataclass(frozen=True)
class Windows:
    """Where b patches of N x N pixels lie on a stack of canvases, to a fraction of a pixel.

    Built by `place`; ``start`` (b,) is the flat index of each window's first pixel, ``fraction`` (b, 2) the rest of
    its position in [0, 1].
    """

    start: Tensor
    fraction: Tensor
    size: int
    canvas: tuple[int, int, int]

    @functools.cached_property
    def knots(self) -> Tensor:
        """(b, K K): `subpixel.weights` of the fractions."""
        return subpixel.weights(self.fraction)

    def part(self, part: slice) -> Windows:
        """Return the windows of some of the patches."""
        return Windows(self.start[part], self.fraction[part], self.size, self.canvas)


def capped(pixels: Tensor, highest: Iterable[int]) -> Tensor:
    """Return pixels (..., 2) cut to at most these numbers, y and x, none of which is sent to the device."""
    return torch.stack([one.clamp(max=most) for one, most in zip(pixels.unbind(dim=-1), highest, strict=True)], dim=-1)


def place(positions: Tensor, size: int, canvas: tuple[int, int, int]) -> Windows:
    """Find the windows of patches on canvases.

    A fraction may be 1: a position just below a whole pixel, for which there is a canvas, may be that pixel in float32.

    Parameters
    ----------
    positions
        (b, 2) or (g, c, 2) canvas coordinates (y, x) of the patches' centres; with (g, c, 2), row g lies on canvas g.
    size
        N.
    canvas
        (g, H, W); every window must lie inside.

    Raises
    ------
    ValueError
        If a window reaches over the canvas' edge; not told on an accelerator, which would have to be waited for.
    """
    grouped = positions if positions.ndim == 3 else positions[None]
    corner = capped(torch.floor(grouped).to(torch.int64) - size // 2, (side - size - 1 for side in canvas[1:]))
    fraction = grouped - (corner + size // 2)
    if grouped.device.type == "cpu" and bool(((corner < 0) | (fraction > 1)).any()):
        raise ValueError(f"a window of {size + 1} pixels lies outside the canvas of {canvas[1]} x {canvas[2]}")
    group = torch.arange(len(grouped), device=corner.device)[:, None]
    start = (group * canvas[1] + corner[..., 0]) * canvas[2] + corner[..., 1]
    return Windows(start.reshape(-1), fraction.reshape(-1, 2), size, canvas)


def cut_out(canvas: Tensor, start: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return pieces (b, h, w) of a canvas (H, W) whose first pixels have flat indexes (b,)."""
    # Indexing whole rows is several times faster than a flat gather.
    return _all_pieces(canvas.contiguous(), shape)[start]


def _all_pieces(canvas: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return all pieces (l, h, w) of a canvas (H, W) as one view, by the flat indexes of their first pixels."""
    (height, width), across = shape, canvas.shape[1]
    last = canvas.numel() - (height - 1) * across - (width - 1)
    return canvas.as_strided((last, height, width), (1, across, 1))


class _Read(torch.autograd.Function):
    """Windows of a canvas; its adjoint adds them back."""

    @staticmethod
    def forward(ctx: Any, canvas: Tensor, windows: Windows) -> Tensor:
        ctx.windows = windows
        return cut_out(canvas, windows.start, (windows.size, windows.size))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        count, height, width = ctx.windows.canvas
        canvas = torch.zeros((count * height, width), dtype=grad.dtype, device=grad.device)
        add_patches(canvas, grad.contiguous(), ctx.windows)
        return canvas, None


def read_patches(canvas: Tensor, windows: Windows) -> Tensor:
    """Return patches (b, N, N) of canvases, at whole pixels: pixel (N//2, N//2) lies at the window's position.

    Parameters
    ----------
    canvas
        (H, W) or, one below the other, (g H, W).
    windows
        From `place`.
    """
    patches: Tensor = _Read.apply(canvas, windows)  # type: ignore[no-untyped-call]
    return patches


def add_patches(canvas: Tensor, patches: Tensor, windows: Windows) -> None:
    """Add patches (b, N, N) onto a canvas, in place: the adjoint of `read_patches`."""
    size, width = windows.size, windows.canvas[2]
    if canvas.device.type == "cpu":  # whole windows one after another are several times faster than single pixels
        first = int(canvas.storage_offset())
        pieces = [canvas.as_strided((size, size), (width, 1), first + start) for start in windows.start.tolist()]
        for piece, patch in zip(pieces, patches.unbind(), strict=True):
            piece.add_(patch)
        return
    steps = torch.arange(size, device=canvas.device)
    flat = windows.start[:, None, None] + steps[:, None] * width + steps
    canvas.view(-1).index_add_(0, flat.reshape(-1), patches.reshape(-1))


def squared_modulus(wave: Tensor) -> Tensor:
    """|wave|^2 without the square root and division that the gradient of ``abs`` needs."""
    squares: Tensor = (wave * wave.conj()).real  # twice as fast as the squares of both parts
    return squares


def over_modes(waves: Tensor) -> Tensor:
    """Return the sum (b, N, N) over the modes of (b, M, N, N), which copies nothing where there is one."""
    return waves[:, 0] if waves.shape[1] == 1 else waves.sum(dim=1)


def light_on(probe: Tensor, windows: Windows) -> Tensor:
    """Return the light (H, W) in counts that a probe (M, N, N) sends onto each pixel from windows of one canvas."""
    light = squared_modulus(probe).sum(dim=0)
    total = torch.zeros(windows.canvas[1:], device=probe.device)
    add_patches(total, light.expand(len(windows.start), -1, -1), windows)
    return total


def scale_probe(probe: Tensor, brightest: float) -> Tensor:
    """Scale modes (M, N, N) so that an object of modulus 1 gives ``brightest`` counts in a pattern."""
    return probe * (brightest / squared_modulus(probe).sum()).sqrt()
