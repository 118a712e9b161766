"""How well neighbouring patterns of a scan predict one another under a beam, by back-projections alone. No torch here.

The half deviance of the one half, predicted from the other, is least with the right defocus: hundredths of a second
tell whether a beam is the one of a scan, for beams that are wide enough to overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats.conversions import FitTo
from ptycho_core.quality.deviance import half_deviance
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation.forward import fourier, inverse_fourier

_N_PATTERNS = 64
_LARGEST_TRIAL = 128
"""Pixels: the trial works on the centre of larger patterns, where the probe's far field is."""
_BLURS = np.concatenate([[0.0], np.outer(np.arange(1, 11) * 0.04, [1, -1]).ravel()])
"""Radii that a defocus spreads the probe over, in parts of the window; the sign is that of the defocus."""
_FINE_STEP = 0.02
_EPSILON = 0.02


@dataclass(frozen=True, eq=False)
class BeamTrial:
    """Neighbouring patterns: moduli and good pixels (b, n, n), and whole positions (b, 2) of their windows' corners."""

    moduli: NDArray[np.float32]
    corners: NDArray[np.int64]
    good: NDArray[np.bool_]

    @classmethod
    def of(cls, scan: Scan, modulus: NDArray[np.float64]) -> BeamTrial | None:
        """Return the patterns around the middle of a scan in random order, or None where too few are near enough.

        What is bad in one of them has the modulus (N, N) of the mean there.
        """
        middle = np.linalg.norm(scan.positions - np.median(scan.positions, axis=0), axis=1).argmin()
        away = np.linalg.norm(scan.positions - scan.positions[middle], axis=1)
        near = np.argsort(away, kind="stable")[:_N_PATTERNS]
        near = near[away[near] < scan.size]
        if len(near) < 4:
            return None
        near = np.random.default_rng(0).permutation(near)
        n = min(scan.size, _LARGEST_TRIAL)
        fit = FitTo(n)
        patterns, mask = fit(scan.patterns[near]), scan.good_pixels(near)
        good = np.broadcast_to(True if mask is None else fit(mask), patterns.shape)
        moduli = np.where(good, np.sqrt(patterns), fit(modulus))
        if not moduli[::2].any() or not moduli[1::2].any():
            return None
        positions = np.round(scan.positions[near] * (n / scan.size)).astype(np.int64)
        return BeamTrial(moduli.astype(np.float32), positions - positions.min(axis=0), good)

    def error(self, spectrum: NDArray[np.complex128]) -> float:
        """Predict every second pattern from the others with a probe of this far field (N, N); return the deviance."""
        spectrum = self._seen(spectrum)
        n = spectrum.shape[-1]
        brightest = np.square(self.moduli).sum(axis=(1, 2)).max()
        spectrum = spectrum * np.sqrt(brightest / (abs(spectrum) ** 2).sum())
        probe = inverse_fourier(spectrum).astype(np.complex64)
        light = abs(probe) ** 2
        waves = inverse_fourier((self.moduli[::2] * np.exp(1j * np.angle(spectrum))).astype(np.complex64))
        shape = tuple(self.corners.max(axis=0) + n)
        numerator, coverage = np.zeros(shape, np.complex64), np.zeros(shape, np.float32)
        for (y, x), wave in zip(self.corners[::2], waves, strict=True):
            numerator[y : y + n, x : x + n] += probe.conj() * wave
            coverage[y : y + n, x : x + n] += light
        estimate = 1 + (numerator - coverage) / (coverage + _EPSILON * light.max())
        exits = np.stack([probe * estimate[y : y + n, x : x + n] for y, x in self.corners[1::2]])
        good = self.good[1::2]
        predicted, measured = abs(fourier(exits))[good], self.moduli[1::2][good]
        expected, counts = predicted**2, measured**2
        return float(half_deviance(counts, expected * (counts.sum() / expected.sum())).mean())

    def best_blur(self, spectrum: NDArray[Any]) -> float:
        """Return the defocus, to be added to a far field (N, N) by `lens`, with which its error is least."""
        seen = self._seen(spectrum)

        def error(blur: float) -> float:
            return self.error(seen * lens(seen, blur))

        best = float(min(_BLURS, key=error))
        return min((best, best - _FINE_STEP, best + _FINE_STEP), key=error)

    def _seen(self, spectrum: NDArray[Any]) -> NDArray[Any]:
        """Return the part (n, n) of a far field that the trial looks at."""
        return FitTo(self.moduli.shape[-1])(spectrum)


def lens(spectrum: NDArray[Any], blur: float) -> NDArray[np.complex128]:
    """Return a quadratic phase that moves rays at a far field's rms radius by ``blur`` parts of the window."""
    n = spectrum.shape[0]
    k = np.arange(n) - n // 2
    k2 = (k[:, None] ** 2 + k**2).astype(np.float64)
    power = abs(spectrum) ** 2
    radius = np.sqrt((power * k2).sum() / (power.sum() or 1.0)) or 1.0
    phase: NDArray[np.complex128] = np.exp(1j * np.pi * blur / radius * k2)
    return phase
