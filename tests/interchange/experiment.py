"""A scan of an object that looks like nothing but itself when it is turned: the letter F, with known probe."""

from __future__ import annotations

import numpy as np

from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry, Patterns, Scan

SIZE = 32
GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(55e-6, 75e-6))


def letter() -> np.ndarray:
    """(88, 96) complex64: modulus and phase of an F, of bars 6 pixels wide."""
    strokes = np.zeros((88, 96))
    strokes[20:70, 30:36] = strokes[20:26, 30:60] = strokes[40:46, 30:52] = 1
    return ((1 - 0.4 * strokes) * np.exp(0.8j * strokes)).astype(np.complex64)


def probe() -> np.ndarray:
    """(N, N) complex64, sqrt(counts): a spot with a curved and tilted phase."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    return (60 * np.exp(-(y**2 + 1.5 * x**2) / 60 + 0.02j * (y**2 + x**2) + 0.1j * y)).astype(np.complex64)


def positions() -> np.ndarray:
    """(n, 2) whole pixels, where the probe's pixel N//2 is on the object."""
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(18, 70, 5), np.arange(18, 78, 5), indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1) + rng.integers(-1, 2, (rows.size, 2)).astype(float)


def exit_waves() -> np.ndarray:
    """(n, N, N): probe times the part of the object that it sees."""
    corners = positions().astype(int) - SIZE // 2
    return np.stack([letter()[y : y + SIZE, x : x + SIZE] * probe() for y, x in corners])


def intensities() -> np.ndarray:
    """(n, N, N) mean counts, DC at pixel N//2."""
    far = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(exit_waves(), axes=(1, 2)), norm="ortho"), axes=(1, 2))
    return abs(far) ** 2


def scan() -> Scan:
    """Counts without noise but that of rounding, with two bad pixels."""
    good = np.ones((SIZE, SIZE), bool)
    good[3, 5] = good[20, 30] = False
    return Scan(
        patterns=Patterns(np.rint(intensities()).astype(np.float32)),
        positions=positions(),
        probe=probe()[None],
        mask=good,
        geometry=GEOMETRY,
        object_guess=letter(),
    )


def reconstruction() -> Reconstruction:
    """What a perfect reconstruction of the scan would be."""
    return Reconstruction(
        object=letter(),
        probe=np.stack([probe(), 0.1 * probe()]),
        coverage=np.ones((88, 96), np.float32),
        positions_px=positions(),
        pattern_index=np.arange(len(positions()))[::-1].copy(),
        geometry=GEOMETRY,
        loss_history=((1, 0.9), (2, 0.5)),
        name="letter F",
    )
