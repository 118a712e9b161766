"""Undo what ptychography cannot know: shift, phase ramp, phase and scale of an object. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

MAX_STEPS = 30
TAPER = 0.1
"""Width of a soft window's edge over the shorter side of the image."""


@dataclass(frozen=True, eq=False)
class Registration:
    """How an estimate relates to the truth: ``estimate(r + shift) = scale exp(i (phase + ramp . r)) truth(r)``.

    Parameters
    ----------
    aligned
        (H, W) complex64: the estimate with all of that undone.
    shift_px
        (y, x): how far down and right the estimate lies.
    ramp
        (y, x) in radians per pixel; r is counted from pixel (H//2, W//2).
    phase
        Radians, at pixel (H//2, W//2).
    scale
        Ratio of moduli, above 0.
    """

    aligned: NDArray[np.complex64]
    shift_px: tuple[float, float]
    ramp: tuple[float, float]
    phase: float
    scale: float


def soft_window(covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return weights (H, W) in [0, 1]: 0 outside, rising as a raised cosine of the distance to the nearest edge.

    The image's border counts as an edge. The rise takes a tenth of the shorter side.
    """
    distance = ndimage.distance_transform_edt(np.pad(covered, 1))[1:-1, 1:-1]
    rise = max(TAPER * min(covered.shape), 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(distance / rise, 1)))


def register(
    estimate: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any] | None = None, max_shift_px: int = 16
) -> Registration:
    """Find shift, phase ramp, phase and scale between two complex images by weighted least squares.

    A first guess of the shift comes from the correlation of the products of neighbouring pixels, which a phase
    ramp does not change in modulus; of the ramp from the peak of the Fourier transform of ``estimate conj(truth)``.
    Gauss-Newton then minimises ``sum w |truth - aligned|^2`` over all six numbers at once.

    Parameters
    ----------
    estimate, truth
        (H, W) complex, on the same pixels.
    weights
        (H, W), not negative: how far each pixel counts; what the estimate holds where it is 0 is not looked at. By
        default a soft window over the whole image.
    max_shift_px
        Largest whole shift along each axis that the first guess considers.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if estimate.shape != truth.shape:
        raise ValueError(f"shapes differ: estimate {estimate.shape}, truth {truth.shape}")
    w = soft_window(np.ones(truth.shape, np.bool_)) if weights is None else np.asarray(weights, np.float64)
    target = np.asarray(truth, np.complex128)
    field = np.where(w > 0, estimate, 0).astype(np.complex128)
    shift = _coarse_shift(field, target, w, max_shift_px)
    moved = np.roll(field, tuple(-shift.astype(int)), axis=(0, 1))
    coarse_ramp = _coarse_ramp(w * moved * target.conj())
    # Level the ramp and fill the holes before the Fourier shift: it rings from every jump and kink.
    field *= _tilt(truth.shape, -coarse_ramp)
    levelled = _Shiftable(np.where(w > 0, field, (w * field).sum() / w.sum()))
    w = w * ndimage.shift(w, -shift, order=0)  # a pixel counts where both images do

    ramp = np.zeros(2)
    for _ in range(MAX_STEPS):
        aligned, factor, gradients = _align(levelled, target, w, shift, ramp)
        step = _gauss_newton_step(aligned, target, w, gradients)
        ramp += step[:2]
        shift += np.clip(step[2:], -1, 1)
        if (abs(step[2:]) < 1e-5).all() and (abs(step[:2]) * target.shape < 1e-5).all():
            break
    aligned, factor, _ = _align(levelled, target, w, shift, ramp)
    total_ramp = ramp + coarse_ramp
    return Registration(
        aligned=np.asarray(aligned, np.complex64),
        shift_px=(float(shift[0]), float(shift[1])),
        ramp=(float(total_ramp[0]), float(total_ramp[1])),
        phase=float(np.angle(np.exp(1j * coarse_ramp @ shift) / factor)),
        scale=float(1 / abs(factor)),
    )


def phase_ramp(image: NDArray[Any], weights: NDArray[Any] | None = None) -> tuple[float, float]:
    """Return the phase ramp (y, x) of an image (H, W) in radians per pixel.

    It maximises ``|sum w image exp(-i ramp . r)|``.
    """
    w = np.ones(image.shape) if weights is None else np.asarray(weights, np.float64)
    field = np.asarray(image, np.complex128)
    ones = np.ones_like(field)
    ramp = _coarse_ramp(w * field)
    for _ in range(MAX_STEPS):
        aligned, _ = _scaled(field * _tilt(image.shape, -ramp), ones, w)
        step = _gauss_newton_step(aligned, ones, w, [])
        ramp += step
        if (abs(step) * image.shape < 1e-5).all():
            break
    return float(ramp[0]), float(ramp[1])


def undo(image: NDArray[Any], found: Registration, centre: tuple[int, int]) -> NDArray[np.complex64]:
    """Return an estimate (H, W) with what was found in a part of it undone everywhere: ``found.aligned``, but larger.

    Parameters
    ----------
    image
        Complex. What moves in from outside repeats the border.
    found
        How the part relates to the truth.
    centre
        (y, x): the pixel of ``image`` that was pixel (h//2, w//2) of the part.
    """
    y, x = (np.arange(n, dtype=np.float64) - c for n, c in zip(image.shape, centre, strict=True))
    levelled = image * np.exp(-1j * found.ramp[0] * y)[:, None] * np.exp(-1j * found.ramp[1] * x)[None, :]
    # The ramp is taken away before the shift: a cubic spline follows a level phase best.
    moved = ndimage.shift(levelled, [-s for s in found.shift_px], order=3, mode="nearest")
    phase = found.phase - float(np.dot(found.ramp, found.shift_px))
    return np.asarray(moved * np.exp(-1j * phase) / found.scale, np.complex64)


class _Shiftable:
    """An image that can be moved by fractions of a pixel, by the Fourier shift of its symmetric extension.

    The extension is continuous across its borders, so the shift does not ring from them.
    """

    def __init__(self, image: NDArray[np.complex128]) -> None:
        self.shape = image.shape
        both = np.concatenate([image, image[::-1]], axis=0)
        self._spectrum = fft.fft2(np.concatenate([both, both[:, ::-1]], axis=1))
        self._iy = 2j * np.pi * fft.fftfreq(2 * image.shape[0])[:, None]
        self._ix = 2j * np.pi * fft.fftfreq(2 * image.shape[1])[None, :]

    def at(self, shift: NDArray[np.float64]) -> list[NDArray[np.complex128]]:
        """``image(r + shift)`` and its derivatives along y and x."""
        moved = self._spectrum * np.exp(self._iy * shift[0] + self._ix * shift[1])
        height, width = self.shape
        return [fft.ifft2(moved * f)[:height, :width] for f in (1, self._iy, self._ix)]


def _align(
    image: _Shiftable,
    target: NDArray[np.complex128],
    weights: NDArray[np.float64],
    shift: NDArray[np.float64],
    ramp: NDArray[np.float64],
) -> tuple[NDArray[np.complex128], complex, list[NDArray[np.complex128]]]:
    """The image moved, levelled and scaled to fit the target; the scale; the derivatives by the shift."""
    moved, *gradients = image.at(shift)
    tilt = _tilt(image.shape, -ramp)
    aligned, factor = _scaled(moved * tilt, target, weights)
    return aligned, factor, [factor * tilt * g for g in gradients]


def _scaled(
    image: NDArray[np.complex128], target: NDArray[np.complex128], weights: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], complex]:
    """The image times the complex factor that brings it nearest to the target, and that factor."""
    factor = complex((weights * image.conj() * target).sum() / (weights * abs(image) ** 2).sum())
    return factor * image, factor


