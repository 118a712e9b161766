"""Jobs that follow a beam along the axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.events import StopToken
from ptycho_core.inspection.beam import Caustic, Units, caustic_of, propagated
from ptycho_gui.kit.threads.worker import Job


@dataclass(frozen=True, eq=False)
class Plane:
    """A beam in a plane.

    Parameters
    ----------
    caustic
        Of the beam.
    probe
        (M, N, N) in the plane.
    """

    caustic: Caustic
    probe: NDArray[np.complex64]


def caustic_job(probe: NDArray[np.complex64], units: Units) -> Job:
    """Follow a probe through its foci. Result: `Caustic`, or None where it is no beam."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Caustic | None:
        return caustic_of(probe, units)

    return job


def plane_job(probe: NDArray[np.complex64], caustic: Caustic, z: float) -> Job:
    """Propagate a probe, whose caustic is known, from the sample to a plane. Result: `Plane`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Plane:
        return Plane(caustic, propagated(probe, z, caustic.beam.units))

    return job
