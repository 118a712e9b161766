"""`line_profile`: amplitude and phase along a line, and how wide an edge in them is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.quality.picture import Picture

_MOST_SAMPLES = 2000
_END = 0.1
"""Part of the samples at each end of an edge whose median is its level there."""
_ABOVE_NOISE = 4
_BEYOND = 0.5
"""How far beyond its two levels one edge may go, as a part of its height: noise and ringing."""


@dataclass(frozen=True, eq=False)
class Profile:
    """Samples (n,) along a line: distance in metres, or in object pixels where their size is not known."""

    distance: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]


def line_profile(
    picture: Picture,
    start: tuple[float, float],
    end: tuple[float, float],
    pixel_size_m: tuple[float, float] | None,
) -> Profile:
    """Sample a picture between two places (x, y) in object pixels, linearly between pixels; NaN outside."""
    from scipy.ndimage import map_coordinates  # slow to import; whoever made a picture has it

    amplitudes, phases = picture.images["amplitude"], picture.images["phase"]
    steps = (end[0] - start[0], end[1] - start[1])
    count = int(np.clip(math.ceil(2 * math.hypot(*steps) / amplitudes.scale), 2, _MOST_SAMPLES))
    along = np.linspace(0, 1, count)
    x, y = ((s + along * d + 0.5) / amplitudes.scale - 0.5 for s, d in zip(start, steps, strict=True))

    def sampled(image: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(map_coordinates(image, (y, x), order=1, cval=math.nan, output=None))

    # A phase that is not unwrapped is not sampled itself: halfway from pi to -pi is not 0.
    phase = sampled(phases.levels[0]) if picture.options.unwrap else np.angle(sampled(picture.field))
    high, wide = pixel_size_m or (1.0, 1.0)
    return Profile(along * math.hypot(steps[0] * wide, steps[1] * high), sampled(amplitudes.levels[0]), phase)


def edge_width(distance: NDArray[np.float64], values: NDArray[np.float64]) -> float | None:
    """Return how far an edge takes from 10 % to 90 % of its height; None where there is none, or there are several.

    Parameters
    ----------
    distance
        (n,) rising.
    values
        (n,): the edge lies between the levels of its two ends.
    """
    n = max(1, int(_END * len(values)))
    low, high = float(np.median(values[:n])), float(np.median(values[-n:]))
    noise = float(max(values[:n].std(), values[-n:].std()))
    if not abs(high - low) > _ABOVE_NOISE * noise:
        return None
    height = (values - low) / (high - low)
    if height.min() < -_BEYOND or height.max() > 1 + _BEYOND:
        return None  # several edges
    above = np.flatnonzero(height >= 0.9)
    last = int(above[0]) if len(above) else 0
    below = np.flatnonzero(height[:last] <= 0.1)
    if not len(below):
        return None
    first = int(below[-1])
    starts = distance[first] + _part(0.1, height[first], height[first + 1]) * (distance[first + 1] - distance[first])
    ends = distance[last - 1] + _part(0.9, height[last - 1], height[last]) * (distance[last] - distance[last - 1])
    return float(ends - starts)


def _part(value: float, before: float, after: float) -> float:
    return (value - before) / (after - before)
