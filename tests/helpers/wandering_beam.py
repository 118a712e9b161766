"""A scan whose beam changes while it goes on: its direction wanders, so that patterns move on the detector.

At random: a direction that follows the position would be the same as a lens in front of the object.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ptycho_core.scan.scan import Patterns
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.forward import intensities
from tests.helpers.specs import PHOTOGRAPHS

SPEC = dataclasses.replace(PHOTOGRAPHS, guess_defocus_error_m=-0.2e-3)


def wandering(pixels: float, spec: SimulationSpec = SPEC) -> Simulation:
    """Return a simulated scan whose patterns lie so many pixels (rms) off on the detector."""
    sim, size = simulate(spec), spec.size
    random = np.random.default_rng(3)
    wander = random.normal(0, pixels, (spec.n_patterns, 2))
    y, x = np.mgrid[:size, :size] - size // 2
    counts = []
    for (v, u), position in zip(wander, sim.truth.positions_px, strict=True):
        tilt = np.exp(2j * np.pi * (v * y + u * x) / size)
        counts.append(random.poisson(intensities(sim.truth.object, sim.truth.probe * tilt, position[None])[0]))
    return dataclasses.replace(sim, scan=sim.scan.replace(patterns=Patterns(np.array(counts, np.float32))))
