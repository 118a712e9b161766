"""Steps that change the counts themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.conversions import SubtractDark
from ptycho_core.preprocessing.array_files import fingerprint, read_array
from ptycho_core.scan.photon_units import unit_of_pattern
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.steps import Dark, Monitor, Pedestal, Photons, Scale
from ptycho_core.scan.survey import batches, survey_of

_ROUNDING = 1e-6
"""Of a number that was divided and multiplied again in float32."""
_ROUNDING_OF_UNIT = 1e-4
"""Of a number over a unit that was found in such numbers."""
_DARK = 0.1
"""Part of the pixels that no photon reached, for a pedestal that differs from pattern to pattern."""


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
    rounding: float = _ROUNDING

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the scaled batch, whole where it is so but for rounding."""
        scaled = batch * np.float32(self.factor)
        whole = np.rint(scaled)
        return np.where(abs(scaled - whole) <= self.rounding * whole, whole, scaled)


@dataclass(frozen=True, eq=False)
class LoweredEach:
    """Subtract from each pattern what the median of its ``dark`` pixels (y, x) holds, but not below zero."""

    dark: NDArray[np.bool_]

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the lowered batch."""
        values = batch[:, self.dark]
        lowered: NDArray[Any] = np.maximum(batch - np.median(values, axis=1).astype(np.float32)[:, None, None], 0)
        return lowered


def pedestal(step: Pedestal, scan: Scan) -> Scan:
    """Subtract a constant, or from each pattern its own."""
    if step.level is not None:
        note = f"subtracted a pedestal of {step.level:g} from all pixels, clipped at zero"
        return scan.replace(note, patterns=scan.patterns.then(Lowered(step.level)))
    seen = survey_of(scan)
    dark = seen.good & (seen.mean <= np.quantile(seen.mean[seen.good], _DARK))
    note = f"subtracted from each pattern the median of the {np.count_nonzero(dark)} darkest pixels, clipped at zero"
    return scan.replace(note, patterns=scan.patterns.then(LoweredEach(dark)))


def photons(step: Photons, scan: Scan) -> Scan:
    """Multiply each pattern by one over the number of which its values are whole multiples: one pass over all."""
    units = np.ones(len(scan))
    unknown = []
    for places, batch in batches(scan.patterns):
        good = scan.good_pixels(places)
        for row, pattern in zip(
            range(*places.indices(len(scan))), batch if good is None else batch * good, strict=True
        ):
            unit = unit_of_pattern(pattern) if pattern.any() else 1.0
            if unit is None:
                unknown.append(row)
            units[row] = unit or 1.0
    if unknown:
        raise InputError(
            f"photons: the values of {len(unknown)} patterns are no whole multiples of anything, the first is "
            f"{unknown[0]}; leave these patterns out first, or the step"
        )
    note = f"multiplied each pattern by what makes its values whole, {1 / units.max():.4g} to {1 / units.min():.4g}"
    scaled = Patterns(Scaled(scan.patterns, (1 / units).astype(np.float32)))
    return scan.replace(note, patterns=scaled.then(Multiplied(1.0, _ROUNDING_OF_UNIT)))


def scale(step: Scale, scan: Scan) -> Scan:
    """Multiply by a constant."""
    note = f"multiplied the patterns by {step.factor:g}"
    return scan.replace(note, patterns=scan.patterns.then(Multiplied(step.factor)))
