"""Where the centre of a diffraction pattern is, and which of several probes fits it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import fft
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import survey
from ptycho_core.simulation.forward import fourier

_MOST_PATTERNS = 256
_LEAST_LIGHT = 0.5
"""Part of the light that has to have a partner, for a centre of symmetry to be judged."""
_CLEARLY_BETTER = 0.01


def mean_pattern(scan: Scan) -> NDArray[np.float64]:
    """Return the mean (N, N) of at most 256 patterns that are spread over the scan, bad pixels 0."""
    rows = np.unique(np.linspace(0, len(scan) - 1, min(len(scan), _MOST_PATTERNS)).astype(np.int64))
    some = scan.take(rows)
    mean = survey(some.patterns, some.mask).mean
    if not mean.any():
        raise InputError("the patterns hold nothing but zeros, so they have no centre and fit no probe")
    return mean


def centre_of_mass(mean: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Return (y, x) of the centre of mass of what lies above the median of the good pixels.

    A background that is the same everywhere, whose own centre is the middle of the detector, drops out with it.
    """
    good = np.ones(mean.shape, bool) if mask is None else mask
    light = np.maximum(mean - np.median(mean[good]), 0) * good
    light = light if light.any() else mean * good
    rows, columns = np.indices(mean.shape)
    return float((light * rows).sum() / light.sum()), float((light * columns).sum() / light.sum())


def symmetry_centre(mean: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Return the point (y, x), to half a pixel, about which the pattern is most nearly its own half turn.

    The point c that minimises ``sum_u w(c + u) w(c - u) (A(c + u) - A(c - u))^2 / sum_u w(c + u) w(c - u) A(c + u)^2``
    with amplitude A and good pixels w, both sums being convolutions: of all points whose partners hold at least
    half of the light that those of any point do.
    """
    weight = (np.ones(mean.shape, bool) if mask is None else mask).astype(np.float64)
    amplitude = np.sqrt(mean) * weight
    light, alike = _convolve(amplitude**2, weight), _convolve(amplitude, amplitude)
    judged = light > _LEAST_LIGHT * light.max()
    symmetry = np.where(judged, alike / np.where(judged, light, 1), -np.inf)
    y, x = np.unravel_index(int(np.argmax(symmetry)), symmetry.shape)
    return float(y) / 2, float(x) / 2


def _convolve(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    # As scipy.signal's fftconvolve, whose import takes longer than the whole search.
    shape = [m + n - 1 for m, n in zip(a.shape, b.shape, strict=True)]
    convolved: NDArray[np.float64] = fft.irfft2(fft.rfft2(a, shape) * fft.rfft2(b, shape), shape)
    return convolved


def best_probe(mean: NDArray[np.float64], *probes: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the first of these probes, unless another one's far field is clearly more like the mean pattern."""
    amplitude = np.sqrt(mean)

    def likeness(probe: NDArray[np.complex64]) -> float:
        far = np.sqrt((abs(fourier(probe)) ** 2).sum(axis=0))
        return float((far * amplitude).sum() / (np.linalg.norm(far) * np.linalg.norm(amplitude) or 1.0))

    likenesses = [likeness(probe) for probe in probes]
    best = int(np.argmax(likenesses))
    return probes[best if likenesses[best] > likenesses[0] + _CLEARLY_BETTER else 0]
