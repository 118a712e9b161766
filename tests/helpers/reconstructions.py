"""Reconstructions with a known object, for tests of what shows them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ptycho_core.base.events import PreviewReady
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry
from ptycho_core.simulation import SimulationSpec, simulate

GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(55e-6, 55e-6))
_TRUTH = simulate(SimulationSpec(size=32, n_patterns=225, step_px=4.0, jitter_px=1.0, defocus_m=2.5e-3)).truth


def reconstruction(**changes: Any) -> Reconstruction:
    """A Siemens star that 225 patterns of 32 x 32 have covered, apart from a margin of 8 pixels."""
    coverage = np.zeros(_TRUTH.object.shape, np.float32)
    coverage[8:-8, 8:-8] = 1
    known = Reconstruction(
        object=_TRUTH.object.astype(np.complex64),
        probe=_TRUTH.probe,
        coverage=coverage,
        positions_px=_TRUTH.positions_px,
        pattern_index=np.arange(len(_TRUTH.positions_px)),
        geometry=GEOMETRY,
        metrics={"free_deviance": 0.4842, "free_misfit": 1.0913, "misfit": 1.0842, "r_free": 0.5913},
    )
    return dataclasses.replace(known, **changes)


def tilted(recon: Reconstruction, y: float = 0.03, x: float = -0.02) -> Reconstruction:
    """The same with a phase ramp, in radians per pixel."""
    rows, columns = np.indices(recon.object.shape)
    ramp = np.exp(1j * (y * rows + x * columns)).astype(np.complex64)
    return dataclasses.replace(recon, object=recon.object * ramp)


def preview(epoch: int = 1, step: int = 0, factor: complex = 1) -> PreviewReady:
    """A preview of `reconstruction`, not binned."""
    recon = reconstruction()
    object = (recon.object * factor).astype(np.complex64)
    return PreviewReady(epoch, step, object, recon.probe[0], pixel_size_m=recon.pixel_size_m)
