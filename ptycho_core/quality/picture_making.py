"""From an object and a probe to what is drawn of them. For workers: large objects, and the imports, take seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import unwrap_phase

from ptycho_core.base.events import PreviewReady, StopToken
from ptycho_core.formats.writers.images import Style, amplitude_style, bounding_box, covered_area, phase_style
from ptycho_core.quality.comparison import Comparison
from ptycho_core.quality.picture import Options, Picture, Pictures, Subject
from ptycho_core.quality.pyramid import Pyramid, halvings
from ptycho_core.quality.registration import phase_ramp
from ptycho_core.scan.reconstruction import Reconstruction

_FOR_RAMP, _FOR_UNWRAPPING, _FOR_SHADE = 256, 1024, 1024
"""Largest side in pixels that the ramp is sought on, that is unwrapped, and that tells where there was light."""
_FOR_LEVELS = 200_000


def subject_of_preview(preview: PreviewReady) -> Subject:
    """Return what is to be shown of a preview.

    Its canvas ends half a probe beyond the outermost positions, so what is dark at the rim of the probe is dark there.
    """
    lit = bounding_box(covered_area(abs(preview.probe) ** 2))
    top, left = ((part.start or 0) // preview.binning for part in lit)
    covered = np.zeros_like(preview.object, np.bool_)
    covered[top : len(covered) - top, left : len(covered[0]) - left] = True
    return Subject(preview.object, covered, preview.probe[None], None, preview.pixel_size_m, preview.binning)


def subject_of_reconstruction(recon: Reconstruction) -> Subject:
    """Return what is to be shown of a reconstruction."""
    return Subject(recon.object, covered_area(recon.coverage), recon.probe, recon.positions_px, recon.pixel_size_m)


def subjects_of_comparison(found: Comparison, first: Reconstruction, second: Reconstruction) -> tuple[Subject, Subject]:
    """Return what is to be shown of two reconstructions, on the same pixels."""
    positions = first.positions_px - found.origin
    covered = covered_area(found.covered.astype(np.float32))
    one = Subject(found.first, covered, first.probe, positions, first.pixel_size_m)
    return one, replace(one, object=found.second, probe=second.probe)


def make_pictures(subject: Subject, options: Options, token: StopToken) -> Pictures:
    """Make the pictures."""
    first = subject.probe[0]
    mean = np.vdot(abs(first), first)
    probe = np.asarray(subject.probe * np.exp(-1j * np.angle(mean)), np.complex64)
    return Pictures(subject, _picture(subject.object, subject.covered, subject.binning, options, token), probe)


def _picture(
    image: NDArray[np.complex64], covered: NDArray[np.bool_], binning: int, options: Options, token: StopToken
) -> Picture:
    if not covered.any():
        covered = np.ones_like(covered)
    field = _levelled(image, covered, options.remove_ramp)
    token.leave_if_cancelled()
    fields = halvings(field)
    amplitudes = halvings(abs(field))
    phases = [np.angle(each) for each in fields]
    token.leave_if_cancelled()
    if options.unwrap:
        phases = halvings(_unwrapped(fields, covered))
    token.leave_if_cancelled()
    step = max(1, round(np.sqrt(covered.size / _FOR_LEVELS)))
    counting = covered[::step, ::step]
    phase = phases[0][::step, ::step][counting]
    style = phase_style(phase)
    if options.unwrap:  # it knows no circle
        style = Style(style.label, style.cmap, 0.5, amplitude_style(phase).limits)
    ends = [(float(part.start), float(part.stop)) for part in bounding_box(covered)]
    (top, bottom), (left, right) = [(first * binning - 0.5, last * binning - 0.5) for first, last in ends]
    coarse = _step_to(_FOR_SHADE, covered.shape)
    return Picture(
        field=field,
        images={"amplitude": Pyramid(tuple(amplitudes), binning), "phase": Pyramid(tuple(phases), binning)},
        styles={"amplitude": amplitude_style(amplitudes[0][::step, ::step][counting]), "phase": style},
        dark=Pyramid(((~covered[::coarse, ::coarse]).astype(np.uint8),), binning * coarse),
        box=(left, top, right - left, bottom - top),
        options=options,
    )


def _levelled(image: NDArray[np.complex64], covered: NDArray[np.bool_], remove_ramp: bool) -> NDArray[np.complex64]:
    """Return the image without its mean phase, which ptychography does not determine, and without its ramp if asked."""
    field = np.asarray(image, np.complex64)
    if remove_ramp:
        step = _step_to(_FOR_RAMP, field.shape)
        ramp = phase_ramp(_block_means(field, step), _block_means(covered.astype(np.float32), step))
        y, x = (np.exp(-1j * r / step * np.arange(n)) for r, n in zip(ramp, field.shape, strict=True))
        field = field * y.astype(np.complex64)[:, None] * x.astype(np.complex64)[None, :]
    mean = np.vdot(covered.astype(np.float32), field)
    return np.asarray(field * np.exp(-1j * np.angle(mean)), np.complex64)


def _unwrapped(fields: list[NDArray[np.complex64]], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the phase without jumps of 2 pi where there was light.

    A large one is unwrapped at reduced size, which tells how many turns each of its pixels is away.
    """
    level = next(k for k, field in enumerate(fields) if max(field.shape) <= _FOR_UNWRAPPING)
    step = 2**level
    reduced = np.angle(fields[level])
    dark = ~covered[::step, ::step][: reduced.shape[0], : reduced.shape[1]]
    smooth = unwrap_phase(np.ma.array(reduced, mask=dark))  # type: ignore[no-untyped-call]
    smooth = np.where(dark, reduced, np.ma.getdata(smooth))
    smooth -= 2 * np.pi * np.rint(np.median(smooth[~dark]) / (2 * np.pi)) if (~dark).any() else 0
    phase = np.angle(fields[0])
    rows, columns = (np.minimum(np.arange(n) // step, m - 1) for n, m in zip(phase.shape, reduced.shape, strict=True))
    turns = np.rint((smooth[rows[:, None], columns[None, :]] - phase) / (2 * np.pi))
    return np.asarray(phase + 2 * np.pi * turns, np.float32)


def _step_to(largest: int, shape: tuple[int, ...]) -> int:
    return max(1, -(-max(shape) // largest))


def _block_means(image: NDArray[Any], step: int) -> NDArray[Any]:
    height, width = (n // step for n in image.shape)
    blocks = image[: height * step, : width * step].reshape(height, step, width, step)
    return np.asarray(blocks.mean(axis=(1, 3)))
