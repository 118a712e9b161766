"""Half Poisson deviance, the score that the truth minimises, and what photon noise alone leaves of it. No torch here.

For a pixel with k counts where lambda are expected: ``d = lambda - k + k log(k / lambda)``, with 0 log 0 = 0
(McCullagh and Nelder, Generalized Linear Models, section 2.3). It is a proper score: in expectation no other lambda
than the true one has a lower one, at any dose. Absolute differences of amplitudes have not that property: where most
pixels hold no photon, they favour an empty picture.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST_COUNTS = 0.05
"""Expected counts are clamped here in scores: a photon where none was expected costs much, but not everything."""
TABLE_RANGE = (LOWEST_COUNTS, 60.0)
"""Counts between which the expectation comes from a table; below and above from series."""
LN2, LN3 = math.log(2), math.log(3)

_NODES = 1024


@dataclass(frozen=True)
class Misfit:
    """How well a model explains patterns.

    Parameters
    ----------
    deviance
        Mean half deviance per good pixel.
    noise
        What photon noise alone would leave of it: its mean expectation at the fitted counts.
    r
        Root mean square of amplitudes, ``sqrt(sum (c sqrt(lambda) - A)^2 / sum A^2)`` at the best c.
    """

    deviance: float
    noise: float
    r: float

    @property
    def misfit(self) -> float:
        """Deviance over what photon noise alone leaves: 1.00 where nothing but noise is left; NaN without patterns."""
        return self.deviance / self.noise if self.noise > 0 else math.nan


def half_deviance(counts: NDArray[np.floating], expected: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the half deviance of each pixel; the expected counts are clamped at `LOWEST_COUNTS`."""
    from scipy.special import xlogy  # as in grouping

    expected = np.maximum(np.asarray(expected, np.float64), LOWEST_COUNTS)
    return np.asarray(expected - counts + xlogy(counts, counts) - counts * np.log(expected))


def expected_half_deviance(expected: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the expectation of `half_deviance` where the counts are Poisson distributed, to 1e-5 of its value.

    ``E[k log k] - lambda log lambda``: about 1/2 where counts are many. Below c = `LOWEST_COUNTS` the clamp changes it
    to ``c - lambda + E[k log k] - lambda log c``, so that the truth scores what is expected of it in the dark too.

    Parameters
    ----------
    expected
        lambda, 0 or more, of any shape.
    """
    lam = np.asarray(expected, np.float64)
    low, high = TABLE_RANGE
    at = np.log(np.clip(lam, low, high) / low) * nodes_per_log()
    cell = np.minimum(at.astype(np.int64), _NODES - 2)
    part = at - cell
    c = spline()[:, cell]
    middle = ((c[0] * part + c[1]) * part + c[2]) * part + c[3]
    few, many = np.minimum(lam, low), np.maximum(lam, high)
    # E[k log k] = lambda E[log(k + 1)] in the dark, and the central moments of the distribution where counts are many.
    dark = low - few * (1 + math.log(low)) + few**2 * np.exp(-few) * (LN2 + few * (LN3 / 2 + few * LN2 / 3))
    bright = 1 / 2 + (1 / 12 + (1 / 12 + (19 / 120 + 9 / 20 / many) / many) / many) / many
    return np.asarray(np.where(lam < low, dark, np.where(lam > high, bright, middle)))


def nodes_per_log() -> float:
    """Return how many nodes of the table an e-fold of the counts takes."""
    low, high = TABLE_RANGE
    return (_NODES - 1) / math.log(high / low)


@functools.cache
def spline() -> NDArray[np.float64]:
    """Return the table: (4, nodes - 1), the cubic between each two nodes, highest power first."""
    from scipy.interpolate import CubicSpline  # as in grouping

    low, high = TABLE_RANGE
    return np.asarray(CubicSpline(np.arange(_NODES), [_summed(x) for x in np.geomspace(low, high, _NODES)]).c)


def _summed(expected: float) -> float:
    """Return the expectation by summation over all counts that occur."""
    from scipy.special import gammaln, xlogy  # as in grouping

    reach = 12 * math.sqrt(expected) + 40
    k = np.arange(max(0, int(expected - reach)), int(expected + reach) + 1, dtype=np.float64)
    probability = np.exp(k * math.log(expected) - expected - gammaln(k + 1))
    return float((probability * (expected - k + xlogy(k, k / expected))).sum())


def standard_errors(differences: NDArray[np.float64]) -> float:
    """Return the mean of differences (n,) over its own standard error: how clearly it differs from 0."""
    spread = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean() / max(spread, 1e-12))
