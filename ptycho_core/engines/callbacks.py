"""Events out of Lightning, stop and cancel into it, and the rules by which checkpoints are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from ptycho_core.base import events
from ptycho_core.base.choices import is_metric
from ptycho_core.base.events import Cancelled, EventHandler, StopToken
from ptycho_core.engines.data import Batch
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.models.base import Model

LARGEST_SHARE_OF_PREVIEWS = 0.1
"""Previews may take this part of the run's time."""


class Obey(L.Callback):
    """Brings the operator's stop and cancel, and the time limit, to the trainer.

    Parameters
    ----------
    token
        Asked around every batch, in training and in validation: Lightning forgets a stop before its first batch.
        Place this after the callbacks that tell the observer, who may answer with a stop.
    deadline
        `time.monotonic` at which to stop by ourselves, or None.
    """

    def __init__(self, token: StopToken, deadline: float | None = None) -> None:
        self.token, self.deadline = token, deadline
        self._begun = 0.0

    @property
    def late(self) -> bool:
        """Whether the time limit is reached."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _leave_if_cancelled(self, trainer: L.Trainer) -> None:
        # All processes leave at the same batch, or those that stay would wait for the others for ever.
        if trainer.strategy.reduce_boolean_decision(self.token.cancel_requested, all=False):
            raise Cancelled

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: a stop before the first batch counts as well."""
        self._begun = time.monotonic()
        self.on_train_batch_end(trainer)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Lightning: leave before a batch if told so; tell the model how much of the time limit is used."""
        self._leave_if_cancelled(trainer)
        if self.deadline is not None:
            assert isinstance(pl_module, Model)
            used = (time.monotonic() - self._begun) / max(1e-9, self.deadline - self._begun)
            # By one clock: processes that train together have to have the same rate.
            pl_module.time_used = trainer.strategy.broadcast(min(1.0, used))

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: obey after a batch."""
        self._leave_if_cancelled(trainer)
        self.on_train_epoch_end(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: begin no further epoch. What a cancel finds complete is still saved."""
        if trainer.strategy.reduce_boolean_decision(self.token.stop_requested or self.late, all=False):
            trainer.should_stop = True

    def on_validation_batch_start(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: a cancel ends validation too; a stop lets it finish."""
        self._leave_if_cancelled(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Lightning: a cancel ends validation too; a stop lets it finish."""
        self._leave_if_cancelled(trainer)


class Report(L.Callback):
    """Tells an observer what happens.

    Parameters
    ----------
    emit
        Gets the events, in the thread that trains.
    pictures
        Each makes a picture of what the present model knows of one scan, in an epoch and after a step. They take turns.
    preview_seconds
        Shortest time between two pictures.
    """

    def __init__(
        self,
        emit: EventHandler,
        pictures: Sequence[Callable[[int, int], events.PreviewReady]] = (),
        preview_seconds: float = 0.0,
    ) -> None:
        self.emit, self.pictures, self.preview_seconds = emit, pictures, preview_seconds
        self.started = time.monotonic()
        self.next_preview = self.started
        self._turn = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch begins."""
        self.emit(events.StageChanged(events.Stage.TRAINING, number_of_epoch(trainer)))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: validation begins."""
        self.emit(events.StageChanged(events.Stage.VALIDATING, number_of_epoch(trainer)))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Lightning: show a picture now and then."""
        self._maybe_preview(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done."""
        elapsed = time.monotonic() - self.started
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if is_metric(name)}
        self.emit(events.EpochDone(number_of_epoch(trainer), trainer.global_step, metrics, elapsed))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: all is done, and so many epochs: show the last picture of each scan."""
        for picture in self.pictures:
            self.emit(picture(max(1, trainer.current_epoch), trainer.global_step))

    def _maybe_preview(self, trainer: L.Trainer) -> None:
        now = time.monotonic()
        if not self.pictures or now < self.next_preview:
            return
        self.emit(self.pictures[self._turn % len(self.pictures)](number_of_epoch(trainer), trainer.global_step))
        self._turn += 1
        took = time.monotonic() - now
        self.next_preview = time.monotonic() + max(self.preview_seconds, took / LARGEST_SHARE_OF_PREVIEWS)


class BestCheckpoints(Checkpoint):
    """Keeps the k best checkpoints by a monitored metric; one whose value is not finite is never among them.

    Not Lightning's `ModelCheckpoint`: that keeps its table in each checkpoint, by absolute path, so that it forgets
    the files of a run that was moved or killed between two saves; here the run's record is the table.

    Parameters
    ----------
    folder
        For the files.
    monitor, mode
        A logged metric, and "min" or "max".
    keep
        k; -1 for all.
    emit
        Told of files that were saved or removed.
    put_back
        Numbers of epochs whose metrics are those of a state that was given up.
    """

    def __init__(
        self, folder: Path, monitor: str, mode: str, keep: int, emit: EventHandler, put_back: Container[int] = ()
    ) -> None:
        self.folder, self.monitor, self.keep, self.emit, self.put_back = folder, monitor, keep, emit, put_back
        self.mode, self.sign = mode, 1 if mode == "min" else -1
        self.table: dict[Path, float] = {}

    def take_up(self, saved: Iterable[events.CheckpointSaved]) -> None:
        """Go on ranking the files of a resumed run, those that are still there."""
        known = {Path(one.path): one.value for one in saved if one.rank}
        self.table = {path: value for path, value in known.items() if value is not None and path.is_file()}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done."""
        epoch = number_of_epoch(trainer)
        if epoch in self.put_back:
            return
        value = float(trainer.callback_metrics[self.monitor])
        path = self.folder / f"epoch={epoch:02d}-{self.monitor}={value:.4f}.ckpt"
        # Only the first of several processes has the table, and what is not averaged over them differs.
        if not trainer.strategy.broadcast(self._is_among_best(path, value)):
            return
        trainer.save_checkpoint(path)
        if not trainer.is_global_zero:
            return
        self.table[path] = value
        rank = self._ranked().index(path) + 1
        self.emit(_saved(path, trainer, self.monitor, value, rank, self.mode))
        for worse in self._ranked()[self.keep :] if self.keep > 0 else []:
            worse.unlink(missing_ok=True)
            del self.table[worse]
            self.emit(events.CheckpointRemoved(str(worse)))

    def _ranked(self) -> list[Path]:
        return sorted(self.table, key=lambda path: self.sign * self.table[path])

    def _is_among_best(self, path: Path, value: float) -> bool:
        others = sorted(self.sign * other for name, other in self.table.items() if name != path)
        has_place = self.keep < 0 or len(others) < self.keep or self.sign * value < others[self.keep - 1]
        return math.isfinite(value) and has_place


class LastCheckpoint(Checkpoint):
    """Writes ``last.ckpt`` after every epoch.

    Lightning's ``save_last`` saves only when a best one was saved (since 2.6.0).
    """

    def __init__(self, path: Path, emit: EventHandler) -> None:
        self.path, self.emit = path, emit

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch and its validation are done."""
        self.save(trainer)

    def save(self, trainer: L.Trainer) -> None:
        """Write the state as it is now."""
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero:
            self.emit(_saved(self.path, trainer, "", None, 0))


def _saved(
    path: Path, trainer: L.Trainer, monitor: str, value: float | None, rank: int, mode: str = "min"
) -> events.CheckpointSaved:
    found = path.stat()
    time = datetime.fromtimestamp(found.st_mtime, UTC).isoformat(timespec="seconds")
    return events.CheckpointSaved(
        str(path), number_of_epoch(trainer), trainer.global_step, monitor, value, rank, mode, found.st_size, time
    )


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
            strict=False,  # a limit of steps may end a run before it has validated
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning: go on counting, by the resumed run's own patience."""
        super().load_state_dict({**state_dict, "patience": self.patience, "stopped_epoch": 0})
