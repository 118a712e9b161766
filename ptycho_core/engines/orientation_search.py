"""Which way the patterns of a scan have to be turned to fit its positions: found by short fits of the direct engine.

Only how patterns and positions lie to each other can be seen: turning both turns the object. So the 8 orientations
of the patterns stand for all 64 combinations with orientations of the positions. They come in pairs: a pattern turned
by half a turn is that of the complex conjugate object and probe (``|F(psi*)|^2(u) = |F(psi)|^2(-u)``), so an
orientation and its half turn fit equally well in the end. Only the probe that the fit starts from tells them apart.
That is so in the far field; shadows of the near field fit in one orientation alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, raise_errors
from ptycho_core.base.events import StopToken
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.device_memory import home_of_patterns
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.polish import polish
from ptycho_core.engines.trainer import device_of
from ptycho_core.inspection.memory import check_memory
from ptycho_core.preprocessing import preprocess
from ptycho_core.preprocessing.centring import mean_pattern
from ptycho_core.scan.orientation import ORIENTATIONS, OrientationTrial
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Crop, Orient

SIZE = 64
"""Pixels to which patterns are cropped for the search, where most of the light falls within."""
PATTERNS = 200
VIEWS = 1600
"""Patterns that a fit looks at unless told otherwise, repeats counted: 8 epochs of 200."""
_ENOUGH_LIGHT = 0.8
_HELD_OUT = 0.1
_FEWEST_PATTERNS = 10


def search_orientation(
    scan: Scan,
    *,
    patterns: int = PATTERNS,
    epochs: int | None = None,
    accelerator: str = "auto",
    stop: StopToken | None = None,
    tried: Callable[[OrientationTrial, NDArray[np.complex64]], None] = lambda trial, object: None,
) -> list[OrientationTrial]:
    """Try the eight orientations of the patterns on a part of the scan.

    Parameters
    ----------
    scan
        With its positions as they are.
    patterns
        Of how many patterns in the scan's middle the part consists.
    epochs
        Of the direct engine, from the scan's own probe or a guess; by default 8 of 200 patterns, more of fewer.
    accelerator
        As in the config.
    stop
        Ends the search after the trial at hand.
    tried
        Told each trial when it is done, with its object (h, w).

    Returns
    -------
    list of OrientationTrial
        The lowest deviance first.

    Raises
    ------
    InputError
        There are too few patterns or epochs, or the memory does not suffice.
    """
    if epochs is not None and epochs < 1:
        raise InputError(f"epochs must be 1 or more (it is {epochs})")
    if min(patterns, len(scan)) < _FEWEST_PATTERNS:
        raise InputError(f"patterns must be {_FEWEST_PATTERNS} or more (there are {min(patterns, len(scan))})")
    config = Config(engine="direct", free_fraction=0.0, val_fraction=_HELD_OUT, preview_seconds=0.0)
    part = _part(scan, patterns)
    raise_errors(check_memory(config, part))
    epochs = epochs or math.ceil(VIEWS / len(part))
    token = stop or StopToken()
    trials = []
    for orientation in ORIENTATIONS:
        if not token.stop_requested:
            trial, object = _try(part, orientation, config, epochs, accelerator, token)
            trials.append(trial)
            tried(trial, object)
    return sorted(trials, key=lambda trial: trial.deviance)


def _part(scan: Scan, patterns: int) -> Scan:
    """Return patterns of the scan's middle, cropped to where most of the light is, in memory."""
    part = scan.take(middle(scan, np.arange(len(scan)), patterns))
    if part.size > SIZE:
        mean = mean_pattern(part)
        size = SIZE
        while size < part.size and _light_within(mean, size) < _ENOUGH_LIGHT:
            size *= 2
        part = preprocess(part, [Crop(min(size, part.size))])
    return dataclasses.replace(part, patterns=part.patterns.load())


def _light_within(mean: NDArray[np.float64], size: int) -> float:
    low = mean.shape[0] // 2 - size // 2
    return float(mean[low : low + size, low : low + size].sum() / mean.sum())


def _try(
    part: Scan, orientation: str, config: Config, epochs: int, accelerator: str, stop: StopToken
) -> tuple[OrientationTrial, NDArray[np.complex64]]:
    turned = preprocess(part, [Orient(orientation)])
    parts = split(len(turned), config)
    device = device_of(accelerator)
    amplitudes = Amplitudes(turned, home_of_patterns(config, turned, device))
    canvas = Canvas.of_scan(turned, amplitudes, parts.train, device)
    model = DirectModel.from_scan(turned, config)
    start = model.object_of(canvas)
    model, *_ = polish(model, turned, canvas, parts, start, epochs, accelerator, lambda event: None, stop)
    object = model.object_of(canvas)
    found = model.misfit_of(object, canvas.only(parts.validation))
    return OrientationTrial(orientation, found.deviance, found.misfit), object[0].cpu().numpy()
