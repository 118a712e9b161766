"""Short fits by the direct engine: of the probe before the network trains, and of its object afterwards."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import lightning as L
import numpy as np
from torch import Tensor

from ptycho_core.base import events as happenings
from ptycho_core.base.events import Cancelled, EventHandler, StopToken
from ptycho_core.engines.callbacks import Obey, RefuseNaN, Report
from ptycho_core.engines.data import Amplitudes, ScanData, Split
from ptycho_core.engines.models.base import PtychographyModule
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.start import scan_canvas
from ptycho_core.engines.trainer import build_trainer, quiet_lightning
from ptycho_core.engines.whole_canvas import Canvas, middle, preview, r_of
from ptycho_core.scan.scan import Scan

WARM_START_PATTERNS = 2000
"""More patterns than these take minutes, and teach no more about the probe."""
_SHORT_FIT: dict[str, Any] = {
    "engine": "direct",
    "loss": "mae",
    "batch_size": 8,
    "n_groups": None,
    "learning_rate": 1e-3,
    "optimizer": "adam",
    "scheduler": "one_cycle",
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "precision": "32-true",
    "num_workers": 0,
    "val_fraction": 0.0,
}
"""What a short fit does differently from the run that it belongs to."""


def refine_probe(
    model: PtychographyModule, scan: Scan, amplitudes: Amplitudes, parts: Split, *, obey: Obey, emit: EventHandler
) -> None:
    """Improve a model's probe and background by ``warm_start_epochs`` of the direct engine.

    It fits the training patterns, of a large scan those in its middle: the probe is the same everywhere.
    """
    rows = middle(scan, parts.train, WARM_START_PATTERNS)
    if len(rows) < len(parts.train):
        scan = scan.take(rows)
        amplitudes, none = Amplitudes(scan), rows[:0]
        parts = Split(np.arange(len(rows)), none, none)
    direct = _direct(model, scan_canvas(scan)[1], probe_trainable=True)
    _fit(direct, scan, amplitudes, parts, model.config.warm_start_epochs, obey, emit)
    model.adopt_probe(direct)


def polish(
    model: PtychographyModule,
    scan: Scan,
    canvas: Canvas,
    parts: Split,
    object: Tensor,
    epochs: int,
    accelerator: str,
    emit: EventHandler,
    stop: StopToken,
) -> tuple[DirectModel, int]:
    """Let the direct engine go on from an object and a model's probe and background.

    Parameters
    ----------
    model
        Whose config, probe, background and good pixels are used.
    scan, canvas, parts
        The scan, its canvas, and which patterns train and validate.
    object
        (1, H, W) complex on the canvas.
    epochs
        At most; a stop or a cancel ends it earlier.
    accelerator
        As in the config.
    emit, stop
        Observer and token.

    Returns
    -------
    model
        In the state with the best R on the validation patterns, the start included.
    epochs
        After which that was.
    """
    direct = _direct(model, canvas.shape, object[0], accelerator=accelerator)
    best = KeepBest(canvas, parts)
    best.look(direct.to(canvas.device), 0)
    with quiet_lightning(direct.config), contextlib.suppress(Cancelled):
        _fit(direct, scan, canvas.amplitudes, parts, epochs, Obey(stop), emit, best)
    direct.load_state_dict(best.state)
    return direct.to(canvas.device), best.epoch


def _direct(
    model: PtychographyModule, shape: tuple[int, int], object: Tensor | None = None, **changes: Any
) -> DirectModel:
    config = model.config.replace(**_SHORT_FIT, **changes)
    weight = None if model.weight is None else model.weight.cpu()
    direct = DirectModel(config, model.probe.detach().cpu(), weight, shape, None if object is None else object.cpu())
    direct.adopt_probe(model)
    return direct


class KeepBest(L.Callback):
    """Keeps the state with the lowest R on the validation patterns (the training ones if there are none)."""

    def __init__(self, canvas: Canvas, parts: Split) -> None:
        self.canvas = canvas
        self.rows = parts.validation if len(parts.validation) else parts.train
        self.r = float("inf")
        self.epoch = 0
        self.state: dict[str, Any] = {}

    def look(self, model: DirectModel, epoch: int) -> None:
        """Keep this state if it is the best so far."""
        r = r_of(model, model.object.detach()[None], model.probe.detach(), self.canvas, self.rows)
        if r < self.r or not self.state:
            self.r, self.epoch, self.state = r, epoch, copy.deepcopy(model.state_dict())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch is done."""
        assert isinstance(pl_module, DirectModel)
        self.look(pl_module, trainer.current_epoch + 1)


def _fit(
    model: DirectModel,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    epochs: int,
    obey: Obey,
    emit: EventHandler,
    *callbacks: L.Callback,
) -> None:
    def pictures(event: happenings.Event) -> None:
        if isinstance(event, happenings.PreviewReady):
            emit(event)

    def picture() -> tuple[Any, Any, int]:
        return preview(model, scan, amplitudes, parts.train)

    seconds = model.config.preview_seconds
    report = Report(pictures, picture if seconds else None, seconds)
    data = ScanData(
        model.config,
        scan,
        Split(parts.train, parts.validation[:0], parts.free),
        canvas=scan_canvas(scan),
        amplitudes=amplitudes,
    )
    trainer = build_trainer(model.config, max_epochs=epochs, callbacks=[RefuseNaN(), report, obey, *callbacks])
    trainer.fit(model, data)
