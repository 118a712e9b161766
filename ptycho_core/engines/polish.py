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
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Split, scan_canvas
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel, vacuum
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.trainer import build_trainer, quiet_lightning
from ptycho_core.scan.scan import Scan

WARM_START_PATTERNS = 2000
"""More patterns than these take minutes, and teach no more about the probe."""
_SHORT_FIT: dict[str, Any] = {
    "engine": "direct",
    "loss": "poisson",
    "batch_size": None,
    "n_groups": None,
    "learning_rate": 1e-3,
    "accumulate_grad_batches": 1,
    "num_workers": 0,
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "max_steps": None,
    "val_fraction": 0.0,
}
"""What a short fit does differently from the run that it belongs to."""


def refine_probe(
    model: Model, scan: Scan, amplitudes: Amplitudes, parts: Split, *, obey: Obey, emit: EventHandler
) -> None:
    """Improve a model's probe and background by its ``warm_start_epochs`` of the direct engine.

    It fits the training patterns, of a large scan those in its middle: the probe is the same everywhere. Where the
    config refines what belongs to each pattern alone it fits them all, and finds it for the held-out ones too.
    """
    each = max(len(model.shifts), len(model.log_gain))
    rows = parts.train if each else middle(scan, parts.train, WARM_START_PATTERNS)
    if len(rows) < len(parts.train):
        scan = scan.take(rows)
        amplitudes, none = Amplitudes(scan), rows[:0]
        parts = Split(np.arange(len(rows)), none, none)
    config = model.config.replace(**_SHORT_FIT, probe_trainable=True, max_epochs=model.warm_start_epochs)
    direct = DirectModel.from_model(model, config, vacuum(scan_canvas(scan, config).shape), each)
    _fit(direct, scan, amplitudes, parts, obey, emit)
    model.adopt_probe(direct)
    if each:
        held_out = np.sort(np.concatenate([parts.validation, parts.free]))
        canvas = Canvas.of_scan(scan, amplitudes, held_out, direct.device, config)
        direct.settle(canvas)
        model.adopt_patterns(direct)


def polish(
    model: Model,
    scan: Scan,
    canvas: Canvas,
    parts: Split,
    object: Tensor,
    epochs: int,
    accelerator: str,
    emit: EventHandler,
    stop: StopToken,
    *,
    from_afar: bool = False,
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
    from_afar
        Whether the object is no picture yet.

    Returns
    -------
    model
        In the state with the lowest deviance of the validation patterns, the start included.
    epochs
        After which that was.
    """
    config = model.config.replace(**_SHORT_FIT, accelerator=accelerator, max_epochs=epochs)
    direct = DirectModel.from_model(model, config, object[0], len(scan)).to(canvas.device)
    direct.from_afar = from_afar
    best = KeepBest(direct, canvas, parts)
    best.look(0)
    with quiet_lightning(config), contextlib.suppress(Cancelled):
        _fit(direct, scan, canvas.amplitudes, parts, Obey(stop), emit, best)
    direct.load_state_dict(best.state)
    return direct.to(canvas.device), best.epoch


class KeepBest(L.Callback):
    """Keeps the state with the lowest deviance of the validation patterns (the training ones if there are none)."""

    def __init__(self, model: Model, canvas: Canvas, parts: Split) -> None:
        self.model = model
        self.held_out = len(parts.validation) > 0
        self.canvas = canvas.only(parts.validation if self.held_out else parts.train)
        self.deviance = float("inf")
        self.epoch = 0
        self.state: dict[str, Any] = {}

    def look(self, epoch: int) -> None:
        """Keep this state if it is the best so far."""
        deviance = self.model.misfit_of(self.model.object_of(self.canvas), self.canvas, held_out=self.held_out).deviance
        if deviance < self.deviance or not self.state:
            self.deviance, self.epoch, self.state = deviance, epoch, copy.deepcopy(self.model.state_dict())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch is done."""
        self.look(trainer.current_epoch + 1)


def _fit(
    model: DirectModel,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    obey: Obey,
    emit: EventHandler,
    *callbacks: L.Callback,
) -> None:
    def pictures(event: happenings.Event) -> None:
        if isinstance(event, happenings.PreviewReady):
            emit(event)

    def picture() -> tuple[Any, Any, int]:
        return model.preview(scan, amplitudes, parts.train)

    seconds = model.config.preview_seconds
    report = Report(pictures, picture if seconds else None, seconds)
    data = ScanData(model, scan, Split(parts.train, parts.validation[:0], parts.free), amplitudes)
    trainer = build_trainer(model.config, callbacks=[RefuseNaN(), report, obey, *callbacks])
    trainer.fit(model, data)
