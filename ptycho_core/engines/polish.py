"""Short fits by the direct engine: of the probe before the network trains, and of its object afterwards."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.events import (
    Cancelled,
    Event,
    EventHandler,
    PreviewReady,
    RolledBack,
    Stage,
    StageChanged,
    StopToken,
)
from ptycho_core.engines.callbacks import Obey, Report
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Measurement, Split, scan_canvas
from ptycho_core.engines.divergence import RollBack
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.solution import vacuum
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.step_log import StepLog
from ptycho_core.engines.trainer import build_trainer, quiet_lightning
from ptycho_core.scan.scan import Scan

WARM_START_PATTERNS = 2000
"""More patterns than these take minutes, and teach no more about the probe."""
GENTLY = 0.5
"""Steps from a picture on, as a part of those from vacuum: whole ones would first undo what is good in it."""
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
}
"""What a short fit does differently from the run that it belongs to."""
_JOIN_RATE = 3e-4
"""A fit that is done asks for shorter steps than one that begins."""


def warm_start(
    model: Model,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    *,
    obey: Obey,
    emit: EventHandler,
    keep_as: Path | None = None,
) -> DirectModel:
    """Fit the direct engine until the probe stands, and let a model go on with its probe and background.

    It takes ``warm_start_epochs`` of the model at most, on the training patterns, of a large scan those in its middle:
    the probe is the same everywhere. Where the config refines what belongs to each pattern alone it fits them all, and
    finds it for the held-out ones too.

    Parameters
    ----------
    model
        Gets probe, background, shifts and brightness.
    scan, amplitudes, parts
        The whole scan.
    obey, emit
        Stop and observer: it sees pictures, the last one when the fit is over.
    keep_as
        The checkpoint of the direct engine to write, if any.

    Returns
    -------
    DirectModel
        The solver as it ended. Its object lies on the canvas of the whole scan, vacuum where nothing was fitted.
    """
    each = max(len(model.shifts), len(model.log_gain))
    rows = parts.train if warms_up_on_all(model, parts) else middle(scan, parts.train, WARM_START_PATTERNS)
    part = scan if len(rows) == len(parts.train) else scan.take(rows)  # else a canvas that is larger than it need be
    config = _short(model.config, probe_trainable=True, max_epochs=model.warm_start_epochs)
    placed = scan_canvas(part, config)
    direct = DirectModel.from_model(model, config, vacuum(placed.shape), each)
    direct.scan_summary = model.scan_summary
    if part is scan:
        fitted = parts
    else:
        amplitudes, fitted = amplitudes.take(rows), Split(np.arange(len(rows)), rows[:0], rows[:0])
    trainer = _fit(direct, part, amplitudes, fitted, obey, emit, Stage.WARMING_UP)
    model.adopt_probe(direct)
    if each:
        held_out = np.sort(np.concatenate([parts.validation, parts.free]))
        canvas = Canvas.of_scan(scan, amplitudes, held_out, direct.device, config)
        direct.settle(canvas)
        model.adopt_patterns(direct)
    if part is not scan:
        direct.place_object(placed, scan_canvas(scan, config))
    if keep_as is not None:
        trainer.save_checkpoint(keep_as, weights_only=True)
    return direct


def warms_up_on_all(model: Model, parts: Split) -> bool:
    """Say whether a warm start fits all training patterns, so that its object is a picture of the whole scan."""
    return len(model.shifts) > 0 or len(model.log_gain) > 0 or len(parts.train) <= WARM_START_PATTERNS


def _short(config: Config, **changes: Any) -> Config:
    """Return the config of a short fit that belongs to a run of this one."""
    if not KNOBS["probe_variation"].serves(config.engine):
        changes["probe_variation"] = 0
    return config.replace(**_SHORT_FIT, prior=config.prior or 0.0, **changes)


class Polished(NamedTuple):
    """What polishing found: the best state, after which epoch that was, and whether its object is a cleaned one."""

    model: DirectModel
    epoch: int
    cleaned: bool


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
    gently: bool = False,
    looks_often: bool = True,
) -> Polished:
    """Let the direct engine go on from an object and a model's probe and background, and the model clean what it finds.

    Parameters
    ----------
    model
        Whose config, probe, background and good pixels are used; a network cleans the object of each epoch once more,
        and the cleaned one is kept where it is better.
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
    gently
        Whether it is a good one.
    looks_often
        Whether the state after any epoch may be the best; else only that after the last.

    Returns
    -------
    Polished
        What has the lowest deviance of the validation patterns, the start included.
    """
    config = _short(model.config, accelerator=accelerator, max_epochs=epochs)
    if gently:
        config = config.replace(learning_rate=GENTLY * config.learning_rate)
    direct = DirectModel.from_model(model, config, object[0], len(scan)).to(canvas.device)
    direct.phases.from_afar = from_afar
    best = KeepBest(direct, canvas, parts, model, 1 if looks_often else epochs)
    best.look(0)
    with quiet_lightning(config), contextlib.suppress(Cancelled):
        _fit(direct, scan, canvas.amplitudes, parts, Obey(stop), emit, Stage.POLISHING, best)
    direct.load_state_dict(best.state)
    return Polished(direct.to(canvas.device), best.epoch, best.cleaned)


def join(
    model: Model, scan: Scan, canvas: Canvas, object: Tensor, accelerator: str, emit: EventHandler, stop: StopToken
) -> tuple[DirectModel, int]:
    """Let the direct engine go on for a few epochs with all patterns, those that were withheld too: for the picture.

    At a low rate, with the prior that the model has. No pattern is left to judge what comes of it.

    Parameters
    ----------
    model
        That was scored: its probe, what it knows of each pattern, and its prior.
    scan, canvas
        The whole scan.
    object
        (1, H, W) complex on the canvas.
    accelerator
        As in the config.
    emit, stop
        Observer and token.

    Returns
    -------
    model
        As it ended.
    epochs
        That it took.

    Raises
    ------
    TrainingError
        It diverged.
    """
    changes = {**_SHORT_FIT, "learning_rate": _JOIN_RATE, "prior": None, "val_fraction": 0.0}
    config = model.config.replace(**changes, accelerator=accelerator, max_epochs=model.final_epochs)
    direct = DirectModel.from_model(model, config, object[0], len(scan)).to(canvas.device)
    direct.prior.copy_(model.state_dict().get("prior", direct.prior))
    direct.phases.from_afar = False
    every = np.arange(len(scan))
    split = Split(every, every[:0], every[:0])
    with quiet_lightning(config):
        trainer = _fit(direct, scan, canvas.amplitudes, split, Obey(stop), emit, Stage.FINAL_PASS)
    return direct.to(canvas.device), trainer.current_epoch


class KeepBest(L.Callback):
    """Keeps the state with the lowest deviance of the validation patterns (the training ones if there are none).

    Parameters
    ----------
    model
        That is fitted.
    canvas, parts
        The scan's canvas, and which patterns it holds.
    cleans
        The model that may clean the object.
    every
        Epochs between two looks.
    """

    def __init__(self, model: DirectModel, canvas: Canvas, parts: Split, cleans: Model, every: int) -> None:
        self.model, self.cleans, self.every = model, cleans, every
        self.held_out = len(parts.validation) > 0
        self.fitted, self.canvas = canvas, canvas.only(parts.validation if self.held_out else parts.train)
        self.deviance = float("inf")
        self.epoch, self.cleaned = 0, False
        self.state: dict[str, Any] = {}

    def look(self, epoch: int) -> None:
        """Keep this state, with its object as it is or cleaned, if it is the best so far."""
        object = self.model.object_of(self.canvas)
        if epoch == 1 and self.held_out and not self.model.phases.from_afar:
            self._hold_probe(object)
        self._weigh(epoch, object)
        if epoch:  # what it begins with is clean
            cleaned = self.cleans.cleaned(object, self.fitted, self.model.probe)
            if cleaned is not object:
                self._weigh(epoch, cleaned, cleaned=True)

    def _hold_probe(self, object: Tensor) -> None:
        """Hold the probe of the start where that explains an object better than what has been learned by now.

        A beam that is known from more photons than a faint scan has can only get worse.
        """
        parts = self.model.probe_parts
        if not parts.requires_grad:
            return
        learned, after = parts.detach().clone(), self._deviance(object)
        parts.data.copy_(self.state["probe_parts"])
        if self._deviance(object) < after:
            parts.requires_grad_(False)
        else:
            parts.data.copy_(learned)

    def _deviance(self, object: Tensor) -> float:
        return self.model.misfit_of(object, self.canvas, held_out=self.held_out).deviance

    def _weigh(self, epoch: int, object: Tensor, *, cleaned: bool = False) -> None:
        deviance = self._deviance(object)
        if deviance < self.deviance or not self.state:
            state = copy.deepcopy(self.model.state_dict())
            state["object_parts"] = torch.view_as_real(object[0]).clone()
            self.deviance, self.epoch, self.state, self.cleaned = deviance, epoch, state, cleaned

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch is done."""
        if number_of_epoch(trainer) % self.every == 0:
            self.look(number_of_epoch(trainer))


def _fit(
    model: DirectModel,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    obey: Obey,
    emit: EventHandler,
    stage: Stage,
    *callbacks: L.Callback,
) -> L.Trainer:
    """Fit, showing nothing but epochs and pictures, the last one at the end, and saying if the fit goes wrong."""

    def told(event: Event) -> None:
        if isinstance(event, PreviewReady):
            emit(dataclasses.replace(event, stage=stage))
        elif isinstance(event, StageChanged) and event.stage == Stage.TRAINING:
            emit(StageChanged(stage, event.epoch, model.config.max_epochs))
        elif isinstance(event, RolledBack):
            emit(event)

    model.terse = True
    measured = Measurement(scan, amplitudes, Split(parts.train, parts.validation[:0], parts.free))
    seconds = model.config.preview_seconds
    report = Report(told, [partial(model.preview, measured)] if seconds else [], seconds)
    data = ScanData(model, [measured])
    trainer = build_trainer(model.config, callbacks=[StepLog(), RollBack(told), report, obey, *callbacks])
    trainer.fit(model, data)
    return trainer
