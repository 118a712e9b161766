"""How far a picture is from the truth, and how unlikely it makes patterns that were not fitted, by any program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from exact_scans import far_field
from numpy.typing import NDArray

from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.quality.metrics import frc
from ptycho_core.quality.registration import register, undo

MARGIN = 0.15
"""Share of the scan that is left out at each edge, where few patterns see the object."""


@dataclass(frozen=True)
class Score:
    """Against the truth, once shift, phase ramp, phase and scale are undone.

    Parameters
    ----------
    nrmse
        Root mean square of the complex difference, over that of the truth.
    phase_rms
        Root mean square of the phase difference, in radians.
    frc_mean
        Mean of the Fourier ring correlation up to 0.5 cycles per pixel.
    resolution_px
        Half a period in pixels where the correlation first falls below 1/2; 1 where it never does.
    """

    nrmse: float
    phase_rms: float
    frc_mean: float
    resolution_px: float


def middle(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners (y, x) of the scan's middle, which alone is judged."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    return low + MARGIN * (high - low), high - MARGIN * (high - low)


def score(
    object: NDArray[Any], positions: NDArray[np.float64], truth: NDArray[Any], true_positions: NDArray[np.float64]
) -> Score:
    """Hold a picture (H, W) against the true one (H', W'), by where the same patterns (n, 2) lie on each."""
    low, high = middle(true_positions)
    low, high = np.ceil(low).astype(int), np.ceil(high).astype(int)
    part = truth[low[0] : high[0], low[1] : high[1]].astype(np.complex128)
    top, left = low + np.rint(np.median(positions - true_positions, axis=0)).astype(int)
    height, width = part.shape
    box = slice(top, top + height), slice(left, left + width)
    found = register(object[box], part)
    aligned = undo(object, found, (top + height // 2, left + width // 2))[box].astype(np.complex128)
    aligned *= np.vdot(aligned, part) / np.vdot(aligned, aligned)
    phase = np.angle(aligned * part.conj())
    side = min(height, width) // 2 * 2
    window = np.outer(*2 * [np.hanning(side)])
    rings = frc(aligned[:side, :side], part[:side, :side], window=window)
    correlation = rings.correlation[:-1]  # half of the last ring lies beyond the spectrum
    lost = np.flatnonzero(correlation < 0.5)
    return Score(
        nrmse=float(np.linalg.norm(aligned - part) / np.linalg.norm(part)),
        phase_rms=float(np.sqrt(((phase - np.median(phase)) ** 2).mean())),
        frc_mean=float(correlation.mean()),
        resolution_px=float(0.5 / rings.frequency[lost[0]]) if len(lost) else 1.0,
    )


def free_deviance(
    object: NDArray[Any],
    probe: NDArray[Any],
    positions: NDArray[np.float64],
    counts: NDArray[Any],
    *,
    any_brightness: bool = False,
) -> tuple[float, float]:
    """Return the mean half deviance of patterns (n, N, N) under a picture, and what photon noise alone would leave.

    The probe is moved by fractions of a pixel in Fourier space, as no program here does: that favours none.

    Parameters
    ----------
    object, probe
        (H, W) and (M, N, N), in sqrt(counts).
    positions
        (n, 2): (y, x) on the object, under the probe's pixel N//2.
    counts
        (n, N, N).
    any_brightness
        Each pattern's expected counts are first scaled to its own: for a beam that flickers.
    """
    size = probe.shape[-1]
    frequency = np.fft.fftfreq(size)
    spectrum = np.fft.fft2(probe)
    deviance = noise = 0.0
    for pattern, position in zip(counts, positions, strict=True):
        whole = np.rint(position).astype(int)
        turn = np.exp(-2j * np.pi * (position - whole)[:, None] * frequency)
        moved = np.fft.ifft2(spectrum * turn[0][:, None] * turn[1])
        top, left = whole - size // 2
        expected = far_field(object[top : top + size, left : left + size], moved)
        if any_brightness:
            expected *= pattern.sum() / expected.sum()
        deviance += half_deviance(pattern, expected).mean()
        noise += expected_half_deviance(expected).mean()
    return deviance / len(counts), noise / len(counts)


def placed(
    known: NDArray[np.float64], fitted: NDArray[np.intp], positions: NDArray[np.float64], free: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return where free patterns lie on a picture, by the affine map from where fitted ones are known to be.

    Refinement may shift, stretch and turn all positions with the picture; that is nobody's error.
    """
    terms = np.column_stack([known, np.ones(len(known))])
    answer = np.linalg.lstsq(terms[fitted], positions, rcond=None)[0]
    return np.asarray(terms[free] @ answer)
