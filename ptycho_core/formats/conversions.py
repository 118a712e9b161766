"""Steps from stored to core convention, applied batch by batch; picklable, so that worker processes can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def square(batch: NDArray[Any]) -> NDArray[np.float32]:
    """Turn amplitudes into counts."""
    counts: NDArray[np.float32] = np.square(batch, dtype=np.float32)
    return counts


def square_to_whole(batch: NDArray[Any]) -> NDArray[np.float32]:
    """Turn amplitudes whose squares are whole but for rounding into those whole counts."""
    return np.rint(square(batch))


@dataclass(frozen=True)
class FromLogarithm:
    """Turn logarithms of 1 + counts into counts, which are ``whole`` but for rounding or not."""

    base: float
    whole: bool

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the counts."""
        counts: NDArray[np.float32] = np.expm1(batch * np.float32(np.log(self.base)), dtype=np.float32)
        return np.rint(counts) if self.whole else counts


LOGARITHMS = {"log": float(np.e), "log10": 10.0, "log2": 2.0}
"""Bases of logarithms that stand in the place of counts, by the answer ``data``."""


@dataclass(frozen=True)
class FromPlainLogarithm:
    """Turn logarithms of counts themselves into counts; what is no number, or too small for one photon, held none."""

    base: float

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the counts, which are whole but for rounding."""
        there = np.isfinite(batch) & (batch >= 0)
        counts: NDArray[np.float32] = np.exp(np.where(there, batch, 0) * np.log(self.base)).astype(np.float32)
        return np.where(there, np.rint(counts), np.float32(0))


PLAIN_LOGARITHMS = {f"plain-{name}": base for name, base in LOGARITHMS.items()}
"""Bases of logarithms of the counts themselves, by the answer ``data``."""


@dataclass(frozen=True)
class FlagAbove:
    """Mark what is larger than any detector counts as NaN."""

    limit: float

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the batch with NaN where it is."""
        return np.where(batch > self.limit, np.float32(np.nan), batch.astype(np.float32))


def centre_dc(batch: NDArray[Any]) -> NDArray[Any]:
    """Move DC from the corner to pixel (N//2, N//2); works on a pattern, a mask or a stack."""
    return np.fft.fftshift(batch, axes=(-2, -1))


def centre_rows(batch: NDArray[Any]) -> NDArray[Any]:
    """Move DC from the middle of the first row to pixel (N//2, N//2)."""
    return np.fft.fftshift(batch, axes=-2)


def centre_columns(batch: NDArray[Any]) -> NDArray[Any]:
    """Move DC from the middle of the first column to pixel (N//2, N//2)."""
    return np.fft.fftshift(batch, axes=-1)


def exchange_axes(batch: NDArray[Any]) -> NDArray[Any]:
    """Exchange rows and columns of patterns."""
    return np.swapaxes(batch, -2, -1)


@dataclass(frozen=True)
class Window:
    """Take part of each pattern: rows and columns from the first to before the last."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return that part, of a pattern, a mask or a stack."""
        return batch[..., slice(*self.rows), slice(*self.columns)]


def flag_largest(batch: NDArray[Any]) -> NDArray[np.float32]:
    """Mark the largest number of a whole type as NaN: detectors write it where they did not count."""
    return np.where(batch == np.iinfo(batch.dtype).max, np.float32(np.nan), batch.astype(np.float32))


@dataclass(frozen=True)
class FlagValues:
    """Mark these numbers, as float32 has them, as NaN."""

    values: tuple[float, ...]

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return the batch with NaN where one of them is."""
        stored = batch.astype(np.float32)
        return np.where(np.isin(stored, np.asarray(self.values, np.float32)), np.float32(np.nan), stored)


def clear_bad(batch: NDArray[Any]) -> NDArray[Any]:
    """Set values that are not finite or negative to zero: a weight of 0 does not undo NaN."""
    return np.where(np.isfinite(batch) & (batch >= 0), batch, 0)


@dataclass(frozen=True, eq=False)
class FillBad:
    """Put what a pixel (y, x) holds on average in the place of values that are not finite or negative."""

    mean: NDArray[np.float32]

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the batch without such values."""
        return np.where(np.isfinite(batch) & (batch >= 0), batch, self.mean)


@dataclass(frozen=True, eq=False)
class SubtractDark:
    """Subtract a dark frame (y, x); what falls below zero is noise and becomes zero."""

    dark: NDArray[np.float32]

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the batch less the dark frame."""
        return np.maximum(batch - self.dark, 0)


@dataclass(frozen=True)
class FitTo:
    """Crop or zero-pad the last two axes to ``size`` pixels, keeping the centre pixel N//2 the centre."""

    size: int

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the batch with square images."""
        for axis in (-2, -1):
            length = batch.shape[axis]
            shift = abs(self.size // 2 - length // 2)
            if self.size >= length:
                widths = [(0, 0)] * batch.ndim
                widths[axis] = (shift, self.size - length - shift)
                batch = np.pad(batch, widths)
            else:
                batch = np.take(batch, range(shift, shift + self.size), axis)
        return batch


def resample(probe: NDArray[Any], size: int) -> NDArray[Any]:
    """Return a probe (M, y, x) on ``size`` pixels over the same field of view: its spectrum cropped or padded."""
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(probe, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))
    fitted = FitTo(size)(spectrum)
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(fitted, axes=(-2, -1)), norm="ortho"), axes=(-2, -1))


def lost_counts(mean: NDArray[np.float64], kept: NDArray[np.float64]) -> float:
    """Return which part of the counts of a mean pattern is not in what is kept of it."""
    return max(0.0, 1 - float(kept.sum()) / (float(mean.sum()) or 1.0))


def say_lost(part: float) -> str:
    """Return the end of a sentence about what takes a part of the counts away."""
    return f"; {part:.2%} of the counts lay outside" if part > 1e-3 else ""
