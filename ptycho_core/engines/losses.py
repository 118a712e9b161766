"""Losses per good pixel between expected and measured counts. DC may lie anywhere, alike in all arguments."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_COUNT = 1e-8
"""Expected counts are clamped here, so that the logarithm exists where there is no background."""


def pixel_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of (..., N, N) over all patterns and the pixels of weight 1 in (N, N)."""
    if weight is None:
        return values.mean()
    return (values * weight).sum() / (weight.sum() * (values.numel() // weight.numel())).clamp_min(1)


def poisson_deviance(expected: Tensor, counts: Tensor, weight: Tensor | None = None) -> Tensor:
    """Half Poisson deviance per good pixel: mean of ``lambda - k + k log(k / lambda)``, with 0 log 0 = 0.

    0 is a perfect fit; about 0.5 is the limit set by photon noise where counts are a few or more
    (McCullagh and Nelder, Generalized Linear Models, section 2.3).

    Parameters
    ----------
    expected, counts
        (b, N, N): lambda and k.
    weight
        (N, N) 1 for good and 0 for bad pixels, or None.
    """
    expected = expected.clamp_min(SMALLEST_COUNT)
    return pixel_mean(expected - counts + torch.xlogy(counts, counts) - counts * expected.log(), weight)


def amplitude_modulus(expected: Tensor) -> Tensor:
    """Square root of expected counts, with a gradient that stays finite in the dark."""
    return expected.clamp_min(SMALLEST_COUNT).sqrt()


def mean_absolute_error(expected: Tensor, amplitude: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of ``|sqrt(lambda) - A|`` per good pixel."""
    return pixel_mean((amplitude_modulus(expected) - amplitude).abs(), weight)


def amplitude_error(expected: Tensor, amplitude: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of ``2 (sqrt(lambda) - A)^2`` per good pixel.

    The factor makes it agree with `poisson_deviance` to second order, as the square root stabilises the variance
    of counts (Anscombe 1948), so that the two can be mixed.
    """
    return 2 * pixel_mean((amplitude_modulus(expected) - amplitude).square(), weight)
