"""By how much a picture has followed positions that are wrong, as of a stage that drifts: found by a short fit."""

from __future__ import annotations

import logging

import numpy as np
from torch import Tensor

from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import StopToken
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Measurement, Split, scan_canvas
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.polish import polish
from ptycho_core.quality import displacements

_log = logging.getLogger(__name__)

EPOCHS = 4
"""After three of them, two thirds of what a drift has bent were straight again."""
PATTERNS = 400
"""Of a larger scan, those in its middle are moved."""


def bent_px(model: Model, object: Tensor, one: Measurement, stop: StopToken) -> float:
    """Return by how many pixels (rms) a picture is bent, as far as a few epochs with refined positions find.

    Where patterns have followed a drift they fit one another, and each alone asks for little; all together they find
    out of it, also where so few photons are counted that what a single one asks for is chance.

    Parameters
    ----------
    model
        After its fit.
    object
        (1, H, W) complex on the canvas of the whole scan.
    one
        The scan, and which patterns train and validate; the latter say whether they are explained better then.
    stop
        Ends it early.
    """
    config = model.config.replace(positions="refine", probe_trainable=True, preview_seconds=0.0)
    own = DirectModel.from_model(model, config, object[0], len(one.scan)).to(object.device)
    own.place_object(scan_canvas(one.scan, model.config), scan_canvas(one.scan, config))
    rows = middle(one.scan, one.parts.train, PATTERNS)
    validation = middle(one.scan, one.parts.validation, PATTERNS)
    canvas = Canvas.of_scan(one.scan, one.amplitudes, rows, own.device, config)
    parts, start = Split(rows, validation, rows[:0]), own.object.detach()[None]
    try:
        found = polish(
            own,
            one.scan,
            canvas,
            parts,
            start,
            EPOCHS,
            config.accelerator,
            lambda event: None,
            stop,
            gently=True,
            looks_often=False,
        )
    except TrainingError as error:
        _log.warning("whether the picture is bent was not found: %s", error)
        return 0.0
    moved = found.model.shifts.detach()[rows].cpu().numpy().astype(np.float64)
    return displacements.bent_px(canvas.recorded[rows], canvas.recorded[rows] + moved)
