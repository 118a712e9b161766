"""Near-field scans with known truth, by NumPy alone: exact between pixels, and light comes from beyond the frame.

Object and beam live, band-limited, on a grid twice as fine and wider than the detector, where Fresnel propagation is
computed; the detector sees its middle.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Geometry, Patterns, Scan

FINE = 2
BEYOND = 16
"""Pixels around the detector that light comes from."""


@dataclasses.dataclass(frozen=True)
class NearFieldScan:
    """A scan, and its object (H, W) and positions (n, 2) on it."""

    scan: Scan
    object: NDArray[np.complex128]
    positions: NDArray[np.float64]


def make(
    *, size: int = 40, side: int = 7, step: float = 4.0, spread: float = 20.0, dose: float = 200.0, fills: bool = False
) -> NearFieldScan:
    """Make ``side`` squared patterns with ``dose`` counts in a pixel of the open beam.

    The beam is a smooth spot with a wavy front, or one that ``fills`` the frame and more.
    """
    rng = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2) * step
    positions = np.round((grid + rng.uniform(-1.5, 1.5, grid.shape)) * FINE) / FINE
    positions -= positions.min(axis=0)
    wide = size + 2 * BEYOND
    shape = [int(np.ceil(v)) + wide + 1 for v in positions.max(axis=0)]
    t = band_limited(rng.standard_normal([FINE * length for length in shape]), 0.16)
    sample = np.exp((1j - 0.2) * 0.6 * t / t.std())
    k = (np.arange(FINE * wide) - FINE * wide // 2) / FINE
    r2 = k[:, None] ** 2 + k**2
    front = band_limited(rng.standard_normal((FINE * wide, FINE * wide)), 0.06)
    height = np.exp(-r2 / (2 * (0.6 * size if fills else 0.16 * size) ** 2))
    beam = np.sqrt(dose * height) * np.exp(1j * 1.5 * front / front.std())
    beam = beam * (1 + 0.3 * np.roll(front, 9, 1) / front.std()) if fills else beam
    q = np.fft.fftfreq(FINE * wide) * FINE
    transfer = np.exp(-1j * np.pi * spread * (q[:, None] ** 2 + q**2))
    middle = slice(FINE * BEYOND, FINE * (BEYOND + size), FINE)
    counts = np.empty((len(positions), size, size), np.float32)
    for number, (y, x) in enumerate((positions * FINE).astype(int)):
        wave = beam * sample[y : y + FINE * wide, x : x + FINE * wide]
        there = np.fft.ifft2(np.fft.fft2(wave) * transfer)[middle, middle]
        counts[number] = rng.poisson(abs(there) ** 2)
    pixel, wavelength, magnification = 100e-9, 1e-10, 100.0
    geometry = Geometry(
        energy_ev=1.23984198e-6 / wavelength,
        distance_m=spread * pixel**2 / wavelength * magnification,
        detector_pixel_m=(pixel * magnification, pixel * magnification),
        propagator="near",
        magnification=magnification,
    )
    scan = Scan(patterns=Patterns(counts), positions=positions, geometry=geometry)
    return NearFieldScan(scan, sample[::FINE, ::FINE], positions + wide // 2)


def band_limited(image: NDArray[np.float64], highest: float) -> NDArray[np.float64]:
    """Return an image on the fine grid without detail of more than ``highest`` cycles per pixel of the coarse one."""
    q = np.hypot(*np.meshgrid(*(np.fft.fftfreq(length) * FINE for length in image.shape), indexing="ij"))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * np.exp(-((q / highest) ** 6))).real)
