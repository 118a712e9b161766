"""Incoherent modes of a probe: a start for them, and their canonical form."""

from __future__ import annotations

import torch
from torch import Tensor

from ptycho_core.engines.physics import squared_modulus

POWER_RATIO = 0.5
"""Of a new mode to the one before, from the start: one of too little power grows slowly."""


def add_modes(probe: Tensor, count: int, ratio: float = POWER_RATIO) -> Tensor:
    """Return ``count`` modes: those of ``probe`` (M, N, N) in their order of power, then perturbations of the first.

    New modes are the first one times polynomials of the coordinates (tilts, then astigmatisms), made orthogonal to
    all modes before, each with ``ratio`` times the power of the one before (Thibault and Menzel 2013 describe the
    modes; this start follows Odstrcil et al. 2016). The total power is kept, unless there are more than ``count``
    modes: then the weakest are dropped.
    """
    probe = order_modes(probe)
    if len(probe) >= count:
        return probe[:count]
    total = squared_modulus(probe).sum()
    size = probe.shape[-1]
    axis = (torch.arange(size, dtype=torch.float32, device=probe.device) - size // 2) / size
    y, x = axis[:, None], axis[None, :]
    shapes = [x + 0 * y, y + 0 * x, x * y, x * x - y * y, x * x + y * y, x**3 + 0 * y, y**3 + 0 * x]
    modes = list(probe)
    for shape in shapes[len(modes) - 1 : count - 1]:
        mode = modes[0] * shape
        for other in modes:
            mode = mode - other * (other.conj() * mode).sum() / squared_modulus(other).sum().clamp_min(1e-20)
        power = ratio * squared_modulus(modes[-1]).sum()
        modes.append(mode * (power / squared_modulus(mode).sum().clamp_min(1e-20)).sqrt())
    result = torch.stack(modes)
    return result * (total / squared_modulus(result).sum()).sqrt()


def order_modes(probe: Tensor) -> Tensor:
    """Return modes (M, N, N) that give the same patterns, orthogonal to each other and ordered by power."""
    if len(probe) == 1:
        return probe
    flat = probe.flatten(1)
    _, vectors = torch.linalg.eigh((flat @ flat.conj().T).cpu())  # MPS has none for complex matrices
    modes: Tensor = (vectors.to(flat.device).conj().T @ flat).flip(0)
    return modes.view_as(probe)
