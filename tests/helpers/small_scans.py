"""Scans of a dozen random patterns, for what steps do to them in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Geometry, Patterns, Scan
from ptycho_core.simulation.forward import fourier

GEOMETRY = Geometry(energy_ev=8000, distance_m=2, detector_pixel_m=(75e-6, 150e-6))
_RNG = np.random.default_rng(0)
COUNTS = _RNG.poisson(20, (12, 16, 16)).astype(np.uint16)
POSITIONS = _RNG.uniform(-30, 30, (12, 2))


def scan(counts: Any = COUNTS, **fields: Any) -> Scan:
    fields = {"positions": POSITIONS[: counts.shape[0]], "geometry": GEOMETRY, **fields}
    return Scan(Patterns(counts), **fields)


def probe(size: int = 16, seed: int = 1) -> NDArray[np.complex64]:
    """Two random modes."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(2, size, size)) + 1j * rng.normal(size=(2, size, size))).astype(np.complex64)


def far_field(modes: NDArray[np.complex64]) -> NDArray[np.float64]:
    """What a detector sees of these modes together, with nothing in the beam."""
    return np.asarray((abs(fourier(modes)) ** 2).sum(axis=0))


def save(folder: Path, array: NDArray[Any], name: str = "array.npy") -> str:
    np.save(folder / name, array)
    return str(folder / name)
