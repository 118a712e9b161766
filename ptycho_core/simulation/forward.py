"""The forward model in NumPy, independent of the torch one, and patterns computed when they are read.

``lambda_i(u) = background + sum_m |D(P_m(r) O(r + r_i))|^2``, D the orthonormal and centred Fourier transform or
Fresnel propagation, O gathered bilinearly from a window of (N + 1, N + 1) pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 64
"""Patterns computed at once: bounds the memory however many are asked for."""

LARGEST_COUNT = 2**24 - 1
"""What a hot pixel reads beyond 16 bits: the largest count that float32 tells from its neighbours."""


def fourier(field: NDArray[Any]) -> NDArray[Any]:
    """Return the orthonormal centred 2-D FFT of the last two axes, at the precision of the input."""
    from scipy import fft  # as in grouping

    return np.asarray(fft.fftshift(fft.fft2(fft.ifftshift(field, axes=(-2, -1)), norm="ortho"), axes=(-2, -1)))


def inverse_fourier(field: NDArray[Any]) -> NDArray[Any]:
    """Return the inverse of `fourier`."""
    from scipy import fft  # as in grouping

    return np.asarray(fft.fftshift(fft.ifft2(fft.ifftshift(field, axes=(-2, -1)), norm="ortho"), axes=(-2, -1)))


def fresnel(field: NDArray[Any], spread: tuple[float, float]) -> NDArray[Any]:
    """Return waves (..., N, N) propagated in the near field, or back where the spread is negative.

    ``F^-1[exp(-i pi s q^2) F psi]``, s `Geometry.fresnel_spread`, q in cycles per pixel (Goodman, Introduction to
    Fourier Optics, section 4.2).
    """
    from scipy import fft  # as in grouping

    qy, qx = (fft.fftfreq(side) for side in field.shape[-2:])
    transfer = np.exp(-1j * np.pi * (spread[0] * qy[:, None] ** 2 + spread[1] * qx**2))
    return np.asarray(fft.ifft2(fft.fft2(field) * transfer.astype(np.result_type(field, np.complex64))))


def gather(canvas: NDArray[Any], positions_px: NDArray[np.float64], size: int) -> NDArray[Any]:
    """Return the patches that the probe sees.

    Parameters
    ----------
    canvas
        (H, W) complex object.
    positions_px
        (b, 2): (y, x) on the canvas of the probe's pixel (N//2, N//2).
    size
        N.

    Returns
    -------
    (b, N, N), bilinear between pixels: an integer position gives rows ``y - N//2`` to ``y - N//2 + N``.
    """
    corner = np.floor(positions_px).astype(np.int64)
    fy, fx = (positions_px - corner).astype(canvas.real.dtype).T[:, :, None, None]
    rows, columns = (corner - size // 2).T[:, :, None] + np.arange(size + 1)
    window = canvas[rows[:, :, None], columns[:, None, :]]
    along_y = (1 - fy) * window[:, :-1] + fy * window[:, 1:]
    return np.asarray((1 - fx) * along_y[:, :, :-1] + fx * along_y[:, :, 1:])


def intensities(
    canvas: NDArray[Any],
    probe: NDArray[Any],
    positions_px: NDArray[np.float64],
    background: float = 0.0,
    spread: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Return the expected counts (b, N, N) at positions (b, 2) of a probe (M, N, N); precision of the inputs.

    In the far field, or in the near field with a ``spread`` as for `fresnel`.
    """
    patches = gather(canvas, positions_px, probe.shape[-1])
    total = np.full(patches.shape, background, patches.real.dtype)
    for mode in probe:
        wave = fourier(mode * patches) if spread is None else fresnel(mode * patches, spread)
        total += wave.real**2 + wave.imag**2
    return total


@dataclass(frozen=True, eq=False)
class SimulatedPatterns:
    """Patterns (n, N, N) that are computed when read: an `ArraySource` of any length in little memory.

    A pattern's noise depends on the seed and its own number only, so it reads the same in any order.

    Parameters
    ----------
    object, probe, positions_px
        The truth, as in `intensities`.
    background
        Counts per pixel.
    dead, hot
        Flat indexes of detector pixels that read 0 and the largest count.
    noise_seed
        Seed of the Poisson counts, or None for exact intensities.
    spread
        Of the near field, as in `intensities`.
    """

    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    positions_px: NDArray[np.float64]
    background: float
    dead: NDArray[np.int64]
    hot: NDArray[np.int64]
    noise_seed: int | None
    spread: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, N, N)."""
        return len(self.positions_px), *self.probe.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Unsigned counts wide enough for any object of modulus <= 1, float32 without noise."""
        if self.noise_seed is None:
            return np.dtype(np.float32)
        # |F(P O)| <= sum |P| / N, reached by a flat wave, and no pixel of a shadow holds more than all the light: ten
        # sigmas above it leave room for noise.
        flat = float((abs(self.probe).sum(axis=(1, 2)) ** 2).sum()) / self.probe[0].size
        peak = (flat if self.spread is None else float((abs(self.probe) ** 2).sum())) + self.background
        return np.dtype(np.uint16 if peak + 10 * peak**0.5 < np.iinfo(np.uint16).max else np.uint32)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Patterns of a slice or an array of indexes, (b, N, N)."""
        rows = np.arange(self.shape[0])[index]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            expected = intensities(self.object, self.probe, self.positions_px[batch], self.background, self.spread)
            out[start : start + BATCH] = expected if self.noise_seed is None else self._counts(expected, batch)
        pixels = out.reshape(len(rows), -1)
        pixels[:, self.dead] = 0
        pixels[:, self.hot] = np.iinfo(np.uint16).max if self.dtype == np.uint16 else LARGEST_COUNT
        return out

    def _counts(self, expected: NDArray[Any], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack(
            [
                np.random.default_rng([self.noise_seed or 0, 3, i]).poisson(e)
                for i, e in zip(numbers, expected, strict=True)
            ]
        )
