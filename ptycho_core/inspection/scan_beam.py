"""The beam of a scan, as far as file and patterns tell without a fit, and whether another beam may be the same."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.inspection.beam_trial import BeamTrial, lens
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.scan.grouping import probe_diameter
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import survey_of
from ptycho_core.simulation.forward import fourier, inverse_fourier

Probe = NDArray[np.complexfloating[Any, Any]]

ALIKE = 1.5
"""Times that a beam may be wider or narrower."""


class ScanBeam:
    """The probe of a scan's file, else the guess from its patterns, and what neighbouring patterns say of others.

    The file's probe is a guess itself: often with another defocus than the beam that a training found. So a beam of
    another width is not another beam where it is as wide as that probe at the defocus that the patterns ask for, or
    explains them better than it does there.

    Parameters
    ----------
    scan
        Whose beam.
    """

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        stored = scan.probe if scan.probe is not None and scan.probe.any() else None
        self.guessed = stored is None
        """Whether the file has none."""
        self.probe: Probe = initial_probe(scan) if stored is None else stored
        """(M, N, N)."""
        self.width_px = probe_diameter(self.probe)

    def misfit(self, probe: Probe) -> float | None:
        """Return the half deviance that a beam (M, N, N) leaves; None where the patterns cannot tell."""
        known = self._trial is not None and probe.shape[-1] == self.scan.size and bool(probe.any())
        return self._trial.error(_far_field(probe)) if self._trial is not None and known else None

    def may_be(self, probe: Probe) -> bool:
        """Say whether the scan may have been measured with a beam (M, N, N)."""
        if _widths_apart(self.probe, probe) <= math.log(ALIKE):
            return True
        misfit = self.misfit(probe)
        if misfit is None:
            return False
        focused, least = self._focused
        return misfit < least or _widths_apart(focused, probe) <= math.log(ALIKE)

    def apart(self, probe: Probe) -> float:
        """Return a figure that is the lower the better a beam (M, N, N) suits the scan."""
        if self._trial is None:
            return _widths_apart(self.probe, probe)
        misfit = self.misfit(probe)
        return math.inf if misfit is None else misfit

    @cached_property
    def _trial(self) -> BeamTrial | None:
        mean = survey_of(self.scan).mean
        far = self.scan.geometry.propagator != "near" and bool(mean.any())
        return BeamTrial.of(self.scan, np.sqrt(mean)) if far else None

    @cached_property
    def _focused(self) -> tuple[Probe, float]:
        """The scan's own probe (1, N, N) at the defocus that the patterns ask for, and its misfit."""
        assert self._trial is not None
        far_field = _far_field(self.probe)
        far_field = far_field * lens(far_field, self._trial.best_blur(far_field))
        return inverse_fourier(far_field)[None], self._trial.error(far_field)


def _widths_apart(one: Probe, other: Probe) -> float:
    """Return the logarithm of how many times wider one of two beams is."""
    widths = probe_diameter(one), probe_diameter(other)
    return abs(math.log(widths[0] / widths[1])) if all(widths) else math.inf


def _far_field(probe: Probe) -> NDArray[np.complex128]:
    """Return that (N, N) of the strongest mode."""
    strongest = (abs(probe) ** 2).sum(axis=(1, 2)).argmax()
    return fourier(probe[strongest].astype(np.complex128))
