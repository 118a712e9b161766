"""Objects of every kind, drawn at random: for a network to learn from before it has seen a sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from ptycho_core.simulation.objects import Map, lines, photograph, spokes, stretched

_Draw = Callable[[tuple[int, int], np.random.Generator], Map]

DEEPEST_PHASE, STRONGEST_ABSORPTION = (0.2, 2.0), 0.4
"""Range of the phase in radians, and largest loss of modulus, where a material is thickest."""
MIXED = 0.5
"""Part of the objects that a second kind lies on."""
_PICTURES = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "page", "text")


def varied_object(shape: tuple[int, int], rng: np.random.Generator, number: int) -> NDArray[np.complex64]:
    """Return an object (H, W) of modulus at most 1.

    Parameters
    ----------
    shape
        (H, W) in pixels.
    rng
        Of what is drawn.
    number
        Objects of consecutive numbers are of the kinds of `KINDS` by turns.
    """
    thickness = KINDS[number % len(KINDS)](shape, rng)
    if rng.random() < MIXED:
        other = KINDS[int(rng.integers(len(KINDS)))]
        thickness = stretched(thickness + rng.uniform(0.2, 1.0) * other(shape, rng))
    absorption = rng.uniform(0, STRONGEST_ABSORPTION) * thickness
    return np.asarray((1 - absorption) * np.exp(1j * rng.uniform(*DEEPEST_PHASE) * thickness), np.complex64)


def _spokes(shape: tuple[int, int], rng: np.random.Generator) -> Map:
    y, x = np.ogrid[: shape[0], : shape[1]]
    centre = rng.uniform(0.3, 0.7, 2) * shape
    return spokes(
        y - centre[0], x - centre[1], int(rng.integers(6, 60)), rng.uniform(0.3, 0.7) * max(shape), rng.uniform(0, 7)
    )


def _cells(shape: tuple[int, int], rng: np.random.Generator) -> Map:
    """Ellipses of all sizes with a rim and a nucleus, one on another."""
    thickness = np.zeros(shape, np.float32)
    typical = rng.uniform(4, 30)
    for _ in range(int(np.clip(0.4 * math.prod(shape) / typical**2, 10, 120))):
        centre, turn = rng.uniform(0, shape), rng.uniform(0, math.pi)
        half, flat = typical * rng.lognormal(0, 0.4), rng.uniform(0.6, 1.0)
        low = np.maximum(0, np.floor(centre - half - 2)).astype(int)
        high = np.minimum(shape, np.ceil(centre + half + 2)).astype(int)
        y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
        y, x = y - centre[0], x - centre[1]
        along, across = y * math.cos(turn) + x * math.sin(turn), x * math.cos(turn) - y * math.sin(turn)
        inside = half - np.hypot(along, across / flat)
        body, rim, nucleus = (np.clip(inside - depth * half + 0.5, 0, 1) for depth in (0.0, 0.15, 0.6))
        thickness[low[0] : high[0], low[1] : high[1]] += rng.uniform(0.2, 1.0) * (
            body - rng.uniform(0, 0.7) * rim + rng.uniform(0, 1) * nucleus
        )
    return stretched(thickness)


def _photograph(shape: tuple[int, int], rng: np.random.Generator) -> Map:
    picture = getattr(data, str(rng.choice(_PICTURES)))()
    height, width = picture.shape[:2]
    part = rng.uniform(0.4, 1.0)
    top, left = (int(rng.uniform(0, 1 - part) * side) for side in (height, width))
    cut = picture[top : top + int(part * height), left : left + int(part * width)]
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    return photograph(np.rot90(cut, int(rng.integers(4))), shape)


def _texture(shape: tuple[int, int], rng: np.random.Generator) -> Map:
    """Noise whose spectrum falls with a power of the frequency, as it is or cut into grains."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) / np.maximum(frequency, 1 / max(shape)) ** rng.uniform(0.8, 2.5)
    noise: NDArray[Any] = np.fft.irfft2(spectrum * np.exp(-((frequency / 0.4) ** 8)), shape)
    noise = (noise - noise.mean()) / noise.std()
    return stretched(np.tanh(rng.uniform(3, 20) * noise) if rng.random() < 0.5 else np.clip(noise, -2.5, 2.5))


KINDS: tuple[_Draw, ...] = (_spokes, _cells, lines, _photograph, _texture)
