"""Steps that mark detector pixels as bad."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.conversions import lost_counts
from ptycho_core.preprocessing.array_files import fingerprint, read_array
from ptycho_core.scan.dead_pixels import dead_pixels as dead_pixels_of
from ptycho_core.scan.scan import Scan, both_good
from ptycho_core.scan.steps import (
    DeadPixels,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Saturation,
)
from ptycho_core.scan.survey import batches, ever_good, survey_of

_SIGMAS = 5.0


def mask_file(step: MaskFile, scan: Scan) -> Scan:
    """Mask where an image (N, N) is zero, or is not."""
    image = read_array(step.file, 2)
    if image.shape != (scan.size, scan.size) or not np.isfinite(image).all():
        raise InputError(
            f"{step.file} holds {image.shape} {image.dtype}; a mask for these patterns is ({scan.size}, {scan.size}) "
            "and finite: apply it before the patterns are cropped or binned"
        )
    return _masked(scan, (image != 0) == step.invert, f"as {step.file} says ({fingerprint(image)})")


def mask_rectangle(step: MaskRectangle, scan: Scan) -> Scan:
    """Mask a rectangle."""
    inside = np.zeros((scan.size, scan.size), bool)
    inside[step.top : step.bottom, step.left : step.right] = True
    where = f"rows {step.top} to {step.bottom - 1} and columns {step.left} to {step.right - 1}"
    return _masked(scan, inside != step.outside, f"{_side(step.outside)} {where}")


def mask_polygon(step: MaskPolygon, scan: Scan) -> Scan:
    """Mask a polygon, by counting the edges to the right of each pixel's centre (Shimrat, CACM 5, 434 (1962))."""
    rows, columns = np.indices((scan.size, scan.size))
    inside = np.zeros((scan.size, scan.size), bool)
    corners = step.corners
    for (y0, x0), (y1, x1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 != y1:
            crossed = (y0 > rows) != (y1 > rows)
            inside ^= crossed & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return _masked(scan, inside != step.outside, f"{_side(step.outside)} the polygon {step.points}")


def mask_brush(step: MaskBrush, scan: Scan) -> Scan:
    """Mask what lies within a radius of a line of points."""
    pixels = np.moveaxis(np.indices((scan.size, scan.size)), 0, -1).astype(np.float64)
    near = np.zeros((scan.size, scan.size), bool)
    points = np.asarray(step.stroke)
    for start, end in zip(points, [*points[1:], points[-1]], strict=True):
        along = end - start
        part = np.clip((pixels - start) @ along / ((along**2).sum() or 1.0), 0, 1)
        near |= np.linalg.norm(pixels - start - part[..., None] * along, axis=-1) <= step.radius
    return _masked(scan, near, f"within {step.radius:g} of the stroke {step.points}")


def mask_threshold(step: MaskThreshold, scan: Scan) -> Scan:
    """Mask by the mean count over the patterns (a sample of them where the scan is large)."""
    mean = survey_of(scan).mean
    bad = np.zeros(mean.shape, bool)
    limits = []
    if step.above is not None:
        bad |= mean > step.above
        limits.append(f"above {step.above:g}")
    if step.below is not None:
        bad |= mean < step.below
        limits.append(f"below {step.below:g}")
    return _masked(scan, bad, f"whose mean count is {' or '.join(limits)}", mean)


def saturation(step: Saturation, scan: Scan) -> Scan:
    """Mask what reaches a level in any pattern where it is good: one pass over all of them, in bounded memory."""
    reached = np.zeros((scan.size, scan.size), bool)
    for places, counts in batches(scan.patterns):
        good = scan.good_pixels(places)
        reached |= ((counts >= step.level) & (True if good is None else good)).any(axis=0)
    return _masked(scan, reached, f"that reach {step.level:g} counts in a pattern", survey_of(scan).mean)


def hot_pixels(step: HotPixels, scan: Scan) -> Scan:
    """Mask what stands out from its surroundings in the mean of the patterns that are looked at.

    A mean of m patterns above ``factor`` times the median of its 5 x 5 neighbours, and above it by five standard
    deviations of photon noise, one photon in all patterns together being the least background.
    """
    seen = survey_of(scan)
    from scipy.ndimage import median_filter  # as in grouping

    median = median_filter(seen.mean, size=5, mode="nearest")
    noise = np.sqrt((median + 1 / len(seen.rows)) / len(seen.rows))
    bad = (seen.mean > step.factor * median) & (seen.mean > median + _SIGMAS * noise)
    return _masked(scan, bad, f"that hold more than {step.factor:g} times the median of their neighbours", seen.mean)


def dead_pixels(step: DeadPixels, scan: Scan) -> Scan:
    """Mask what never counts, between pixels that do."""
    return _masked(scan, dead_pixels_of(survey_of(scan)), "that hold nothing between others that many photons reach")


def _side(outside: bool) -> str:
    return "outside" if outside else "in"


def _masked(scan: Scan, bad: NDArray[np.bool_], which: str, mean: NDArray[np.float64] | None = None) -> Scan:
    """Return the scan with these pixels bad, too, and say what they held of the ``mean`` pattern, where it is known."""
    before = ever_good(scan)
    if not (before & ~bad).any():
        raise InputError(f"masking the pixels {which} leaves no good one")
    more = np.count_nonzero(before & bad)
    if not more:
        return scan.replace(f"masked 0 more pixels {which}")
    lost = 0.0 if mean is None else lost_counts(mean * before, mean * (before & ~bad))
    note = f"masked {more} more pixels {which}" + (f"; they held {lost:.2%} of the counts" if lost > 1e-3 else "")
    return scan.replace(note, mask=both_good(scan.mask, ~bad))
