"""Wave optics of ptychography on torch tensors: windows on a canvas, exit waves, back-projection.

Conventions. Arrays are (..., y, x). Measured amplitudes and weights of pixels lie as the propagator has waves at the
detector (`Propagator.arranged`). A position (y, x) is the canvas coordinate of probe pixel (N//2, N//2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptycho_core.engines.propagators import FAR_FIELD, Propagator

EPSILON = 0.02
"""Back-projected pixels lit by less than this part of the brightest probe pixel fade to vacuum."""


@dataclass(frozen=True)
class Windows:
    """Where b patches of N x N pixels lie on a stack of canvases, to a fraction of a pixel.

    Built by `place`; ``start`` (b,) is the flat index of each (N + 1, N + 1) window's first pixel, ``fraction``
    (b, 2) the rest of its position in [0, 1].
    """

    start: Tensor
    fraction: Tensor
    size: int
    canvas: tuple[int, int, int]

    def flat(self) -> Tensor:
        """(b, N + 1, N + 1) flat indexes of all pixels of all windows."""
        steps = torch.arange(self.size + 1, device=self.start.device)
        return self.start[:, None, None] + steps[:, None] * self.canvas[2] + steps


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
        If a window reaches over the canvas' edge.
    """
    grouped = positions if positions.ndim == 3 else positions[None]
    limit = torch.tensor(canvas[1:], device=grouped.device) - size - 1
    corner = torch.minimum(torch.floor(grouped).to(torch.int64) - size // 2, limit)
    fraction = grouped - (corner + size // 2)
    if bool(((corner < 0) | (fraction > 1)).any()):
        raise ValueError(f"a window of {size + 1} pixels lies outside the canvas of {canvas[1]} x {canvas[2]}")
    group = torch.arange(len(grouped), device=corner.device)[:, None]
    start = (group * canvas[1] + corner[..., 0]) * canvas[2] + corner[..., 1]
    return Windows(start.reshape(-1), fraction.reshape(-1, 2), size, canvas)


class _Gather(torch.autograd.Function):
    """Windows of a canvas stack; its adjoint adds them back."""

    @staticmethod
    def forward(ctx: Any, canvas: Tensor, windows: Windows) -> Tensor:
        ctx.windows = windows
        return _read(canvas, windows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _add(grad, ctx.windows), None


class _Scatter(torch.autograd.Function):
    """Windows added onto a canvas stack; its adjoint reads them."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, windows: Windows) -> Tensor:
        ctx.windows = windows
        return _add(patches, windows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _read(grad, ctx.windows), None


def _read(canvas: Tensor, windows: Windows) -> Tensor:
    # All windows as one strided view: indexing it copies whole rows, which is several times faster than a flat gather.
    count, height, width = windows.canvas
    side = windows.size + 1
    last = count * height * width - (side - 1) * (width + 1)
    view = canvas.contiguous().as_strided((last, side, side), (1, width, 1))
    return view[windows.start]


def _add(patches: Tensor, windows: Windows) -> Tensor:
    count, height, width = windows.canvas
    flat = torch.zeros(count * height * width, dtype=patches.dtype, device=patches.device)
    flat.index_add_(0, windows.flat().reshape(-1), patches.reshape(-1))
    return flat.view(count, height, width)


def gather(canvas: Tensor, windows: Windows) -> Tensor:
    """Read patches off canvases, bilinearly between pixels.

    Parameters
    ----------
    canvas
        (g, H, W), complex or real.
    windows
        From `place`.

    Returns
    -------
    Tensor
        (b, N, N) patches: pixel (N//2, N//2) shows the canvas at the position.
    """
    pixels: Tensor = _Gather.apply(canvas, windows)  # type: ignore[no-untyped-call]
    y, x = windows.fraction[:, 0, None, None], windows.fraction[:, 1, None, None]
    rows = torch.lerp(pixels[:, :-1], pixels[:, 1:], y.to(pixels.dtype))
    return torch.lerp(rows[:, :, :-1], rows[:, :, 1:], x.to(pixels.dtype))


def scatter(patches: Tensor, windows: Windows) -> Tensor:
    """Add patches (b, N, N) onto empty canvases (g, H, W): the adjoint of `gather`."""
    y, x = windows.fraction[:, 0, None, None], windows.fraction[:, 1, None, None]
    right = patches * x
    columns = torch.nn.functional.pad(patches - right, (0, 1)) + torch.nn.functional.pad(right, (1, 0))
    lower = columns * y
    pixels = torch.nn.functional.pad(columns - lower, (0, 0, 0, 1)) + torch.nn.functional.pad(lower, (0, 0, 1, 0))
    canvas: Tensor = _Scatter.apply(pixels, windows)  # type: ignore[no-untyped-call]
    return canvas


def squared_modulus(wave: Tensor) -> Tensor:
    """|wave|^2 without the square root and division that the gradient of ``abs`` needs."""
    return wave.real.square() + wave.imag.square()


def exit_waves(probe: Tensor, patches: Tensor) -> Tensor:
    """(b, M, N, N): each mode of the probe (M, N, N) times each patch of the object (b, N, N)."""
    return probe * patches[:, None]


def intensity(waves_at_detector: Tensor, background: Tensor | float = 0.0) -> Tensor:
    """Expected counts (b, N, N) of propagated exit waves (b, M, N, N): the modes add incoherently."""
    return squared_modulus(waves_at_detector).sum(dim=1) + background


def replace_modulus(waves_at_detector: Tensor, amplitude: Tensor, weight: Tensor | None) -> Tensor:
    """Give propagated waves the measured modulus and keep their phases.

    With several modes all are scaled by one factor per pixel, A / sqrt(sum_m |F psi_m|^2). Bad pixels keep the
    modulus that they have.

    Parameters
    ----------
    waves_at_detector
        (b, M, N, N).
    amplitude
        (b, N, N).
    weight
        (N, N), 1 where a pixel is good and 0 where it is bad, or None.
    """
    modulus = squared_modulus(waves_at_detector).sum(dim=1).clamp_min(1e-12).sqrt()
    ratio = amplitude / modulus
    if weight is not None:
        ratio = torch.where(weight > 0, ratio, 1.0)
    return waves_at_detector * ratio[:, None]


@dataclass(frozen=True)
class Estimate:
    """A back-projection on canvases (g, H, W).

    ``numerator`` is sum_i S_i[sum_m conj(P_m) psi_im], ``coverage`` is sum_i S_i[sum_m |P_m|^2] in units of the
    probe's brightest pixel, both already divided by that brightest pixel's intensity.
    """

    numerator: Tensor
    coverage: Tensor

    @property
    def object(self) -> Tensor:
        """The estimate of the object where it was lit, vacuum (1) where it was not."""
        return 1 + (self.numerator - self.coverage) / (self.coverage + EPSILON)


def project(waves: Tensor, probe: Tensor, windows: Windows) -> Tensor:
    """Sum_i S_i[sum_m conj(P_m) psi_im] / max |P|^2 of exit waves (b, M, N, N) on canvases (g, H, W)."""
    peak = squared_modulus(probe).sum(dim=0).max()
    return scatter((probe.conj() * waves).sum(dim=1) / peak, windows)


def coverage(probe: Tensor, windows: Windows) -> Tensor:
    """Sum_i S_i[sum_m |P_m|^2] / max |P|^2 on canvases (g, H, W)."""
    light = squared_modulus(probe).sum(dim=0)
    return scatter((light / light.max()).expand(len(windows.start), -1, -1), windows)


def backproject(
    amplitude: Tensor,
    probe: Tensor,
    windows: Windows,
    weight: Tensor | None = None,
    propagator: Propagator = FAR_FIELD,
) -> Estimate:
    """Estimate the object from amplitudes alone, with the probe's own phase at the detector.

    ``psi_i = F^-1[A_i exp(i arg F P)]``; a featureless object gives back exactly 1 where it was lit.

    Parameters
    ----------
    amplitude
        (b, N, N) square roots of counts.
    probe
        (M, N, N) complex.
    windows
        Where the patterns lie.
    weight
        (N, N) 1 for good and 0 for bad pixels, or None.
    propagator
        To the detector.
    """
    at_detector = propagator.forward(probe)[None].expand(len(amplitude), -1, -1, -1)
    waves = propagator.back(replace_modulus(at_detector, amplitude, weight))
    return Estimate(project(waves, probe, windows), coverage(probe, windows))


def scale_probe(probe: Tensor, brightest: float) -> Tensor:
    """Scale modes (M, N, N) so that an object of modulus 1 gives ``brightest`` counts in a pattern."""
    return probe * (brightest / squared_modulus(probe).sum()).sqrt()
