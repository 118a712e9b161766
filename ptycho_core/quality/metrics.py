"""How far two reconstructions agree, by their Fourier ring correlation. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ptycho_core.base.errors import InputError

WELL_COVERED = 0.1
"""A pixel counts as well covered when its weight is at least this share of the median over the scanned box."""
FEWEST_PX = 14
"""Of a region along each axis, below which nothing is compared."""
FEWEST_PIXELS = 20
"""A ring with fewer independent Fourier pixels tells nothing: its half-bit threshold comes close to 1."""
FORGIVEN_RINGS = 2
"""Lowest rings that may lie below the half-bit curve if the next lies above: they hold the least pixels, and what is
left of a phase ramp, which ptychography does not determine."""


@dataclass(frozen=True, eq=False)
class FRC:
    """A Fourier ring correlation.

    Parameters
    ----------
    frequency
        (k,) rings' spatial frequencies in cycles per pixel, above 0 and up to 0.5.
    correlation
        (k,) -1 to 1.
    threshold
        (k,) half-bit curve.
    resolution_px
        Half a period in pixels at the first crossing: ``1 / (2 frequency)``. None when the correlation stays
        above the threshold up to 0.5 cycles per pixel, where half a period is one pixel; that of the first ring when
        it is below from the start, by more than the two lowest rings.
    resolution_m
        The same in metres, None too where the pixel size is not known.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    threshold: NDArray[np.float64]
    resolution_px: float | None
    resolution_m: float | None


def half_bit_threshold(n: NDArray[Any] | float) -> NDArray[np.float64]:
    """Return the half-bit curve for ``n`` independent Fourier pixels per ring.

    van Heel and Schatz, J. Struct. Biol. 151, 250 (2005): half a bit of information per pixel in the mean of
    the two images, so a signal-to-noise ratio of ``(sqrt(2) - 1) / 2`` = 0.2071 in each.
    """
    snr = (np.sqrt(2) - 1) / 2
    root = np.sqrt(np.asarray(n, np.float64))
    return np.asarray((snr + (2 * np.sqrt(snr) + 1) / root) / (snr + 1 + 2 * np.sqrt(snr) / root))


def frc(
    a: NDArray[Any],
    b: NDArray[Any],
    pixel_size_m: float | None = None,
    window: NDArray[Any] | None = None,
    lowest: float = 0.0,
) -> FRC:
    """Return the Fourier ring correlation of two images that are registered to each other.

    ``Re sum(F_a conj(F_b)) / sqrt(sum |F_a|^2 sum |F_b|^2)`` over rings one Fourier pixel of the shorter side wide.
    Saxton and Baumeister, J. Microsc. 127, 127 (1982).

    Parameters
    ----------
    a, b
        (H, W), real or complex. The mean is subtracted. The real part is what noise cannot bias: shift,
        phase ramp and phase must have been removed (`ptycho_core.quality.registration.register`).
    pixel_size_m
        For the resolution in metres.
    window
        (H, W) both images are multiplied with, 1 by default. It lowers the number of independent Fourier
        pixels that the threshold is computed for by ``(sum w^2)^2 / (H W sum w^4)``.
    lowest
        Cycles per pixel from which on rings count for the resolution.
    """
    w = np.ones(a.shape) if window is None else np.asarray(window, np.float64)
    fa, fb = (fft.fft2(w * (image - (w * image).sum() / w.sum())) for image in (a, b))
    side = min(a.shape)
    fy, fx = (fft.fftfreq(n) * side for n in a.shape)
    ring = np.rint(np.hypot(fy[:, None], fx[None, :])).astype(np.int64).ravel()

    def ring_sum(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(ring, values.ravel())[1 : side // 2 + 1]
        return np.asarray(total, np.float64)

    energy = ring_sum(abs(fa) ** 2) * ring_sum(abs(fb) ** 2)
    correlation = ring_sum((fa * fb.conj()).real) / np.sqrt(np.maximum(energy, np.finfo(float).tiny))
    independent = ring_sum(np.ones(a.shape)) * (w**2).sum() ** 2 / (w.size * (w**4).sum())
    if not (np.iscomplexobj(a) or np.iscomplexobj(b)):
        independent /= 2  # the other half of the ring is its conjugate
    frequency = np.arange(1, side // 2 + 1) / side
    threshold = half_bit_threshold(independent)
    telling = int(np.searchsorted(independent, FEWEST_PIXELS))
    first = int(np.searchsorted(frequency, lowest))
    excess = (correlation - threshold)[first:]
    crossing = _first_crossing(frequency[first:], excess, max(telling - first, FORGIVEN_RINGS))
    resolution_px = None if crossing is None else 0.5 / crossing
    resolution_m = None if resolution_px is None or pixel_size_m is None else resolution_px * pixel_size_m
    return FRC(frequency, correlation, threshold, resolution_px, resolution_m)


def _first_crossing(frequency: NDArray[np.float64], excess: NDArray[np.float64], forgiven: int) -> float | None:
    """Frequency at which the excess first falls below 0, linear between rings; None when it never does.

    It may lie below 0 in the lowest ``forgiven`` rings if it lies above in one of the next.
    """
    start = next((i for i, above in enumerate(excess[: forgiven + 1] >= 0) if above), 0)
    below = start + np.flatnonzero(excess[start:] < 0)
    if len(below) == 0:
        return None
    i = int(below[0])
    if i == 0:
        return float(frequency[0])
    part = excess[i - 1] / (excess[i - 1] - excess[i])
    return float(frequency[i - 1] + part * (frequency[i] - frequency[i - 1]))


def scanned_box(shape: tuple[int, ...], positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return True (H, W) within the box that the positions (n, 2) span; raises `InputError` if it is too small."""
    low = np.maximum(np.floor(positions.min(axis=0)), 0).astype(np.int64)
    high = np.minimum(np.ceil(positions.max(axis=0)) + 1, shape).astype(np.int64)
    height, width = np.maximum(high - low, 0)
    if min(height, width) < FEWEST_PX:
        raise InputError(
            f"the scanned region common to both objects is {height} x {width} pixels, a comparison needs at least "
            f"{FEWEST_PX} x {FEWEST_PX}"
        )
    box = np.zeros(shape, np.bool_)
    box[low[0] : high[0], low[1] : high[1]] = True
    return box
