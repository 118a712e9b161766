"""Scans whose object is known exactly, made by no forward model that reconstructs them.

The object lies on a grid four times finer, low-passed to what a pixel can hold, and every position is a whole number of
fine pixels: a pattern is the Fourier transform of probe times every fourth fine pixel, and nothing is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FINE = 4
"""Fine pixels per pixel, along each axis."""
PASS = 0.42
"""Frequency in cycles per pixel where the object's spectrum has fallen to 1/e."""
APERTURE, STOP = 0.35, 0.35 / 4
"""Diameters of the lens and of its central stop in cycles per pixel, with edges soft by `SOFT`."""
SOFT = 0.004
WEIGHTS = (1.0, 0.25, 0.12)
"""Light in the probe's modes, the strongest first."""
MARGIN = 14
"""Pixels of object around all that the patterns see."""


@dataclass(frozen=True)
class Case:
    """A square raster scan, and what is wrong with it.

    Parameters
    ----------
    size
        N: patterns are (N, N).
    side, step_px, scatter_px
        The raster has ``side**2`` positions this far apart, each moved by up to ``scatter_px`` along each axis.
    counts_per_pixel
        Mean over the pattern of an object of modulus 1.
    defocus
        Phase in radians over ``N**2 r**2``, with r in cycles per pixel. For N = 128, 0.05 makes a beam of 55 px (half
        its light), 0.0045 one of 5 px with wide skirts.
    flat_px
        Diameter of a flat-topped beam of flat phase, which takes the place of the lens's.
    guess
        Defocus, or diameter, of the probe that the file holds, as a share of the true one; None: it holds none.
    modes
        Incoherent modes of the probe.
    astigmatism
        Difference of the defocus between the axes, as a share of the mean; the guess has none.
    error_px, drift_px
        The recorded positions are off: by a normal deviate along each axis; by a drift from first to last.
    flicker
        Standard deviation of the logarithm of the beam's brightness from pattern to pattern.
    seed, object_seed
        Of positions and photons; of the object.
    """

    size: int = 128
    side: int = 21
    step_px: float = 9.0
    scatter_px: float = 2.5
    counts_per_pixel: float = 30.0
    defocus: float = 0.05
    flat_px: float | None = None
    guess: float | None = 0.8
    modes: int = 1
    astigmatism: float = 0.0
    error_px: float = 0.0
    drift_px: float = 0.0
    flicker: float = 0.0
    seed: int = 11
    object_seed: int = 5


NARROW = 0.0045
CASES = {
    "wide": Case(),
    "widefaint": Case(counts_per_pixel=1),
    "widejitter": Case(error_px=1.5),
    "wideflicker": Case(flicker=0.15),
    "bright": Case(defocus=NARROW),
    "faint": Case(defocus=NARROW, counts_per_pixel=1),
    "modes": Case(defocus=NARROW, modes=3),
    "jitter": Case(defocus=NARROW, error_px=1.5),
    "drift": Case(defocus=NARROW, drift_px=6),
    "second": Case(seed=12, object_seed=6),
    "secondfaint": Case(seed=12, object_seed=6, counts_per_pixel=1),
    "sparse": Case(side=9, step_px=24, scatter_px=5),
    "sparsefaint": Case(side=9, step_px=24, scatter_px=5, counts_per_pixel=1),
    "rough": Case(guess=0.5, seed=13),
    "astig": Case(astigmatism=0.2, seed=14),
    "noprobe": Case(guess=None),
    "small": Case(size=64, side=17, step_px=5, scatter_px=1.5, defocus=0.1, seed=15, object_seed=7),
    "focus": Case(size=64, side=17, step_px=4, scatter_px=1.5, defocus=0, seed=16, object_seed=7),
    "flat": Case(size=64, side=17, step_px=4, scatter_px=1.5, flat_px=20, seed=17, object_seed=7),
}
SMALL_JITTER = Case(
    size=32,
    side=11,
    step_px=4,
    scatter_px=1,
    defocus=0.15,
    error_px=1.5,
    counts_per_pixel=100,
    seed=15,
    object_seed=7,
)
"""For tests: recorded positions are 1.5 pixels off; half of the beam's light falls within 25."""


@dataclass(frozen=True, eq=False)
class ExactScan:
    """What a file would hold, and the truth behind it.

    Parameters
    ----------
    counts
        (n, N, N) float32.
    recorded, positions
        (n, 2): where the patterns are said to be, and where they are, as pixels (y, x) of ``object`` under the probe's
        pixel N//2.
    guess
        (N, N) complex64, or None.
    object
        (H, W) complex64.
    probe
        (M, N, N) complex64 in sqrt(counts).
    """

    counts: NDArray[np.float32]
    recorded: NDArray[np.float64]
    guess: NDArray[np.complex64] | None
    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    positions: NDArray[np.float64]


