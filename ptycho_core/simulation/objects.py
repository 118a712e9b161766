"""Objects to scan: two maps in [0, 1], of the transmission and of the phase, scaled to the ranges asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import color, data, transform

from ptycho_core.simulation.spec import SimulationSpec

Map = NDArray[np.float32]
SPOKES = 24
LINES = 60


def make_object(spec: SimulationSpec, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Return the object of a spec.

    Parameters
    ----------
    spec
        Its fields under "Object" and ``seed`` are used.
    shape
        (H, W) of the canvas in pixels.

    Returns
    -------
    (H, W) complex64. Where a material is thickest, the modulus is least and the phase greatest; photographs
    are two unrelated pictures.
    """
    if spec.object == "photographs":
        transmission = photograph(data.camera(), shape)  # type: ignore[no-untyped-call]
        phase = photograph(data.astronaut(), shape)  # type: ignore[no-untyped-call]
    else:
        if spec.object == "siemens_star":
            phase = _siemens_star(shape)
        elif spec.object == "lines":
            phase = lines(shape, np.random.default_rng([spec.seed, 0]))
        else:
            phase = np.zeros(shape, np.float32)
        transmission = 1 - phase
    modulus = spec.modulus_min + (spec.modulus_max - spec.modulus_min) * transmission
    angle = spec.phase_min + (spec.phase_max - spec.phase_min) * phase
    return np.asarray(modulus * np.exp(1j * angle), np.complex64)


def _siemens_star(shape: tuple[int, int]) -> Map:
    """Thickness (H, W) of a star of tapering spokes, cut by three rings, with edges one pixel soft."""
    y, x = _centred_axes(shape)
    r, outer = np.hypot(y, x), 0.45 * min(shape)
    in_ring = [np.clip(0.04 * outer / 2 - abs(r - f * outer) + 0.5, 0, 1) for f in (0.25, 0.5, 0.75)]
    return np.asarray(spokes(y, x, SPOKES, outer) * (1 - np.sum(in_ring, axis=0)), np.float32)


def spokes(y: NDArray[Any], x: NDArray[Any], count: int, outer: float, turn: float = 0.0) -> Map:
    """Return a thickness (H, W): tapering spokes up to a radius, turned by an angle, with edges one pixel soft.

    ``y`` (H, 1) and ``x`` (1, W) are pixels from the centre.
    """
    r, angle = np.hypot(y, x), np.arctan2(y, x) + turn
    from_spoke_edge = r * np.arcsin(np.sin(count * angle)) / count
    return np.asarray(np.clip(from_spoke_edge + 0.5, 0, 1) * np.clip(outer - r + 0.5, 0, 1), np.float32)


def _centred_axes(shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.arange(shape[0])[:, None] - (shape[0] - 1) / 2, np.arange(shape[1])[None, :] - (shape[1] - 1) / 2


def lines(shape: tuple[int, int], rng: np.random.Generator) -> Map:
    """Return a thickness (H, W): bars of random width and direction, one on another."""
    y, x = _centred_axes(shape)
    reach = math.hypot(*shape) / 2
    thickness = np.zeros(shape)
    for angle, offset, width in zip(
        rng.uniform(0, np.pi, LINES), rng.uniform(-reach, reach, LINES), rng.uniform(2, 8, LINES), strict=True
    ):
        distance = abs(y * math.sin(angle) + x * math.cos(angle) - offset)
        thickness += np.clip(width / 2 - distance + 0.5, 0, 1)
    return np.asarray(thickness / max(float(thickness.max()), 1.0), np.float32)


def photograph(picture: NDArray[np.uint8], shape: tuple[int, int]) -> Map:
    """Return a picture (y, x) or (y, x, 3) in grey, its middle cut and brought to a shape (H, W)."""
    grey = color.rgb2gray(picture) if picture.ndim == 3 else picture / 255.0
    # Cut to the canvas's proportions first: a stretched face is hard to judge by eye.
    scale = min(grey.shape[0] / shape[0], grey.shape[1] / shape[1])
    height, width = (max(1, round(scale * s)) for s in shape)
    top, left = (grey.shape[0] - height) // 2, (grey.shape[1] - width) // 2
    cut = grey[top : top + height, left : left + width]
    resized = transform.resize(cut, shape, anti_aliasing=scale > 1)  # type: ignore[no-untyped-call]
    return stretched(resized)


def stretched(values: NDArray[Any]) -> Map:
    """Return values brought to the range from 0 to 1."""
    low, high = values.min(), values.max()
    return np.asarray((values - low) / max(high - low, 1e-12), np.float32)
