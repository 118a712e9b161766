"""Beams by few numbers: how strong the far field is, and a phase of a few terms at its edge.

No constants of the optics are needed: the light tells where the far field ends, and terms are radians there. NumPy
alone; far fields are (N, N) with DC at pixel (N//2, N//2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ptycho_core.simulation.forward import fourier

FarField = NDArray[np.complex128]
Terms = tuple[float, ...]

TERMS = ("defocus", "astigmatism along the axes", "astigmatism along the diagonals", "spherical", "coma y", "coma x")
"""What the numbers of `phase` mean, in order."""
_HALF_HEIGHT = 0.404
"""Shift, over its diameter, at which a disc overlaps itself by half."""
_DISCS = (0.85, 1.0, 1.2)
_NARROW, _SOFT_EDGE_PX = 6, 1.0
_SIZES = (32, 40, 48, 64, 72, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024)
_EDGES_IN_CROP, _LIGHT_IN_CROP = 2.6, 0.95


@dataclass(frozen=True, eq=False)
class Family:
    """Beams that differ by the phase of their far field alone.

    Parameters
    ----------
    name
        In words.
    far_field
        (N, N) of the one without a further phase.
    curvature
        Radians of defocus that it has already.
    reach
        Largest defocus that makes sense, over that which fills the window.
    """

    name: str
    far_field: FarField
    curvature: float
    reach: float


def families(probe: NDArray[np.complex64] | None, name: str, mean: NDArray[np.float64], edge: float) -> list[Family]:
    """Return the beams among which to look.

    A given probe's strongest mode, which others have only to beat where it is wrong; that of a lens, whose far field
    is the root of the mean pattern; and discs, as of a pinhole, with the phase of their far field and that modulus.

    Parameters
    ----------
    probe, name
        (M, N, N) or None, and what it is called.
    mean
        (N, N) mean pattern.
    edge
        From `edge_of`.
    """
    found = []
    if probe is not None:
        strongest = probe[(abs(probe) ** 2).sum(axis=(1, 2)).argmax()].astype(np.complex128)
        far_field = fourier(strongest)
        found.append(Family(name, far_field, _curvature(far_field, edge), 1.0))
    modulus = np.sqrt(mean)
    found.append(Family("a lens", modulus.astype(np.complex128), 0.0, 1.0))
    for diameter in _disc_diameters(mean):
        disc = 1 / (1 + np.exp((_radius(mean.shape[0]) - diameter / 2) / _SOFT_EDGE_PX))
        phase = np.exp(1j * np.angle(fourier(disc)))
        found.append(Family(f"a disc of {diameter:.0f} px", modulus * phase, 0.0, 0.15))
    return found


def phase(size: int, edge: float, terms: Terms) -> NDArray[np.float64]:
    """Return radians (size, size) of the first of `TERMS`, each as large as its number at the edge."""
    k = (np.arange(size) - size // 2) / edge
    y, x = np.meshgrid(k, k, indexing="ij")
    r2 = y**2 + x**2
    basis = (r2, x**2 - y**2, 2 * x * y, r2**2 - r2, y * r2 - y, x * r2 - x)
    return sum((term * shape for term, shape in zip(terms, basis, strict=False) if term), np.zeros_like(r2))


def cut(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the middle (..., size, size) of a far field or a pattern."""
    low = image.shape[-1] // 2 - size // 2
    return image[..., low : low + size, low : low + size]


def edge_of(mean: NDArray[np.float64]) -> float:
    """Return the radius in pixels of the filled disc of which half the light falls as near to DC as of this pattern."""
    radius = _radius(mean.shape[0]).ravel()
    order = np.argsort(radius, kind="stable")
    light = np.cumsum(mean.ravel()[order])
    return max(2.0, float(np.sqrt(2) * radius[order][np.searchsorted(light, 0.5 * light[-1])]))


def crop_for(mean: NDArray[np.float64], edge: float) -> int:
    """Return the smallest width in pixels at which nearly all light stays within the pattern."""
    n = len(mean)
    for size in (size for size in _SIZES if size < n):
        if size >= _EDGES_IN_CROP * edge and cut(mean, size).sum() >= _LIGHT_IN_CROP * mean.sum():
            return size
    return n


def filled(mean: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return a pattern whose bad pixels look like those around them."""
    weight = good.astype(np.float64)
    result, known, blur = mean * weight, good.copy(), 1.0
    while not known.all() and blur < mean.shape[0]:
        around = ndimage.gaussian_filter(weight, blur)
        new = ~known & (around > 1e-3)
        result[new] = ndimage.gaussian_filter(mean * weight, blur)[new] / around[new]
        known |= new
        blur *= 2
    return result


def _radius(n: int) -> NDArray[np.float64]:
    k = np.arange(n) - n // 2
    return np.hypot(k[:, None], k[None])


def _curvature(far_field: FarField, edge: float) -> float:
    """Return the radians of defocus at the edge: the regression of the rays' displacement on their direction."""
    n = far_field.shape[0]
    between = np.arange(n - 1) - n // 2 + 0.5
    moved = power = 0.0
    for field in (far_field, far_field.T):
        step = field[:-1].conj() * field[1:]
        moved += float((abs(step) * np.angle(step) * between[:, None]).sum())
        power += float((abs(step) * between[:, None] ** 2).sum())
    return moved / max(power, 1e-30) / 2 * edge**2


def _disc_diameters(mean: NDArray[np.float64]) -> list[float]:
    """Return diameters about that of a pinhole: its far field's transform is the autocorrelation of the disc."""
    n = mean.shape[0]
    ring = np.rint(_radius(n)).astype(int).ravel()
    height = np.bincount(ring, abs(fourier(mean)).ravel()) / np.bincount(ring)
    low = np.flatnonzero(height[: n // 2] < 0.5 * height[0])
    guesses = [factor * low[0] / _HALF_HEIGHT for factor in _DISCS] if len(low) else []
    return [diameter for diameter in guesses if _NARROW < diameter < 0.9 * n]