def make(case: Case) -> ExactScan:
    """Return a scan; the same case is always the same scan."""
    rng = np.random.default_rng(case.seed)
    size, half, count = case.size, case.size // 2, case.side**2
    raster = np.stack(np.meshgrid(*2 * [np.arange(case.side)], indexing="ij"), axis=-1).reshape(count, 2) * case.step_px
    positions = raster + rng.uniform(-case.scatter_px, case.scatter_px, raster.shape)
    positions = np.round((positions - positions.min(axis=0) + half + MARGIN - 2) * FINE) / FINE
    fine = make_object(FINE * (int(np.ceil(positions.max())) + half + MARGIN), case.object_seed)
    probe = _modes(beam(case), case.modes) * size * np.sqrt(case.counts_per_pixel)
    expected = np.empty((count, size, size))
    for at, (top, left) in zip(expected, np.round((positions - half) * FINE).astype(int), strict=True):
        at[:] = far_field(fine[top : top + FINE * size : FINE, left : left + FINE * size : FINE], probe)
    if case.flicker:
        expected *= np.exp(np.random.default_rng(5).normal(0, case.flicker, count))[:, None, None]
    counts = rng.poisson(expected).astype(np.float32)
    recorded = positions + rng.normal(0, case.error_px, positions.shape)
    if case.drift_px:
        time = np.linspace(0, 1, count)[:, None]
        recorded += case.drift_px * (time * (1, -0.6) + 0.3 * np.sin(5 * time))
    guess = None if case.guess is None else (5 * beam(case, case.guess)).astype(np.complex64)
    object = fine[::FINE, ::FINE].astype(np.complex64)
    return ExactScan(counts, recorded, guess, object, probe.astype(np.complex64), positions)


def beam(case: Case, guess: float | None = None) -> NDArray[np.complex128]:
    """Return the wave (N, N) of a case's beam, or of a guess of it; the sum of its intensity is 1."""
    share = 1 if guess is None else guess
    if case.flat_px is None:
        wave = lens(case.size, share * case.defocus, case.astigmatism if guess is None else 0)
    else:
        y, x = np.mgrid[: case.size, : case.size] - case.size // 2
        wave = 1 / (1 + np.exp(np.hypot(y, x) - share * case.flat_px / 2)) + 0j
    return np.asarray(wave / np.linalg.norm(wave))


def lens(size: int, defocus: float, astigmatism: float) -> NDArray[np.complex128]:
    """Return the wave (N, N) behind an annular lens, out of its focus."""
    y, x = np.meshgrid(*2 * [np.fft.fftfreq(size)], indexing="ij")
    radius = np.hypot(y, x)
    inside = 1 / (1 + np.exp((radius - APERTURE / 2) / SOFT))
    stopped = 1 / (1 + np.exp((radius - STOP / 2) / SOFT))
    phase = defocus * size**2 * (radius**2 + astigmatism * (x**2 - y**2))
    return np.asarray(np.fft.fftshift(np.fft.ifft2(inside * (1 - stopped) * np.exp(1j * phase))))


def make_object(side: int, seed: int) -> NDArray[np.complex128]:
    """Return spokes, discs and thin lines (side, side) on the fine grid, low-passed; the phase reaches about 1 rad."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    angle = np.arctan2(y - (0.0 if seed % 2 else 0.05), x)
    radius = np.hypot(y, x)
    spokes = (np.sin((18 if seed == 5 else 11) * angle) > 0) & (radius > 0.03) & (radius < 0.33)
    discs = np.zeros((side, side))
    for _ in range(120):
        down, right, reach = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.008, 0.03)
        discs += rng.uniform(0.2, 1) * (np.hypot(y - down, x - right) < reach)
    lines = abs(ndimage.gaussian_filter(rng.standard_normal((side, side)), 10)) < 0.004
    thickness = 0.5 * spokes + 0.35 * np.minimum(discs, 1.5) + 0.25 * lines
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)) * FINE
    thickness = np.fft.ifft2(np.fft.fft2(thickness) * np.exp(-((frequency / PASS) ** 8))).real
    return np.asarray(np.exp((-0.12 + 1.1j) * thickness))


def far_field(patch: NDArray[Any], probe: NDArray[Any]) -> NDArray[np.float64]:
    """Return the expected counts (N, N), DC at pixel N//2, behind a patch (N, N) under a probe (M, N, N)."""
    wave = np.fft.fft2(np.fft.ifftshift(patch * probe, axes=(1, 2)), norm="ortho")
    return np.asarray((np.fft.fftshift(abs(wave), axes=(1, 2)) ** 2).sum(axis=0))


def write(path: Path, counts: NDArray[Any], positions: NDArray[Any], guess: NDArray[Any] | None) -> None:
    """Write what programs are given, in PtychoPINN's layout."""
    probe = {} if guess is None else {"probeGuess": guess}
    np.savez(path, diff3d=np.sqrt(counts), xcoords=positions[:, 1], ycoords=positions[:, 0], **probe)


def _modes(wave: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    """Return ``count`` orthogonal modes (count, N, N), the first of the wave's shape; all intensity sums up to 1."""
    size = len(wave)
    y, x = np.mgrid[:size, :size] - size / 2
    modes = [wave]
    for factor in (y / 9, x / 9)[: count - 1]:
        mode = wave * factor
        mode = mode - sum((np.vdot(other, mode) * other for other in modes), start=np.zeros_like(mode))
        modes.append(mode / np.linalg.norm(mode))
    weights = np.array(WEIGHTS[:count])
    return np.asarray(np.sqrt(weights / weights.sum())[:, None, None] * np.stack(modes))