def _gauss_newton_step(
    aligned: NDArray[np.complex128],
    target: NDArray[np.complex128],
    weights: NDArray[np.float64],
    gradients: list[NDArray[np.complex128]],
) -> NDArray[np.float64]:
    """Changes of the ramp (y, x) and of whatever else ``aligned`` has these gradients by."""
    y, x = _axes(aligned.shape)
    # The factor is fitted beside the rest, else ramp and phase would hinder each other off centre.
    columns = [-1j * y * aligned, -1j * x * aligned, *gradients, aligned, 1j * aligned]
    jacobian = np.stack([c.ravel() for c in columns])
    weighted = jacobian.conj() * weights.ravel()
    normal = (weighted @ jacobian.T).real
    rhs = (weighted @ (target - aligned).ravel()).real
    unit = 1 / np.sqrt(np.maximum(np.diag(normal), 1e-300))
    scaled = normal * unit[:, None] * unit
    return np.asarray((unit * np.linalg.lstsq(scaled, unit * rhs, rcond=1e-9)[0])[:-2])


def _coarse_shift(
    estimate: NDArray[Any], truth: NDArray[Any], weights: NDArray[np.float64], max_shift_px: int
) -> NDArray[np.float64]:
    total = np.zeros(truth.shape)
    for axis in (0, 1):
        spectra = []
        for image in (estimate, truth):
            product = np.roll(image, -1, axis) * np.conj(image)
            mean = (weights * product).sum() / weights.sum()
            spectra.append(fft.fft2(weights * (product - mean)))
        total += abs(fft.ifft2(spectra[0] * spectra[1].conj()))
    offsets = [np.rint(fft.fftfreq(n) * n) for n in truth.shape]
    within = (abs(offsets[0])[:, None] <= max_shift_px) & (abs(offsets[1])[None, :] <= max_shift_px)
    row, column = np.unravel_index(np.argmax(np.where(within, total, -1)), truth.shape)
    return np.array([offsets[0][row], offsets[1][column]])


def _coarse_ramp(product: NDArray[Any]) -> NDArray[np.float64]:
    """Radians per pixel (y, x) of the strongest plane wave, to a quarter of a fringe over the image."""
    shape = [2 * n for n in product.shape]
    peak = np.unravel_index(np.argmax(abs(fft.fft2(product, shape))), shape)
    return np.array([2 * np.pi * fft.fftfreq(n)[p] for n, p in zip(shape, peak, strict=True)])


def _axes(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = (np.arange(n, dtype=np.float64) - n // 2 for n in shape)
    return y[:, None], x[None, :]


def _tilt(shape: tuple[int, ...], ramp: NDArray[np.float64]) -> NDArray[np.complex128]:
    y, x = _axes(shape)
    return np.asarray(np.exp(1j * (ramp[0] * y + ramp[1] * x)))
