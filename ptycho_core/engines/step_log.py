"""What a fit tells of its steps, written down without waiting for an accelerator after each of them.

Lightning's own log sends every number to the device and reads it back, and takes half of the time of a small step.
"""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ptycho_core.base.events import BatchDone, EventHandler
from ptycho_core.engines.data import Batch
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.models.base import Model

GLANCE_SECONDS = 0.5
"""Between two looks at what an accelerator has computed."""


class Glances:
    """When to look at what a device computes: an accelerator is waited for then, and has nothing to do afterwards.

    After every batch on a processor, and where several processes have to agree; else now and then, and after the last
    batch of an epoch.
    """

    def __init__(self) -> None:
        self._next = time.monotonic()

    def due(self, trainer: L.Trainer) -> bool:
        """Whether to look after this batch."""
        now = time.monotonic()
        costly = trainer.strategy.root_device.type != "cpu" and trainer.world_size == 1
        if costly and now < self._next and not trainer.is_last_batch:
            return False
        self._next = now + GLANCE_SECONDS
        return True


class StepLog(L.Callback):
    """Writes what the model tells of its steps to the loggers, and tells the observer; logs the means over an epoch.

    Place it before those who use the means, and before those who tell of the batch, and take their time.

    Parameters
    ----------
    emit
        Gets the events, in the thread that trains.
    """

    def __init__(self, emit: EventHandler = lambda event: None) -> None:
        self.emit = emit
        self._glances = Glances()
        self._steps = 0
        self._waiting: list[tuple[int, dict[str, Tensor | float]]] = []
        self._sums: dict[str, Tensor] = {}
        self._patterns = 0
        self._seconds, self._timed = 0.0, 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch begins."""
        self._steps, self._sums, self._patterns = trainer.global_step, {}, 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: a step is done, or a batch's gradient was only added up."""
        assert isinstance(pl_module, Model)
        told = pl_module.told
        self._patterns += told.patterns
        for name, mean in told.means.items():
            self._sums[name] = self._sums.get(name, 0.0) + mean * told.patterns
        self._timed += batch.indexes.numel() * trainer.world_size
        if told.of_step and trainer.global_step != self._steps:
            self._steps = trainer.global_step
            self._waiting.append((self._steps - 1, told.of_step))
        rows = self._read(trainer) if self._waiting and self._glances.due(trainer) else []
        self._seconds += time.perf_counter() - self._started
        self._write(trainer, rows)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: what the steps before tell comes first."""
        self._write(trainer, self._read(trainer))
        _log_number(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch is done."""
        self._write(trainer, self._read(trainer))
        for name, total in self._sums.items():
            both = torch.stack([total, torch.full_like(total, self._patterns)])
            pl_module.log(name, torch.div(*trainer.strategy.reduce(both, reduce_op="mean")))
        _log_number(trainer, pl_module)

    def _read(self, trainer: L.Trainer) -> list[tuple[int, dict[str, float]]]:
        """Return the steps that wait and what is told of them, read from the device at once: means over processes."""
        waiting, self._waiting = self._waiting, []
        computed = [value for _, row in waiting for value in row.values() if isinstance(value, Tensor)]
        if not computed:
            return []
        read = iter(trainer.strategy.reduce(torch.stack(computed), reduce_op="mean").tolist())
        return [
            (step, {name: next(read) if isinstance(value, Tensor) else value for name, value in row.items()})
            for step, row in waiting
        ]

    def _write(self, trainer: L.Trainer, rows: list[tuple[int, dict[str, float]]]) -> None:
        if not rows:
            return
        speed = self._timed / max(self._seconds, 1e-9)
        self._seconds, self._timed = 0.0, 0
        epoch = number_of_epoch(trainer)
        for step, row in rows:
            values = torch.tensor([*row.values(), speed])
            metrics = dict(zip([*row, "patterns_per_second"], values.tolist(), strict=True))
            trainer.callback_metrics.update(zip(metrics, values, strict=True))
            for logger in trainer.loggers:
                logger.log_metrics({**metrics, "epoch": epoch}, step)
            self.emit(BatchDone(epoch, step, metrics))
        for logger in trainer.loggers:
            logger.save()


def _log_number(trainer: L.Trainer, model: L.LightningModule) -> None:
    """Log the number of the epoch, which Lightning then writes beside its means, and in names, in place of its own."""
    model.log("epoch", number_of_epoch(trainer))
