"""Two reconstructions of the same sample, brought onto the same pixels, phase and scale. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.quality.metrics import FRC, WELL_COVERED, frc, scanned_box
from ptycho_core.quality.registration import register, soft_window, undo
from ptycho_core.scan.reconstruction import Reconstruction

LARGEST_PART = 1024
"""Registration and FRC look at no more than this many pixels along each axis, in the middle: their cost is bounded."""
_SAME_PIXEL = 0.01


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two reconstructions have in common.

    Parameters
    ----------
    first
        (H, W) complex64: the first object where both canvases lie.
    second
        (H, W) complex64: the second with its shift, phase ramp, phase and scale against the first undone.
    covered
        (H, W): light fell there in both.
    origin
        (y, x) of pixel (0, 0) on the canvas of the first.
    shift_px
        (y, x): how far down and right the second lay, beyond what the positions of the patterns tell.
    frc
        Of the two objects over ``part_shape`` pixels in the middle of what both scans covered.
    """

    first: NDArray[np.complex64]
    second: NDArray[np.complex64]
    covered: NDArray[np.bool_]
    origin: tuple[int, int]
    shift_px: tuple[float, float]
    frc: FRC
    part_shape: tuple[int, int]


def compare(first: Reconstruction, second: Reconstruction) -> Comparison:
    """Register the second object to the first and correlate them.

    The canvases may differ in size and origin: the places of the patterns that both used tell how, or, where there
    are none, the middles of the scanned boxes.

    Raises
    ------
    InputError
        The pixels differ in size, or the region in common is too small.
    """
    _check_pixels(first, second)
    offset = np.rint(_between(first, second)).astype(np.int64)
    low = np.maximum(0, -offset)
    high = np.minimum(first.object.shape, second.object.shape - offset)
    if (high - low < 1).any():
        raise InputError("the two reconstructions have no region in common")
    here = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    there = tuple(slice(*ends) for ends in zip(low + offset, high + offset, strict=True))
    target, estimate = first.object[here], second.object[there]
    box = scanned_box(target.shape, first.positions_px - low)
    covered = np.ones(target.shape, np.bool_)
    for coverage in (first.coverage[here], second.coverage[there]):
        covered &= (coverage > 0) & (coverage >= WELL_COVERED * np.median(coverage[box]))
    compared = covered & box
    part = _middle(box)
    height, width = (p.stop - p.start for p in part)
    window = soft_window(compared[part])
    if not window.any():
        raise InputError("no light fell on the region that the two reconstructions have in common")
    found = register(estimate[part], target[part], window)
    pixel = first.pixel_size_m
    return Comparison(
        first=target,
        second=undo(estimate, found, (part[0].start + height // 2, part[1].start + width // 2)),
        covered=covered,
        origin=(int(low[0]), int(low[1])),
        shift_px=found.shift_px,
        frc=frc(found.aligned, target[part], None if pixel is None else max(pixel), window),
        part_shape=(height, width),
    )


def _check_pixels(first: Reconstruction, second: Reconstruction) -> None:
    one, other = first.pixel_size_m, second.pixel_size_m
    if one is None or other is None or np.allclose(one, other, rtol=_SAME_PIXEL, atol=0):
        return
    texts = [" x ".join(f"{side * 1e9:.4g}" for side in size) for size in (one, other)]
    raise InputError(
        f"the objects have pixels of different sizes, {texts[0]} nm and {texts[1]} nm: compare reconstructions of "
        "patterns that were cropped and binned alike"
    )


def _between(first: Reconstruction, second: Reconstruction) -> NDArray[np.float64]:
    """Return how far down and right (y, x) a place lies on the second canvas, compared with the first."""
    _, i, j = np.intersect1d(first.pattern_index, second.pattern_index, return_indices=True)
    if len(i):
        return np.asarray(np.median(second.positions_px[j] - first.positions_px[i], axis=0))
    middles = [(p.min(axis=0) + p.max(axis=0)) / 2 for p in (first.positions_px, second.positions_px)]
    return np.asarray(middles[1] - middles[0])


def _middle(box: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of the largest part that may be looked at, in the middle of the box."""
    sides = []
    for axis in (1, 0):
        places = np.flatnonzero(box.any(axis=axis))
        length = min(len(places), LARGEST_PART)
        start = int(places[0]) + (len(places) - length) // 2
        sides.append(slice(start, start + length))
    return sides[0], sides[1]
