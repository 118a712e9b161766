"""A probe that is moved by a fraction of a pixel is the one that a Fourier shift gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.engines.subpixel import from_knots, mix, slopes, to_knots, unmix, weights


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def band_limited(size: int, part: float) -> torch.Tensor:
    """(1, N, N): nothing beyond a part of the transform's half width."""
    spectrum = noise(1, size, size)
    away = torch.fft.fftfreq(size).abs()
    spectrum[:, torch.maximum(away[:, None], away[None]) > part / 2] = 0
    return torch.fft.ifft2(spectrum)


def shifted(probe: torch.Tensor, by: tuple[float, float]) -> torch.Tensor:
    y, x = (torch.exp(-2j * np.pi * s * torch.fft.fftfreq(probe.shape[-1])) for s in by)
    return torch.fft.ifft2(torch.fft.fft2(probe) * y[:, None] * x)


@pytest.mark.parametrize("by", [(0.0, 0.0), (0.5, 0.25), (1.0, 0.9), (0.13, 0.77)])
def test_between_the_knots_it_is_the_fourier_shift(by):
    probe = band_limited(32, 0.4)
    found = mix(weights(torch.tensor([by])), to_knots(probe))[0]
    assert float((found - shifted(probe, by)).abs().max() / probe.abs().max()) < 4e-3


def test_mixing_and_moving_have_their_adjoints():
    coefficients = weights(torch.rand(5, 2, generator=torch.Generator().manual_seed(1)))
    probe, others = noise(2, 16, 16), noise(5, 2, 16, 16, seed=2)
    there = (mix(coefficients, to_knots(probe)).conj() * others).sum()
    back = (probe.conj() * from_knots(unmix(coefficients, others))).sum()
    torch.testing.assert_close(there, back, rtol=1e-4, atol=1e-3)


def test_slopes_are_the_derivatives_of_the_weights():
    at, step = torch.tensor([[0.3, 0.6]]), 1e-2
    for axis, slope in enumerate(slopes(at)):
        move = torch.zeros(1, 2)
        move[0, axis] = step
        torch.testing.assert_close((weights(at + move) - weights(at - move)) / (2 * step), slope, rtol=1e-2, atol=2e-3)
