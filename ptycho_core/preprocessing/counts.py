"""Steps that change the counts themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.conversions import SubtractDark
from ptycho_core.preprocessing.array_files import fingerprint, read_array
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.steps import Dark, Monitor, Pedestal, Scale

_ROUNDING = 1e-6
"""Of a number that was divided and multiplied again in float32."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """Patterns, each times one of n factors, read when asked for; an `ArraySource`, as conversions see no rows."""

    patterns: Patterns
    factors: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, y, x)."""
        return self.patterns.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32."""
        return np.dtype(np.float32)

    def __getitem__(self, index: Any, /) -> NDArray[np.float32]:
        """Return the patterns of a slice or an array of indexes."""
        scaled: NDArray[np.float32] = self.patterns[index] * self.factors[index][:, None, None]
        return scaled


def dark(step: Dark, scan: Scan) -> Scan:
    """Subtract a dark frame (N, N), or the mean of several (m, N, N)."""
    frames = read_array(step.file, 2)
    if frames.shape[-2:] != (scan.size, scan.size) or frames.ndim > 3 or not np.isfinite(frames).all():
        raise InputError(
            f"{step.file} holds {frames.shape} {frames.dtype}; a dark frame for these patterns is ({scan.size}, "
            f"{scan.size}), or several of them, and finite: subtract it before the patterns are cropped or binned"
        )
    frame = frames.reshape(-1, scan.size, scan.size).mean(axis=0, dtype=np.float64).astype(np.float32)
    return scan.replace(
        f"subtracted the dark frame of {step.file} ({frame.mean():.3g} counts per pixel, {fingerprint(frames)}), "
        "clipped at zero",
        patterns=scan.patterns.then(SubtractDark(frame)),
    )


def monitor(step: Monitor, scan: Scan) -> Scan:
    """Divide each pattern by its reading (n,), over the mean reading: counts are no longer whole numbers."""
    readings = read_array(step.file, 1).ravel()
    if len(readings) != len(scan):
        raise InputError(
            f"{step.file} holds {len(readings)} readings, and there are {len(scan)} patterns; each needs its own: "
            "normalise before patterns are left out"
        )
    wrong = np.flatnonzero(~(np.isfinite(readings) & (readings > 0)))
    if len(wrong):
        raise InputError(
            f"{step.file}: {len(wrong)} readings are not above 0 (the first is that of pattern {wrong[0]}); leave "
            "their patterns out, in the scan and in the file"
        )
    factors = (readings.mean(dtype=np.float64) / readings).astype(np.float32)
    return scan.replace(
        f"divided the patterns by the monitor of {step.file} ({fingerprint(readings)}): times {factors.min():.3g} to "
        f"{factors.max():.3g}",
        patterns=Patterns(Scaled(scan.patterns, factors)),
    )


@dataclass(frozen=True)
class Lowered:
    """Subtract a number; what falls below zero becomes zero."""

    level: float

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the lowered batch."""
        return np.maximum(batch - np.float32(self.level), 0)


@dataclass(frozen=True)
class Multiplied:
    """Multiply by a number."""

    factor: float

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the scaled batch, whole where it is so but for rounding."""
        scaled = batch * np.float32(self.factor)
        whole = np.rint(scaled)
        return np.where(abs(scaled - whole) <= _ROUNDING * whole, whole, scaled)


def pedestal(step: Pedestal, scan: Scan) -> Scan:
    """Subtract a constant."""
    note = f"subtracted a pedestal of {step.level:g} from all pixels, clipped at zero"
    return scan.replace(note, patterns=scan.patterns.then(Lowered(step.level)))


def scale(step: Scale, scan: Scan) -> Scan:
    """Multiply by a constant."""
    note = f"multiplied the patterns by {step.factor:g}"
    return scan.replace(note, patterns=scan.patterns.then(Multiplied(step.factor)))
