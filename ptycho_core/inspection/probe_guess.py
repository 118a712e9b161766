"""A probe to start from, for scans that come without one: the mean pattern's modulus, focused by the data themselves.

In the near field the mean pattern is the beam's shadow: its modulus propagated back is the probe.

The mean pattern is close to the probe's own far field, whose phase is unknown. Its largest part is the defocus: of
a range of quadratic phases, the one is taken with which some patterns best predict others. No torch here.

It is a quick guess, by back-projections alone, for what wants a probe at once: a scan is shown and its overlap judged
when it is opened. Training searches in earnest (`engines.probe_search`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats.conversions import FitTo
from ptycho_core.quality.deviance import half_deviance
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, survey_of
from ptycho_core.simulation.forward import fourier, fresnel, inverse_fourier

_N_PATTERNS = 64
_LARGEST_TRIAL = 128
"""Pixels: the trial works on the centre of larger patterns, where the probe's far field is."""
_BLURS = np.concatenate([[0.0], np.outer(np.arange(1, 11) * 0.04, [1, -1]).ravel()])
"""Radii that a defocus spreads the probe over, in parts of the window; the sign is that of the defocus."""
_FINE_STEP = 0.02
_EPSILON = 0.02


def initial_probe(scan: Scan, seen: Survey | None = None) -> NDArray[np.complex64]:
    """Guess the probe from the patterns and positions.

    ``P = F^-1[sqrt(mean pattern) exp(i pi c k^2 / N)]``, k in pixels from DC, scaled to the brightest pattern:
    ``sum |P|^2 = max_i sum_u k_i(u)``. The curvature c is the one with which one half of about 64 neighbouring
    patterns, back-projected, best predicts the other half. Where the probe is narrower than a step, neighbours tell
    nothing of each other and the guess may be far off.

    Parameters
    ----------
    scan
        Whose probe.
    seen
        Of its patterns, where they were looked at before.

    Returns
    -------
    ndarray
        (1, N, N) complex64 in sqrt(counts).
    """
    made_for = scan.positions, scan.mask, scan.geometry
    known = scan.patterns.guesses
    if not known or any(one is not other for one, other in zip(known[0], made_for, strict=False)):
        known[:] = [(*made_for, _initial_probe(scan, seen or survey_of(scan)))]
    probe: NDArray[np.complex64] = known[0][-1]
    return probe


def _initial_probe(scan: Scan, seen: Survey) -> NDArray[np.complex64]:
    modulus = np.sqrt(seen.mean)
    if scan.geometry.propagator == "near":
        probe = _near_field(scan, modulus, seen.good)
    else:
        probe = inverse_fourier(modulus * _lens(modulus, _best_blur(scan, modulus)))
    power = (abs(probe) ** 2).sum()
    scaled: NDArray[np.complex64] = (probe * np.sqrt(seen.sums.max() / (power or 1.0)))[None].astype(np.complex64)
    return scaled


def _near_field(scan: Scan, modulus: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[Any]:
    """Propagate a modulus (N, N) at the detector back, of flat phase; leave it there until the geometry is known."""
    if not good.all():
        modulus = np.where(good, modulus, np.median(modulus[good]))
    if scan.geometry.missing_for_near_field or scan.fresnel_spread is None:
        return modulus
    y, x = scan.fresnel_spread
    return fresnel(modulus, (-y, -x))


@dataclass(frozen=True, eq=False)
class _Trial:
    """Neighbouring patterns: moduli and good pixels (b, n, n), and whole positions (b, 2) of their windows' corners."""

    moduli: NDArray[np.float32]
    corners: NDArray[np.int64]
    good: NDArray[np.bool_]

    def error(self, spectrum: NDArray[np.complex128]) -> float:
        """Predict every second pattern from the others with a probe of this far field; return the deviance."""
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


def _best_blur(scan: Scan, modulus: NDArray[np.float64]) -> float:
    trial = _trial(scan, modulus)
    if trial is None or not modulus.any():
        return 0.0
    modulus = FitTo(trial.moduli.shape[-1])(modulus)

    def error(blur: float) -> float:
        return trial.error(modulus * _lens(modulus, blur))

    best = float(min(_BLURS, key=error))
    return min((best, best - _FINE_STEP, best + _FINE_STEP), key=error)


def _lens(modulus: NDArray[np.float64], blur: float) -> NDArray[np.complex128]:
    """Return a quadratic phase that moves rays at the far field's rms radius by ``blur`` parts of the window."""
    n = modulus.shape[0]
    k = np.arange(n) - n // 2
    k2 = (k[:, None] ** 2 + k**2).astype(np.float64)
    power = modulus**2
    radius = np.sqrt((power * k2).sum() / (power.sum() or 1.0)) or 1.0
    lens: NDArray[np.complex128] = np.exp(1j * np.pi * blur / radius * k2)
    return lens


def _trial(scan: Scan, modulus: NDArray[np.float64]) -> _Trial | None:
    """Return the patterns around the middle of the scan in random order, or None where too few are near enough.

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
    return _Trial(moduli.astype(np.float32), positions - positions.min(axis=0), good)
