"""What refinement moved: of all patterns in common, and of each alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

CURVES, PATTERNS_A_CURVE = 4, 25
"""Cosines that a drift in time is made of, and patterns that each of them takes at least."""
_ARROWS = 2000
_BINS = 40


@dataclass(frozen=True)
class Moved:
    """What patterns have in common of their displacements, and what is left.

    Parameters
    ----------
    rms_px
        Of all displacements, their mean apart.
    stretch_y_percent, stretch_x_percent
        By which the scan is longer than recorded.
    rotation_deg
        By which it is turned, from +x to +y.
    shear_deg
        By which its axes are turned against each other, each by half of it.
    drift_px
        Root mean square of a slow curve over the patterns' number, what it has of the above apart.
    single_px
        Root mean square of what is left.
    """

    rms_px: float
    stretch_y_percent: float
    stretch_x_percent: float
    rotation_deg: float
    shear_deg: float
    drift_px: float
    single_px: float

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)

    def in_words(self) -> str:
        """Return a sentence without its end."""
        return (
            f"the scan as a whole is stretched by {self.stretch_y_percent:+.2f} % along y and "
            f"{self.stretch_x_percent:+.2f} % along x, turned by {self.rotation_deg:+.2f} degrees, sheared by "
            f"{self.shear_deg:+.2f} degrees and drifted by {self.drift_px:.2g} px (rms); single patterns moved by "
            f"{self.single_px:.2g} px (rms)"
        )


@dataclass(frozen=True, eq=False)
class DisplacementMap:
    """What is drawn of displacements: every place, at most 2,000 arrows, and how many patterns moved how far.

    A shift of all together cannot be known, and is taken out.

    Parameters
    ----------
    before, after
        (n, 2) recorded and refined positions in pixels.
    lengths
        (n,) of the displacements, in pixels.
    starts, ends
        (m, 2) of the arrows, evenly chosen, drawn ``magnified`` times as long as they are.
    magnified
        So that the longest arrows are about twice as long as patterns are apart.
    counts, edges
        Histogram of the lengths: (b,) and (b + 1,).
    moved
        What all have in common, and what is left.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    lengths: NDArray[np.float64]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    magnified: float
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    moved: Moved


def columns_of_stretch(positions: NDArray[np.float64], of: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, 3): 1, y and x of positions (n, 2) about the mean of those ``of`` these places."""
    return np.column_stack([np.ones(len(positions)), positions - positions[of].mean(axis=0)])


def columns_of_drift(n: int, fitted: int) -> NDArray[np.float64]:
    """Return (n, k): cosines over the number of a pattern, as many as so many fitted patterns can bear."""
    time = np.linspace(0, math.pi, n)
    return np.cos(time[:, None] * np.arange(1, 1 + min(CURVES, fitted // PATTERNS_A_CURVE)))


def what_moved(recorded: NDArray[np.float64], refined: NDArray[np.float64]) -> Moved:
    """Return what positions (n, 2) have moved, in the order in which the patterns were taken."""
    shifts = refined - recorded
    of_stretch, curve, left = _in_common(recorded, shifts)
    (yy, yx), (xy, xx) = of_stretch.T  # row: of which coordinate; column: along which axis it grows
    return Moved(
        rms_px=_rms(shifts - shifts.mean(axis=0)),
        stretch_y_percent=100 * float(yy),
        stretch_x_percent=100 * float(xx),
        rotation_deg=math.degrees((yx - xy) / 2),
        shear_deg=math.degrees(yx + xy),
        drift_px=_rms(curve),
        single_px=_rms(left),
    )


def bent_px(recorded: NDArray[np.float64], refined: NDArray[np.float64]) -> float:
    """Return by how many pixels (rms) a picture is bent whose patterns lay at recorded positions (n, 2).

    That is what they have in common of their displacements, but for a growth that is the same along y and x:
    refinement of few photons feigns one, of a percent or two.
    """
    of_stretch, curve, _ = _in_common(recorded, refined - recorded)
    of_stretch = of_stretch - np.eye(2) * np.trace(of_stretch) / 2
    return _rms((recorded - recorded.mean(axis=0)) @ of_stretch + curve)


def _in_common(recorded: NDArray[np.float64], shifts: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return (2, 2) by which displacements grow along y and x, a slow curve (n, 2), and what is left (n, 2)."""
    stretch = columns_of_stretch(recorded, np.arange(len(recorded)))
    of_stretch = np.linalg.lstsq(stretch, shifts, rcond=None)[0]
    left = shifts - stretch @ of_stretch
    drift = columns_of_drift(len(recorded), len(recorded))
    curve = drift @ np.linalg.lstsq(drift, left, rcond=None)[0] if drift.size else np.zeros_like(left)
    return np.asarray(of_stretch[1:]), np.asarray(curve), np.asarray(left - curve)


def displacement_map(recorded: NDArray[np.float64], refined: NDArray[np.float64]) -> DisplacementMap:
    """Return what is drawn of the displacements of positions (n, 2)."""
    shifts = refined - recorded
    shifts = shifts - shifts.mean(axis=0)
    lengths = np.hypot(*shifts.T)
    counts, edges = np.histogram(lengths, bins=_BINS, range=(0, max(1e-3, float(lengths.max()))))
    extent = np.ptp(recorded, axis=0).clip(1)
    apart = math.sqrt(extent[0] * extent[1] / min(len(recorded), _ARROWS))
    long = float(np.quantile(lengths, 0.95))
    magnified = _rounded(2 * apart / long) if long > 0 else 1.0
    some = np.unique(np.linspace(0, len(recorded) - 1, min(len(recorded), _ARROWS)).astype(int))
    return DisplacementMap(
        before=recorded,
        after=recorded + shifts,
        lengths=lengths,
        starts=recorded[some],
        ends=recorded[some] + magnified * shifts[some],
        magnified=magnified,
        counts=counts,
        edges=edges,
        moved=what_moved(recorded, refined),
    )


def _rms(vectors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(vectors).sum(axis=1).mean()))


def _rounded(value: float) -> float:
    """The next lower 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return power * max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-9))
