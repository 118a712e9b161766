"""Losses per good pixel between expected and measured counts. DC may lie anywhere, alike in all arguments."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ptycho_core.quality.deviance import LN2, LN3, LOWEST_COUNTS, TABLE_RANGE, Misfit, nodes_per_log, spline

SMALLEST_COUNT = 1e-8
"""Expected counts are clamped here, so that the logarithm exists where there is no background."""


def pixel_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of (b, N, N) over the pixels of weight 1, in (N, N) of all patterns or (b, N, N) of each."""
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
        (N, N) or (b, N, N) 1 for good and 0 for bad pixels, or None.
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


class MisfitSum:
    """Adds up, batch by batch, how well a model explains patterns.

    Parameters
    ----------
    sums
        Of another one that it goes on from: what that had as ``sums``.
    """

    def __init__(self, sums: Mapping[str, Tensor] | None = None) -> None:
        self.sums: dict[str, Tensor] = dict(sums or {})

    def add(self, expected: Tensor, amplitude: Tensor, weight: Tensor | None) -> None:
        """Add patterns: expected counts and measured amplitudes (b, N, N), and the weight of pixels, or None."""
        counts, clamped = amplitude.square(), expected.clamp_min(LOWEST_COUNTS)
        good = torch.ones_like(counts) if weight is None else weight.expand_as(counts)
        for name, values in (
            ("deviance", clamped - counts + torch.xlogy(counts, counts) - counts * clamped.log()),
            ("noise", expected_deviance(expected)),
            ("pixels", torch.ones_like(counts)),
            ("cross", expected.sqrt() * amplitude),
            ("expected", expected),
            ("counts", counts),
        ):
            # Left where they are until the end: to read one is to wait for an accelerator.
            self.sums[name] = self.sums.get(name, 0.0) + (values * good).sum(dtype=torch.float64)

    def result(self) -> Misfit:
        """Return the means; NaN without any pixel, and without any photon where it takes some."""
        if not self.sums:
            return Misfit(math.nan, math.nan, math.nan)
        of = {name: float(total) for name, total in self.sums.items()}
        power = of["expected"] * of["counts"]
        # At the best c, sum (c sqrt(lambda) - A)^2 = sum A^2 - (sum sqrt(lambda) A)^2 / sum lambda.
        r = math.sqrt(max(0.0, 1 - of["cross"] ** 2 / power)) if power > 0 else math.nan
        pixels = of["pixels"] or math.nan
        return Misfit(of["deviance"] / pixels, of["noise"] / pixels, r)


def misfit_of_each(expected: Tensor, amplitude: Tensor, weight: Tensor | None) -> Tensor:
    """Return (b, 3) sums over the pixels of each pattern: half deviance, what noise would leave of it, and counts.

    Parameters are those of `MisfitSum.add`.
    """
    counts, clamped = amplitude.square(), expected.clamp_min(LOWEST_COUNTS)
    deviance = clamped - counts + torch.xlogy(counts, counts) - counts * clamped.log()
    parts = torch.stack([deviance, expected_deviance(expected), counts], dim=1)
    return (parts if weight is None else parts * weight.unsqueeze(-3)).sum(dim=(2, 3), dtype=torch.float64)


def expected_deviance(expected: Tensor) -> Tensor:
    """Return `quality.deviance.expected_half_deviance` of expected counts, to 1e-5 of it."""
    low, high = TABLE_RANGE
    table = _table(expected.dtype, expected.device)
    at = (expected.clamp(low, high) / low).log() * nodes_per_log()
    cell = at.long().clamp(0, table.shape[1] - 1)
    part = at - cell
    c = table[:, cell]
    middle = ((c[0] * part + c[1]) * part + c[2]) * part + c[3]
    few, many = expected.clamp_max(low), expected.clamp_min(high)
    dark = low - few * (1 + math.log(low)) + few.square() * (-few).exp() * (LN2 + few * (LN3 / 2 + few * LN2 / 3))
    bright = 1 / 2 + (1 / 12 + (1 / 12 + (19 / 120 + 9 / 20 / many) / many) / many) / many
    return torch.where(expected < low, dark, torch.where(expected > high, bright, middle))


@functools.lru_cache(maxsize=8)
@torch.inference_mode(mode=False)
def _table(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.as_tensor(spline(), dtype=dtype, device=device)
