"""A probe that differs from pattern to pattern: orthogonal probe relaxation.

Odstrcil et al., Opt. Express 24, 8360 (2016):

``P_i = P + sum_k c_ik V_k`` for the first mode of the probe, with real coefficients. The variation's modes V travel
behind the modes of the probe, so that both are moved to the patterns' places at once.
"""

from __future__ import annotations

import torch
from torch import Tensor


def vary(probes: Tensor, coefficients: Tensor) -> Tensor:
    """Return the probe of each pattern, (b, M, N, N).

    Parameters
    ----------
    probes
        (b, M + V, N, N): the modes of the probe, then those of its variation.
    coefficients
        (b, V).
    """
    modes, variation = probes.tensor_split([probes.shape[1] - coefficients.shape[1]], dim=1)
    added = (coefficients[:, :, None, None] * variation).sum(dim=1)
    return torch.cat([(modes[:, 0] + added)[:, None], modes[:, 1:]], dim=1)


def unvary(probes: Tensor, coefficients: Tensor) -> Tensor:
    """Return the adjoint of `vary` in the probes: (b, M + V, N, N) of (b, M, N, N)."""
    return torch.cat([probes, coefficients[:, :, None, None] * probes[:, :1]], dim=1)


def canonical(variation: Tensor, coefficients: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same variation with orthogonal modes, the strongest first, and coefficients of mean square 1.

    Parameters
    ----------
    variation
        (V, N, N, 2) real and imaginary parts.
    coefficients
        (n, V).
    rows
        Of the patterns over which the mean is.
    """
    flat = variation.flatten(1)
    orthogonal, mixing = torch.linalg.qr(flat.T)  # flat.T = orthogonal @ mixing
    spread = (len(rows)) ** 0.5
    _, values, turn = torch.linalg.svd(coefficients[rows] @ mixing.T, full_matrices=False)
    scale = (values / spread).clamp_min(1e-12)
    turned = coefficients @ mixing.T @ turn.T / scale
    return ((scale[:, None] * turn) @ orthogonal.T).view_as(variation), turned
