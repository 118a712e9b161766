"""The forward model in NumPy, independent of the torch one, and patterns computed when they are read.

``lambda_i(u) = background + sum_m |D(P_m(r - f_i) O(r + q_i))|^2``, D the orthonormal and centred Fourier transform or
Fresnel propagation: at the position q + f (q whole pixels, f a fraction) the object is read at whole pixels and the
probe is moved by the fraction, with its Fourier transform. Nothing is interpolated, so patterns are exact where the
probe is band-limited and fades within its window.
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


def gather(canvas: NDArray[Any], corners: NDArray[np.int64], size: int) -> NDArray[Any]:
    """Return patches (b, N, N) of a canvas (H, W) whose first pixels lie at ``corners`` (b, 2)."""
    rows, columns = corners.T[:, :, None] + np.arange(size)
    return np.asarray(canvas[rows[:, :, None], columns[:, None, :]])


def moved(waves: NDArray[Any], fractions: NDArray[np.float64]) -> NDArray[Any]:
    """Return waves (M, N, N) or (b, M, N, N) moved down and right by fractions (b, 2) of a pixel: (b, M, N, N)."""
    from scipy import fft  # as in grouping

    cycles = np.fft.fftfreq(waves.shape[-1])
    y, x = np.exp(-2j * np.pi * fractions.T[:, :, None] * cycles).astype(waves.dtype)
    return np.asarray(fft.ifft2(fft.fft2(waves) * (y[:, :, None] * x[:, None, :])[:, None]))


def intensities(
    canvas: NDArray[Any],
    probe: NDArray[Any],
    positions_px: NDArray[np.float64],
    background: float = 0.0,
    spread: tuple[float, float] | None = None,
) -> NDArray[Any]:
    """Return the expected counts (b, N, N) of a probe (M, N, N) on a canvas (H, W); precision of the inputs.

    Parameters
    ----------
    canvas, probe
        Object and modes.
    positions_px
        (b, 2): (y, x) on the canvas of the probe's pixel (N//2, N//2).
    background
        Counts per pixel.
    spread
        Of the near field, as for `fresnel`; None is the far field.
    """
    size, whole = probe.shape[-1], np.floor(positions_px).astype(np.int64)
    fraction = positions_px - whole
    waves = moved(probe, fraction) * gather(canvas, whole - size // 2, size)[:, None]
    # Where in its window a wave lies changes only phases of the far field; a shadow has to move back with it.
    waves = fourier(waves) if spread is None else fresnel(moved(waves, -fraction), spread)
    return np.asarray((waves.real**2 + waves.imag**2).sum(axis=1) + np.asarray(background, waves.real.dtype))


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
