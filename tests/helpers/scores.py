"""How far a reconstruction agrees with the truth of a simulated scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity

from ptycho_core.quality.metrics import WELL_COVERED, frc, scanned_box
from ptycho_core.quality.registration import register, soft_window

SSIM_WINDOW = 7


def psnr(estimate: NDArray[Any], truth: NDArray[Any], data_range: float, covered: NDArray[np.bool_]) -> float | None:
    """Return the peak signal-to-noise ratio in dB, ``10 log10(data_range^2 / MSE)`` over the covered pixels.

    None where it is not defined: no error at all, or a data range of 0.
    """
    mse = float(np.mean((np.asarray(estimate, np.float64) - truth)[covered] ** 2))
    return None if mse == 0 or data_range <= 0 else float(10 * np.log10(data_range**2 / mse))


def ssim(estimate: NDArray[Any], truth: NDArray[Any], data_range: float, covered: NDArray[np.bool_]) -> float | None:
    """Return the structural similarity, -1 to 1, in windows of 7 x 7 pixels: its mean over those covered throughout.

    Wang et al., IEEE Trans. Image Process. 13, 600 (2004), as computed by scikit-image. None for a data range of 0 or
    where no window fits.
    """
    inside = ndimage.binary_erosion(covered, np.ones((SSIM_WINDOW, SSIM_WINDOW)))
    if data_range <= 0 or not inside.any():
        return None
    _, local = structural_similarity(
        np.asarray(estimate, np.float64),
        np.asarray(truth, np.float64),
        win_size=SSIM_WINDOW,
        data_range=data_range,
        full=True,
    )
    return float(local[inside].mean())


def compare_to_truth(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    positions_px: NDArray[np.float64],
    truth_positions_px: NDArray[np.float64],
    weights: NDArray[Any] | None = None,
    pixel_size_m: float | None = None,
) -> dict[str, float | None]:
    """Register a reconstructed object to the true one and measure how far they agree.

    The two canvases may differ in size and origin: the positions of the same patterns on both tell how. Compared are
    the covered pixels within the box that the positions span.

    Parameters
    ----------
    estimate, truth
        (H, W) and (H', W') complex objects with pixels of the same size.
    positions_px, truth_positions_px
        (n, 2): (y, x) of the same patterns, in the same order, on the canvas of each.
    weights
        (H, W) coverage of the estimate; a pixel is covered from a tenth of its median over the box. By default the
        box is covered and what lies around it is not.
    pixel_size_m
        For the resolution in metres.

    Returns
    -------
    dict
        ``{modulus,phase}_{psnr,ssim}`` after registration with ``{modulus,phase}_data_range``, the range of the truth
        over the compared pixels (psnr in dB; None where the truth is flat); ``frc_resolution_{px,m}`` as in `FRC`;
        ``shift_{y,x}_px``, ``scale``, ``compared_pixels``. The half-bit curve is meant for two noisy images: against
        a truth without noise the same estimate correlates better.

    Raises
    ------
    InputError
        When the common region is too small to compare.
    """
    between = (positions_px - truth_positions_px).mean(axis=0)
    offset = np.rint(between).astype(np.int64)
    low, high = np.maximum(0, -offset), np.minimum(truth.shape, estimate.shape - offset)
    target = truth[low[0] : high[0], low[1] : high[1]]
    part = tuple(slice(start, stop) for start, stop in zip(low + offset, high + offset, strict=True))
    box = scanned_box(target.shape, truth_positions_px - low)
    covered = box
    if weights is not None:
        covered = weights[part] >= WELL_COVERED * np.median(weights[part][box])
    found = register(estimate[part], target, soft_window(covered))
    covered &= box
    window = soft_window(covered)
    result: dict[str, float | None] = {}
    reference = np.angle(target * np.exp(-1j * np.angle((window * target).sum())))
    phase = reference + np.angle(found.aligned * target.conj())
    for name, image, true in (("modulus", abs(found.aligned), abs(target)), ("phase", phase, reference)):
        data_range = float(np.ptp(true[covered]))
        result[f"{name}_psnr"] = psnr(image, true, data_range, covered)
        result[f"{name}_ssim"] = ssim(image, true, data_range, covered)
        result[f"{name}_data_range"] = data_range
    rings = frc(found.aligned, target, pixel_size_m, window)
    return result | {
        "frc_resolution_px": rings.resolution_px,
        "frc_resolution_m": rings.resolution_m,
        "shift_y_px": found.shift_px[0] + float(offset[0] - between[0]),
        "shift_x_px": found.shift_px[1] + float(offset[1] - between[1]),
        "scale": found.scale,
        "compared_pixels": float(covered.sum()),
    }
