"""The phase of an object as a projection: no ramp, no offset, no jumps, on pixels that are given. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.restoration import unwrap_phase

from ptycho_core.quality.metrics import WELL_COVERED
from ptycho_core.quality.registration import phase_ramp
from ptycho_core.scan.reconstruction import Reconstruction


@dataclass(frozen=True, eq=False)
class Projection:
    """The middle of an object.

    Parameters
    ----------
    phase
        (H, W) float32 radians; 0 where no light fell.
    amplitude
        (H, W) float32; 0 where no light fell.
    covered
        (H, W): enough light fell there.
    """

    phase: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    covered: NDArray[np.bool_]


def scanned_m(recon: Reconstruction) -> tuple[float, float]:
    """Return the height and width of the scanned region in metres, or in pixels where their size is not known."""
    pixel = recon.pixel_size_m or (1.0, 1.0)
    height, width = np.ptp(recon.positions_px, axis=0)
    return float(height * pixel[0]), float(width * pixel[1])


def project(recon: Reconstruction, pixel: float, shape: tuple[int, int]) -> Projection:
    """Return the phase and amplitude of what lies around the middle of the scanned region.

    A phase ramp and an offset mean nothing in an object whose positions and probe are free: the ramp that makes the sum
    of the object over what is well covered largest is taken away, and the phase of that sum, so that the mean phase is
    about 0; where a border of the field is empty, tomography will want that to be 0 instead. Phases beyond half a turn
    are unwrapped by `skimage.restoration.unwrap_phase` (Herraez et al. 2002).

    Parameters
    ----------
    recon
        The object.
    pixel
        Side of the pixels of the projection: in metres, or in the object's own where their size is not known.
    shape
        (H, W) of the projection.
    """
    own = recon.pixel_size_m or (1.0, 1.0)
    middle = (recon.positions_px.min(axis=0) + recon.positions_px.max(axis=0)) / 2
    lines = [(np.arange(n) - (n - 1) / 2) * pixel / side + m for n, side, m in zip(shape, own, middle, strict=True)]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"))
    object = _at(recon.object.real, grid) + 1j * _at(recon.object.imag, grid)
    light = ndimage.map_coordinates(recon.coverage, grid, order=1, mode="constant")
    lit = light[light > 0]
    covered = light >= WELL_COVERED * np.median(lit) if lit.size else np.zeros(shape, np.bool_)
    if not covered.any():
        return Projection(np.zeros(shape, np.float32), np.zeros(shape, np.float32), covered)
    ramp = phase_ramp(object, covered)
    y, x = (np.arange(n) for n in shape)
    level = object * np.exp(-1j * ramp[0] * y)[:, None] * np.exp(-1j * ramp[1] * x)[None]
    level *= np.exp(-1j * np.angle(level[covered].sum()))
    wrapped = np.ma.masked_array(np.angle(level), mask=~covered)
    phase = np.ma.filled(unwrap_phase(wrapped, rng=0), 0.0)  # type: ignore[no-untyped-call]
    phase = phase - 2 * np.pi * np.round(np.median(phase[covered]) / (2 * np.pi))
    return Projection(
        np.where(covered, phase, 0).astype(np.float32), np.where(covered, abs(level), 0).astype(np.float32), covered
    )


def _at(part: NDArray[np.float32], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ndimage.map_coordinates(part.astype(np.float64), grid, order=3, mode="nearest"))
