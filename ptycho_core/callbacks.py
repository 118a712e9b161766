"""Events out of Lightning, stop and cancel into it, and the rules by which checkpoints are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from torch import Tensor

from ptycho_core import events
from ptycho_core.config import METRICS
from ptycho_core.data import Batch
from ptycho_core.errors import TrainingError
from ptycho_core.events import EventHandler, StopToken

LARGEST_SHARE_OF_PREVIEWS = 0.1
"""Previews may take this part of the run's time."""


class Cancelled(Exception):
    """Raised inside the trainer's loops to leave at once."""


class Obey(L.Callback):
    """Brings the operator's stop and cancel, and the time limit, to the trainer.

    Parameters
    ----------
    token
        Asked around every batch, in training and in validation: Lightning forgets a stop before its first batch.
    deadline
        `time.monotonic` at which to stop by ourselves, or None.
    """

    def __init__(self, token: StopToken, deadline: float | None = None) -> None:
        self.token, self.deadline = token, deadline

    @property
    def late(self) -> bool:
        """Whether the time limit is reached."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _leave_if_cancelled(self) -> None:
        if self.token.cancel_requested:
            raise Cancelled

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: a stop before the first batch counts as well."""
        self.on_train_batch_end(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: leave before a batch if told so."""
        self._leave_if_cancelled()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: obey after a batch."""
        self._leave_if_cancelled()
        if self.token.stop_requested or self.late:
            trainer.should_stop = True

    def on_validation_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: a cancel ends validation too; a stop lets it finish."""
        self._leave_if_cancelled()

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: a cancel ends validation too; a stop lets it finish."""
        self._leave_if_cancelled()


class RefuseNaN(L.Callback):
    """Ends training at the first loss that is not a number."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: look at the loss of the batch."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if not math.isfinite(float(loss)):
            raise TrainingError(
                f"training diverged: the loss is not a number in epoch {trainer.current_epoch + 1}, step "
                f"{trainer.global_step}; the best checkpoint before it is kept. Try a smaller learning rate, or "
                "gradient_clip_val 1"
            )


class Report(L.Callback):
    """Tells an observer what happens.

    Parameters
    ----------
    emit
        Gets the events, in the thread that trains.
    preview
        Makes a picture of the present model: object, first probe mode and binning; or None.
    preview_seconds
        Shortest time between two pictures.
    """

    def __init__(
        self,
        emit: EventHandler,
        preview: Callable[[], tuple[Any, Any, int]] | None = None,
        preview_seconds: float = 0.0,
    ) -> None:
        self.emit, self.preview, self.preview_seconds = emit, preview, preview_seconds
        self.started = time.monotonic()
        self.next_preview = self.started

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch begins."""
        self.emit(events.StageChanged("training", trainer.current_epoch))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: validation begins."""
        self.emit(events.StageChanged("validating", trainer.current_epoch))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: a step is done."""
        step = max(0, trainer.global_step - 1)
        self.emit(events.BatchDone(trainer.current_epoch, step, _columns(trainer.callback_metrics)))
        self._maybe_preview(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done."""
        elapsed = time.monotonic() - self.started
        metrics = _columns(trainer.callback_metrics)
        self.emit(events.EpochDone(trainer.current_epoch, trainer.global_step, metrics, elapsed))

    def _maybe_preview(self, trainer: L.Trainer) -> None:
        now = time.monotonic()
        if self.preview is None or now < self.next_preview:
            return
        object, probe, binning = self.preview()
        took = time.monotonic() - now
        self.next_preview = time.monotonic() + max(self.preview_seconds, took / LARGEST_SHARE_OF_PREVIEWS)
        self.emit(events.PreviewReady(trainer.current_epoch, trainer.global_step, object, probe, binning))


def _columns(metrics: dict[str, Any]) -> dict[str, float]:
    """Return those of Lightning's metrics that metrics.csv has, as floats."""
    return {name: float(value) for name, value in metrics.items() if name in METRICS}


class BestCheckpoints(ModelCheckpoint):
    """Keeps the k best checkpoints by a monitored metric; one that is not finite is never best."""

    def __init__(self, folder: Path, monitor: str, mode: str, keep: int, emit: EventHandler) -> None:
        super().__init__(
            dirpath=folder,
            filename=f"{{epoch:02d}}-{{{monitor}:.4f}}",
            monitor=monitor,
            mode=mode,
            save_top_k=keep,
            save_on_train_epoch_end=True,
        )
        self.emit = emit

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Lightning: whether this value is among the best."""
        finite = current is not None and bool(torch.isfinite(current))
        return finite and bool(super().check_monitor_top_k(trainer, current))

    def _update_best_and_save(self, current: Tensor, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        super()._update_best_and_save(current, trainer, monitor_candidates)
        ranked = sorted(self.best_k_models.items(), key=lambda item: float(item[1]), reverse=self.mode == "max")
        rank = [path for path, _ in ranked].index(self._last_checkpoint_saved) + 1
        saved = events.CheckpointSaved(
            self._last_checkpoint_saved,
            trainer.current_epoch,
            trainer.global_step,
            str(self.monitor),
            float(current),
            rank,
        )
        self.emit(saved)

    def _remove_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        super()._remove_checkpoint(trainer, filepath)
        self.emit(events.CheckpointRemoved(filepath))


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` after every epoch.

    Lightning's ``save_last`` saves only when a best one was saved (since 2.6.0). Lightning calls checkpoint callbacks
    after all others, in their order: this one comes after `BestCheckpoints`, whose table it saves.
    """

    def __init__(self, path: Path, emit: EventHandler) -> None:
        self.path, self.emit = path, emit

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done."""
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write the state as it is now."""
        trainer.save_checkpoint(self.path)
        self.emit(events.CheckpointSaved(str(self.path), trainer.current_epoch, trainer.global_step, "", None, 0))


class StopEarly(EarlyStopping):
    """Ends training when the monitored metric no longer improves."""

    def __init__(self, monitor: str, mode: str, patience: int, min_delta: float) -> None:
        super().__init__(
            monitor,
            mode=mode,
            patience=patience,
            min_delta=min_delta,
            check_finite=False,  # the loss itself is watched at every batch
            check_on_train_epoch_end=True,
        )
