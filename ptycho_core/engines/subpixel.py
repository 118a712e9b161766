"""A probe moved by a fraction of a pixel: exactly, as far as it is band-limited, for a small matrix product.

The object is read at whole pixels, and the probe takes the rest of a position: ``psi(r) = P(r - f) O(r + q)`` at the
position q + f. Interpolating the object instead, between its pixels, would smooth it. A Fourier shift of the probe for
each pattern would take two transforms each; here 4 x 4 copies of it are shifted to Chebyshev knots once a batch, and
``P(r - f)`` is their Lagrange interpolation, at the beam's bandwidth good to about a thousandth.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

KNOTS_PER_AXIS = 4
_PER_AXIS = torch.arange(KNOTS_PER_AXIS, dtype=torch.float64)
KNOTS = 0.5 + 0.5 * torch.cos(math.pi * (2 * _PER_AXIS + 1) / (2 * KNOTS_PER_AXIS))
"""Fractions of a pixel in [0, 1] between which a probe is interpolated: those of least error (Chebyshev)."""
_POLYNOMIALS = torch.linalg.inv(torch.linalg.vander(KNOTS))
"""(K powers, K knots): coefficients of Lagrange's polynomials."""


def to_knots(probe: Tensor) -> Tensor:
    """Return a probe (M, N, N) moved to all knots: (K K, M, N, N)."""
    moved: Tensor = torch.fft.ifft2(torch.fft.fft2(probe) * _ramps(probe.shape[-1], probe.device))
    return moved


def from_knots(copies: Tensor) -> Tensor:
    """Return the adjoint of `to_knots`: (M, N, N)."""
    ramps = _ramps(copies.shape[-1], copies.device)
    probe: Tensor = torch.fft.ifft2((torch.fft.fft2(copies) * ramps.conj()).sum(dim=0))
    return probe


def weights(fraction: Tensor) -> Tensor:
    """Return the weights (b, K K) of the knots for fractions (b, 2) of a pixel, y and x."""
    return _outer(_lagrange(fraction[:, 0]), _lagrange(fraction[:, 1]))


def slopes(fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of `weights` by the fractions along y and along x."""
    y, x = fraction[:, 0], fraction[:, 1]
    return _outer(_lagrange(y, derivative=True), _lagrange(x)), _outer(_lagrange(y), _lagrange(x, derivative=True))


def mix(weights: Tensor, copies: Tensor) -> Tensor:
    """Return copies (K K, M, N, N) mixed by weights (b, K K): (b, M, N, N), a probe for each pattern."""
    real = torch.view_as_real(copies).reshape(len(copies), -1)
    return torch.view_as_complex((weights @ real).view(len(weights), *copies.shape[1:], 2))


def unmix(weights: Tensor, probes: Tensor) -> Tensor:
    """Return the adjoint of `mix` in the copies: (K K, M, N, N) of probes (b, M, N, N)."""
    real = torch.view_as_real(probes).reshape(len(probes), -1)
    return torch.view_as_complex((weights.T @ real).view(weights.shape[1], *probes.shape[1:], 2))


@functools.lru_cache(maxsize=8)
@torch.inference_mode(mode=False)  # they are kept, and used where gradients are asked for as well
def _ramps(size: int, device: torch.device) -> Tensor:
    """(K K, 1, N, N): transforms of the shifts to the knots."""
    one = torch.exp(-2j * math.pi * KNOTS[:, None] * torch.fft.fftfreq(size, dtype=torch.float64))
    both = one[:, None, :, None] * one[None, :, None, :]
    return both.reshape(-1, 1, size, size).to(torch.complex64).to(device)


@functools.lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _polynomials(device: torch.device) -> Tensor:
    exact: Tensor = _POLYNOMIALS
    return exact.to(device) if device.type != "mps" else exact.float().to(device)


def _lagrange(fraction: Tensor, derivative: bool = False) -> Tensor:
    """Weights (b, K) of the knots for fractions (b,), or their derivatives; in float64 until the end."""
    polynomials = _polynomials(fraction.device)
    at = fraction.to(polynomials.dtype)[:, None]
    degrees = torch.arange(KNOTS_PER_AXIS, device=at.device)
    powers = degrees * at ** (degrees - 1).clamp_min(0) if derivative else at**degrees
    found: Tensor = powers @ polynomials
    return found.float()


def _outer(y: Tensor, x: Tensor) -> Tensor:
    return (y[:, :, None] * x[:, None, :]).reshape(len(y), -1)
