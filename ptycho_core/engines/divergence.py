"""Fits that go wrong: noticed, taken back to their best state at a lower rate, and never called a picture."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import Cancelled, EventHandler, RolledBack
from ptycho_core.engines import losses
from ptycho_core.engines.canvas import Canvas, Some, middle
from ptycho_core.engines.data import Batch, Measurement
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.step_log import Glances

MOST, SLOWER = 2, 0.1
"""Times that a fit is taken back, and the part of the rate with which it then goes on."""
WORSE_THAN_NOTHING = 2.0
"""A deviance this many times that of a featureless object, and the fit diverges."""
WORSE_THAN_BEST, WORSE_THAN_MEAN, EPOCHS = 1.4, 4.0, 3
"""The same where it is this many times the best, or that of the mean pattern, for so many epochs in a row: neither
overfitting goes that far, nor a fit that begins with a wrong probe."""
LEAST_TOLD = 0.1
"""Part of the deviance beyond noise that a picture explains and the same picture elsewhere does not, at least."""
EMPTY = 1.1
"""A misfit of the mean pattern below which there is nothing to be seen."""
_PATTERNS = 64


class RollBack(L.Callback):
    """Takes a fit that diverges back to its best state, at a lower rate; where that does not help, it has failed.

    It diverges where a loss is not a number, where the deviance of the validation patterns (of the training patterns,
    where none validate) is far above that of a featureless object, or for some epochs far above the best or that of
    the mean pattern. The schedule goes on from where it is.

    Parameters
    ----------
    emit
        Told in a `RolledBack` event.

    Attributes
    ----------
    put_back
        Numbers of epochs whose metrics are those of a state that was given up.
    """

    def __init__(self, emit: EventHandler) -> None:
        self.emit = emit
        self.done, self.nothing, self.mean = 0, math.nan, math.nan
        self.put_back: set[int] = set()
        self.column = ""
        self._best, self._best_epoch, self._worse = math.inf, 0, 0
        self._broken_epoch = 0
        self._glances, self._losses = Glances(), list[Tensor]()
        self._state: dict[str, Any] = {}
        self._optimizers: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Lightning: what a resumed run goes on with."""
        return {"done": self.done, "nothing": self.nothing, "mean": self.mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning: go on counting."""
        self.done, self.nothing, self.mean = state_dict["done"], state_dict["nothing"], state_dict["mean"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: find out what would be explained without an object."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ScanData)
        assert isinstance(pl_module, Model)
        validates = data.test is None and data.validates
        self.column = "poisson_val_loss" if validates else "poisson_train_loss_epoch"
        if math.isnan(self.nothing):
            patterns = [len(one.parts.validation if validates else one.parts.train) for one in data.recorded]
            found = [self._without(pl_module, one, validates) for one in data.recorded]
            self.nothing, self.mean = np.average(found, axis=0, weights=patterns).tolist()

    def _without(self, model: Model, one: Measurement, validates: bool) -> tuple[float, float]:
        """Return the deviance of a scan's patterns without an object, and that of their mean."""
        model = model.of_scan(one.beam)
        rows = middle(one.scan, one.parts.validation if validates else one.parts.train, _PATTERNS)
        canvas = Canvas.of_scan(one.scan, one.amplitudes, rows, model.device, model.config)
        seen = canvas.only(middle(one.scan, one.parts.train, _PATTERNS))
        return _deviance_of_nothing(model, canvas), _deviance_of_mean(canvas, seen)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: a resumed run has its state by now, and has done so many epochs."""
        self._keep(trainer, pl_module, math.inf, trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: look at the loss of the batch, and at those since the last look."""
        self._losses.append(outputs["loss"] if isinstance(outputs, dict) else outputs)
        if self._glances.due(trainer):
            self._look(trainer, pl_module)

    def _look(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        losses, self._losses = self._losses, []
        if not trainer.strategy.reduce_boolean_decision(bool(torch.stack(losses).isfinite().all())):
            self._broken_epoch = number_of_epoch(trainer)
            self._go_back(trainer, pl_module, f"the loss is not a number in {_where(trainer)}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done; all processes have the same metrics."""
        if self._losses:  # a stop ended the epoch before its last batch
            self._look(trainer, pl_module)
        value = float(trainer.callback_metrics.get(self.column, math.nan))
        if self._broken_epoch == number_of_epoch(trainer) and self.column.endswith("_epoch"):
            return  # the mean holds the loss that was not a number
        hopeless = value > WORSE_THAN_MEAN * self.mean
        self._worse = self._worse + 1 if hopeless or value > WORSE_THAN_BEST * self._best else 0
        far = ""
        if not value <= WORSE_THAN_NOTHING * self.nothing:
            far = f"{self.nothing:.4g}, that of no object at all"
        elif self._worse == EPOCHS and math.isfinite(self._best):
            far = f"{self._best:.4g}, that of epoch {self._best_epoch}"
        elif self._worse == EPOCHS:
            far = f"{self.mean:.4g}, that of the mean pattern"
        if far:
            self.put_back.add(number_of_epoch(trainer))
            self._go_back(trainer, pl_module, f"the deviance is {value:.4g} in {_where(trainer)}, far above {far}")
        elif value < self._best and not hopeless:
            self._keep(trainer, pl_module, value, number_of_epoch(trainer))

    def take_best(self, model: Model) -> None:
        """Put the best state of the fit into its model, where one was worth keeping."""
        if math.isfinite(self._best):
            model.load_state_dict(self._state)

    def _keep(self, trainer: L.Trainer, model: L.LightningModule, value: float, epoch: int) -> None:
        self._best, self._best_epoch = value, epoch
        self._state = copy.deepcopy(model.state_dict())
        self._optimizers = [copy.deepcopy(each.state_dict()) for each in trainer.optimizers]

    def _go_back(self, trainer: L.Trainer, model: L.LightningModule, what: str) -> None:
        assert isinstance(model, Model)
        if self.done == MOST:
            if not trainer.is_global_zero:
                raise Cancelled
            raise TrainingError(
                f"training diverged: {what}, also at a hundredth of the learning rate; what was saved before is kept. "
                "Look first at what ptycho inspect tells of the scan, then try a smaller learning rate"
            )
        self.done += 1
        self._worse = 0
        model.load_state_dict(self._state)
        for optimizer, state in zip(trainer.optimizers, self._optimizers, strict=True):
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(copy.deepcopy(state))  # which would go on in the copy that is kept
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * SLOWER
            optimizer.zero_grad()
        for plan in trainer.lr_scheduler_configs:
            if isinstance(plan.scheduler, torch.optim.lr_scheduler.LambdaLR):
                plan.scheduler.base_lrs = [rate * SLOWER for rate in plan.scheduler.base_lrs]
        model.state_was_put_back()
        to = f"the state after epoch {self._best_epoch}" if self._best_epoch else "the start"
        message = f"{what}: back to {to}, and on at a tenth of the learning rate"
        self.emit(RolledBack(number_of_epoch(trainer), trainer.global_step, message[0].upper() + message[1:]))


def no_picture(model: Model, object: Tensor, held_out: Canvas, seen: Canvas) -> str:
    """Say in a sentence that an object tells nothing of the patterns that were held out; where it does, say nothing.

    A picture explains a pattern where that was recorded better than where another was; one made of noise, or of
    patterns and positions that do not belong together, explains it in both places alike. (An object without features
    is no measure: where the probe is wrong, any object explains patterns better.) Nothing is said either where the
    photons do not suffice to tell, or where all patterns are alike: the sample is empty then, and so is its picture.

    Parameters
    ----------
    model
        After its fit.
    object
        (1, H, W) complex on the canvas.
    held_out, seen
        Patterns that the fit saw nothing of, and some that it saw.
    """
    if len(held_out.rows) < 2:
        return ""
    found, elsewhere = (
        model.misfit_of(object, where, held_out=True, settled=True) for where in (held_out, held_out.exchanged())
    )
    pixels = len(held_out.rows) * held_out.size**2
    told, asked = elsewhere.deviance - found.deviance, elsewhere.deviance - found.noise
    # The variance of a logarithm of likelihoods is about twice its mean.
    uncertain = 2 * math.sqrt(2 * max(asked, 0.0) / pixels)
    if told + uncertain > LEAST_TOLD * asked or _misfit_of_mean(held_out, seen) < EMPTY:
        return ""
    return (
        "patterns are explained no better where they were recorded than where others were: most likely positions and "
        "patterns do not belong together, by their axes, order or unit; or the probe is far from the truth"
    )


def _misfit_of_mean(held_out: Canvas, seen: Canvas) -> float:
    """Return how well the mean of patterns explains others."""
    mean = _mean_counts(seen).to(held_out.device)
    total = losses.MisfitSum()
    for some in held_out.batches():
        total.add(mean.expand_as(some.amplitude), some.amplitude, some.weight)
    return total.result().misfit


def _deviance_of_nothing(model: Model, canvas: Canvas) -> float:
    """Return the mean half deviance of a canvas' patterns, as it is logged, under a featureless object."""
    brightness, total = _brightness(model, canvas), 0.0
    for expected, some in _without_object(model, canvas):
        deviance = losses.poisson_deviance(expected * brightness, some.amplitude.square(), some.weight)
        total += len(expected) * float(deviance)
    return total / len(canvas.rows)


def _deviance_of_mean(canvas: Canvas, seen: Canvas) -> float:
    """Return the mean half deviance of a canvas' patterns, as it is logged, under the mean of others."""
    mean, total = _mean_counts(seen).to(canvas.device), 0.0
    for some in canvas.batches():
        deviance = losses.poisson_deviance(mean.expand_as(some.amplitude), some.amplitude.square(), some.weight)
        total += len(some.amplitude) * float(deviance)
    return total / len(canvas.rows)


def _mean_counts(seen: Canvas) -> Tensor:
    """(1, N, N): of some patterns, where they were measured."""
    amplitude, weight = seen.amplitudes[seen.rows[:_PATTERNS]]
    measured = torch.ones_like(amplitude) if weight is None else weight.expand_as(amplitude)
    return amplitude.square().sum(dim=0, keepdim=True) / measured.sum(dim=0, keepdim=True).clamp_min(1)


@torch.inference_mode()
def _without_object(model: Model, canvas: Canvas) -> Iterator[tuple[Tensor, Some]]:
    """Yield expected counts (b, N, N) of patterns, as if there were no object of modulus other than 1, and these."""
    for some in canvas.moved(model.shifts).batches():
        vacuum = torch.ones(some.windows.canvas, dtype=torch.complex64, device=canvas.device)
        yield model.predict_patterns(vacuum, model.probe, some.windows), some


def _brightness(model: Model, canvas: Canvas) -> float:
    """Return the square of the modulus of a featureless object with which as many counts are expected as measured."""
    sums = [
        (float(some.amplitude.square().sum()), float((expected * (1.0 if some.weight is None else some.weight)).sum()))
        for expected, some in _without_object(model, canvas)
    ]
    measured, expected = map(sum, zip(*sums, strict=True))
    return measured / max(expected, 1e-12)


def _where(trainer: L.Trainer) -> str:
    return f"epoch {number_of_epoch(trainer)}, step {trainer.global_step}"
