"""Two halves of a scan, each with an object and a probe of its own: down to which detail they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError, TrainingError
from ptycho_core.base.events import StopToken
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Split
from ptycho_core.engines.device_memory import home_of_patterns
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.solution import vacuum
from ptycho_core.engines.polish import polish
from ptycho_core.engines.signs import excess_of
from ptycho_core.engines.trainer import device_of
from ptycho_core.quality.metrics import WELL_COVERED, frc, scanned_box
from ptycho_core.quality.registration import register, soft_window
from ptycho_core.scan.scan import Scan

PATTERNS = 400
"""Of a larger scan, those in its middle are compared: that many tell the resolution as well as all."""
EPOCHS = (10, 40)
VIEWS = 4000
"""Patterns that both fits together look at, repeats counted, as far as the least and the most epochs allow."""
_FEWEST_PATTERNS = 16
_COMMON = 0.5


def views_of(parts: Split) -> int:
    """Return how many patterns the two fits of `compare_halves` look at together, repeats counted."""
    count = min(PATTERNS, len(parts.train))
    return count * _epochs(count)


def compare_halves(model: Model, scan: Scan, parts: Split, accelerator: str, stop: StopToken) -> dict[str, Any]:
    """Reconstruct every other pattern and the rest by short fits of the direct engine, and correlate the two objects.

    Each half starts from vacuum and the model's probe and background, and goes on with a probe of its own, whether
    the run improved the probe or not. Free patterns take no part.

    Parameters
    ----------
    model
        After reconstruction.
    scan, parts
        The scan, and which patterns train and validate; in each half the validation patterns say which
        epoch is best.
    accelerator
        As in the config.
    stop
        A stop leaves the comparison out.

    Returns
    -------
    dict
        ``half_scans_resolution_px``, half a period in pixels, 1 where they agree in everything, their relative
        ``half_scans_difference``, and ``half_scans_error``, that of the validation patterns under them (`Excess`); or,
        where that cannot be had, ``half_scans_reason``, a sentence. In the near field ``half_scans_coarsest_px``: half
        a period from which on they are compared, as coarser phases are hardly seen.
    """
    try:
        return _compared(model, scan, parts, accelerator, stop)
    except _NotComparableError as reason:
        return {"half_scans_reason": str(reason)}


class _NotComparableError(Exception):
    """Why there is no comparison, in a sentence."""


def _compared(model: Model, scan: Scan, parts: Split, accelerator: str, stop: StopToken) -> dict[str, Any]:
    rows = middle(scan, np.sort(np.concatenate([parts.train, parts.validation])), PATTERNS)
    validates = np.isin(rows, parts.validation)
    train, validation = np.flatnonzero(~validates), np.flatnonzero(validates)
    halves = train[::2], train[1::2]
    if len(halves[1]) < _FEWEST_PATTERNS:
        raise _NotComparableError(f"{len(train)} patterns are too few: each half needs {_FEWEST_PATTERNS} or more")
    scan, config = scan.take(rows), model.config.replace(probe_trainable=True, positions="off", preview_seconds=0.0)
    device = device_of(accelerator)
    whole = Canvas.of_scan(scan, Amplitudes(scan, home_of_patterns(config, scan, device)), train, device)
    window = _window(whole, halves, model)
    epochs = _epochs(len(train))
    found = []
    for half in halves:
        own = DirectModel.from_model(model, config, vacuum(whole.shape))
        split = Split(half, validation, half[:0])
        found.append(_fitted(own, scan, whole.only(half), split, epochs, accelerator, stop))
    objects, errors = zip(*found, strict=True)
    aligned = register(objects[1], objects[0], window).aligned
    lowest = model.propagator.lowest_frequency
    apart, common = (window * (objects[0] - aligned)), window * (objects[0] + aligned)
    told: dict[str, Any] = {
        "half_scans_resolution_px": frc(objects[0], aligned, window=window, lowest=lowest).resolution_px or 1.0,
        "half_scans_difference": float(np.linalg.norm(apart) / np.linalg.norm(common)),
        "half_scans_error": float(np.sqrt(np.mean(np.square(errors)))),
    }
    return {**told, "half_scans_coarsest_px": 0.5 / lowest} if lowest else told


def _epochs(count: int) -> int:
    """Return for how many epochs both halves of so many patterns are fitted."""
    return min(EPOCHS[1], max(EPOCHS[0], -(-VIEWS // max(1, count))))


def _window(whole: Canvas, halves: tuple[NDArray[np.int64], NDArray[np.int64]], model: Model) -> NDArray[Any]:
    """Return the window (H, W) on what both halves light well, of what was scanned."""
    try:
        box = scanned_box(whole.shape, whole.positions[whole.rows])
    except InputError as error:
        raise _NotComparableError(str(error)) from error
    lit = [whole.only(half).light(model.probe.detach())[0].cpu().numpy() for half in halves]
    covered = np.minimum(*lit) >= WELL_COVERED * np.median(np.maximum(*lit)[box])
    window = soft_window(covered & box)
    if covered[box].mean() < _COMMON or not window.any():
        both = f"{covered[box].mean():.0%} of the scan"
        raise _NotComparableError(f"the two halves both light only {both}: patterns lie too far apart")
    return window


def _fitted(
    own: DirectModel, scan: Scan, half: Canvas, split: Split, epochs: int, accelerator: str, stop: StopToken
) -> tuple[NDArray[np.complex64], float]:
    """Return the object (H, W) that half of the patterns make from vacuum, and the error of patterns kept apart."""
    start = vacuum(half.shape)[None]
    try:
        fitted, epoch, _ = polish(
            own, scan, half, split, start, epochs, accelerator, lambda event: None, stop, from_afar=True
        )
    except TrainingError as error:
        raise _NotComparableError("the fit of half the patterns diverged") from error
    if stop.stop_requested:
        raise _NotComparableError("the comparison was stopped")
    if not epoch:
        raise _NotComparableError("half the patterns explain the rest no better than an empty picture does")
    object = fitted.object.detach()
    kept = excess_of(fitted, object[None], half.only(split.validation), held_out=True)
    return object.cpu().numpy(), kept.error
