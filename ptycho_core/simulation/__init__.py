"""Scans with known truth: objects, probes, positions, noise, and a forward model in NumPy. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation.forward import SimulatedPatterns
from ptycho_core.simulation.objects import make_object
from ptycho_core.simulation.positions import make_positions, record
from ptycho_core.simulation.probes import make_probe, make_probe_guess
from ptycho_core.simulation.spec import SimulationSpec

__all__ = ["Simulation", "SimulationSpec", "Truth", "simulate"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reconstruction should find.

    Parameters
    ----------
    object
        (H, W) complex64 on its canvas.
    probe
        (M, N, N) complex64 in sqrt(counts).
    positions_px
        (n, 2) float64: (y, x) on the canvas of the probe's pixel (N//2, N//2), free of recording errors.
    """

    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    positions_px: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated scan, what it was made of, and what it was asked to be."""

    scan: Scan
    truth: Truth
    spec: SimulationSpec


def simulate(spec: SimulationSpec | None = None, *, in_memory: bool = True) -> Simulation:
    """Simulate a scan.

    Parameters
    ----------
    spec
        What to simulate; by default the demonstration scan.
    in_memory
        False leaves each pattern to be computed whenever it is read, in bounded memory: for scans that are
        larger than that, to be streamed into a file.

    Returns
    -------
    Simulation
        Its scan has a rough guess as its probe, positions around 0, and a mask if there are bad pixels. The
        same spec gives the same scan.
    """
    spec = spec or SimulationSpec()
    n = spec.size
    positions = make_positions(spec)
    # A whole number of pixels between the two frames: sub-pixel parts are the same in both.
    positions_px = positions - np.floor(positions.min(axis=0)) + n // 2
    height, width = (int(v) + n - n // 2 + 1 for v in np.floor(positions_px.max(axis=0)))
    truth = Truth(make_object(spec, (height, width)), make_probe(spec), positions_px)

    bad = np.random.default_rng([spec.seed, 4]).choice(n * n, spec.dead_pixels + spec.hot_pixels, replace=False)
    mask = np.ones(n * n, np.bool_)
    mask[bad] = False
    source = SimulatedPatterns(
        truth.object,
        truth.probe,
        positions_px,
        spec.background,
        dead=bad[: spec.dead_pixels],
        hot=bad[spec.dead_pixels :],
        noise_seed=spec.seed if spec.photon_noise else None,
        spread=spec.geometry.fresnel_spread,
    )
    scan = Scan(
        patterns=Patterns(source[:] if in_memory else source),
        positions=record(spec, positions),
        probe=make_probe_guess(spec),
        mask=mask.reshape(n, n) if len(bad) else None,
        geometry=spec.geometry,
        indexes=np.arange(spec.n_patterns),
        source=ScanSource(format="simulated"),
        history=(f"simulated: {spec}",),
    )
    return Simulation(scan, truth, spec)
