"""A probe to start from, for scans that come without one: the mean pattern's modulus, focused by the data themselves.

In the near field the mean pattern is the beam's shadow: its modulus propagated back is the probe.

The mean pattern is close to the probe's own far field, whose phase is unknown. Its largest part is the defocus: of
a range of quadratic phases, the one is taken with which some patterns best predict others. No torch here.

It is a quick guess, by back-projections alone, for what wants a probe at once: a scan is shown and its overlap judged
when it is opened. Training searches in earnest (`engines.probe_search`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.inspection.beam_trial import BeamTrial, lens
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, survey_of
from ptycho_core.simulation.forward import fresnel, inverse_fourier


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
        trial = BeamTrial.of(scan, modulus) if modulus.any() else None
        blur = 0.0 if trial is None else trial.best_blur(modulus)
        probe = inverse_fourier(modulus * lens(modulus, blur))
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
