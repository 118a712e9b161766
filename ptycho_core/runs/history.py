"""`RunHistory`: the numbers and the state of one run, heard while it trains or read from its directory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base import events
from ptycho_core.base.choices import EPOCH_METRICS, STEP_METRICS, loss_of_scan
from ptycho_core.base.config import Config
from ptycho_core.base.verdict import Verdict
from ptycho_core.runs.growing_table import Column, GrowingTable
from ptycho_core.runs.record import RunInfo, checkpoint_table

_PACE_EPOCHS = 5
_PACE_S = 1.0
"""Shorter than this, steps tell nothing about the pace: the first ones are slower than the rest."""
_SPEED_STEPS = 20


class Best(NamedTuple):
    """The epoch with the best value of the monitored metric, and the steps that were done at its end."""

    epoch: int
    steps: int
    value: float


class RunHistory:
    """What the window shows of a run's numbers.

    Parameters
    ----------
    config
        Of the run.
    clock
        Seconds that only go forward.
    scans
        The names of the scans, where it is trained on several.

    Attributes
    ----------
    steps
        A row per optimiser step: ``epoch``, ``step`` from 0, and `STEP_METRICS`.
    epochs
        A row per epoch: ``epoch``, the ``step`` that was its last, `EPOCH_METRICS`, and the loss of each scan.
    stage, epoch, stage_epochs
        What goes on, or went on last, in which epoch, and how many it has where that is no training; 0 for none.
    status, reason
        How it ended, or that it goes on elsewhere, and why; None while it goes on and is heard here.
    device
        Which, and why; empty before the run has begun.
    max_epochs
        That are to be done.
    checkpoints
        The files that there are, ranked.
    verdict
        On the run's picture, the latest; None before there is one.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.monotonic, scans: Sequence[str] = ()) -> None:
        self.config, self.scans = config, tuple(scans)
        self.steps = GrowingTable(("epoch", "step", *STEP_METRICS))
        self._of_epochs = (*EPOCH_METRICS, *map(loss_of_scan, range(len(scans))))
        self.epochs = GrowingTable(("epoch", "step", *self._of_epochs))
        self.stage, self.epoch, self.stage_epochs, self.device = events.Stage.LOADING, 0, 0, ""
        self.status: events.Status | None = None
        self.reason = ""
        self.checkpoints: tuple[events.CheckpointSaved, ...] = ()
        self.verdict: Verdict | None = None
        self.max_epochs = config.max_epochs
        self._steps_per_epoch = 0
        self._clock = clock
        self._before, self._begun = 0.0, clock()
        self._heard = self._begun
        self._ended: float | None = None
        self._marks: deque[tuple[float, int]] = deque(maxlen=_PACE_EPOCHS + 1)

    @classmethod
    def from_run(cls, info: RunInfo, columns: Mapping[str, Column]) -> RunHistory:
        """Return what a run directory tells; the run can go on to be heard, when it is resumed.

        Parameters
        ----------
        info
            From `read_run`.
        columns
            From `read_metrics`.
        """
        history = cls(info.config, scans=_several(info))
        history.status, history.reason, history.device = info.status, info.reason, info.device
        history.epoch = info.epochs_done
        history.checkpoints, history.verdict = info.checkpoints, info.verdict
        history._begun, history._ended = 0.0, info.taken_s
        if columns:
            history._read(columns)
        return history

    @classmethod
    def from_events(
        cls, info: RunInfo, heard: Iterable[events.Event], clock: Callable[[], float] = time.monotonic
    ) -> RunHistory:
        """Return what was heard until now of a run that goes on elsewhere, and is heard from here on.

        Parameters
        ----------
        info
            From `read_run`.
        heard
            Its events from the first one on.
        clock
            Seconds that only go forward; how long the run has taken is told by the clock of its own machine.
        """
        history = cls(info.config, clock, _several(info))
        for event in heard:
            history.hear(event)
        before = float(info.resumed[-1].get("taken_s", 0.0)) if info.resumed else 0.0
        history._before, history._begun = before, clock() - (info.taken_s - before)
        history._marks.clear()  # which were all made now
        return history

    def hear(self, event: object) -> None:
        """Take in an event of the core; anything else is ignored."""
        match event:
            case events.StageChanged():
                self._enter(event)
            case events.RunStarted():
                self._start(event)
            case events.BatchDone():
                self._add_step(event)
            case events.EpochDone():
                self._add_epoch(event)
            case events.CheckpointSaved() | events.CheckpointRemoved():
                self.checkpoints = checkpoint_table(self.checkpoints, event)
            case events.Judged(scan=0):
                self.verdict = event.verdict
            case events.RunFinished():
                self.end(event.status, event.reason)
            case events.RunFailed():
                self.end(events.Status.FAILED, event.message)

    def end(self, status: events.Status, reason: str) -> None:
        """Note that the run is over: to be told of runs that ended without an event, too."""
        self.status, self.reason = status, reason
        if self._ended is None:
            self._ended = self._clock()

    @property
    def at_work(self) -> bool:
        """Whether the run goes on and is heard here."""
        return self.status is None

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken until now, over all of its resumptions."""
        return self._before + self._since_resumed_s

    @property
    def _since_resumed_s(self) -> float:
        return (self._clock() if self._ended is None else self._ended) - self._begun

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left at the pace of the latest epochs, if nothing ends the run early.

        None where that is not known yet, or nothing goes on.
        """
        pace = self._seconds_per_step()
        if not self.at_work or self.stage == events.Stage.STOPPING or pace is None:
            return None
        left = pace * (self.total_steps - self.steps_done) - (self._clock() - self._heard)
        if self.config.max_time is not None:
            left = min(left, 60 * self.config.max_time - self._since_resumed_s)
        return max(0.0, left)

    @property
    def steps_done(self) -> int:
        """Optimiser steps that were done, over all of the run's resumptions."""
        return int(self.steps["step"][-1]) + 1 if len(self.steps) else 0

    @property
    def steps_per_epoch(self) -> int:
        """As the run has said when it began; else of the longest epoch, or what there is of the first one."""
        if self._steps_per_epoch:
            return self._steps_per_epoch
        lengths = np.diff(self.epochs["step"] + 1, prepend=0)
        return int(lengths.max()) if len(lengths) else max(1, self.steps_done)

    @property
    def total_steps(self) -> int:
        """Optimiser steps when all epochs are done."""
        total = self.max_epochs * self.steps_per_epoch
        return min(total, self.config.max_steps or total)

    @property
    def patterns_per_second(self) -> float | None:
        """Of the latest steps; None before the first."""
        latest = self.steps["patterns_per_second"][-_SPEED_STEPS:]
        latest = latest[np.isfinite(latest)]
        return float(np.median(latest)) if len(latest) else None

    @property
    def best_checkpoint(self) -> Path | None:
        """The best of the monitored checkpoints that there are: one of a finite loss."""
        return Path(self.checkpoints[0].path) if self.checkpoints and self.checkpoints[0].rank else None

    def epoch_of(self, checkpoint: Path) -> int | None:
        """Return the epoch after which a checkpoint of this run was saved; None if it is none of them."""
        return next((saved.epoch for saved in self.checkpoints if Path(saved.path) == checkpoint), None)

    def name_of(self, checkpoint: Path) -> str:
        """Return what the operator calls a checkpoint: "Epoch 5", or the name of its file."""
        epoch = self.epoch_of(checkpoint)
        return checkpoint.name if epoch is None else f"Epoch {epoch}"

    @property
    def best(self) -> Best | None:
        """The best epoch by the monitored metric, the first one of equals; None before there is one."""
        values = self.monitored()
        finite = np.isfinite(values)
        if not finite.any():
            return None
        sign = 1 if self.config.checkpoint_mode == "min" else -1
        row = int(np.argmin(np.where(finite, sign * values, np.inf)))
        return Best(int(self.epochs["epoch"][row]), int(self.epochs["step"][row]) + 1, float(values[row]))

    def monitored(self) -> Column:
        """Return the monitored metric at the end of each epoch."""
        name = self.config.monitor
        if name in self.epochs:
            return self.epochs[name]
        rows = np.searchsorted(self.steps["step"], self.epochs["step"])
        return self.steps[name][np.minimum(rows, len(self.steps) - 1)]

    def epochs_after(self, steps: Column) -> Column:
        """Return how many epochs are done after so many steps, with parts of epochs: at the end of one its number."""
        numbers = self.epochs["epoch"]
        ends = np.concatenate([[0.0], self.epochs["step"] + 1])
        done = np.concatenate([numbers[:1] - 1 if len(numbers) else [0.0], numbers])
        beyond = np.maximum(0.0, steps - ends[-1]) / self.steps_per_epoch
        return np.asarray(np.interp(steps, ends, done) + beyond)

    def _enter(self, event: events.StageChanged) -> None:
        if not self.at_work:  # it is resumed
            self._before, self._begun = self.elapsed_s, self._clock()
            self._ended, self.status, self.reason = None, None, ""
            self._marks.clear()
        elif self.stage == events.Stage.STOPPING:
            return
        self.stage, self.epoch, self.stage_epochs, self._heard = event.stage, event.epoch, event.epochs, self._clock()

    def _start(self, event: events.RunStarted) -> None:
        self.device, self.max_epochs, self._steps_per_epoch = event.device, event.max_epochs, event.steps_per_epoch
        for table in (self.steps, self.epochs):  # what an interrupted epoch left is done again
            table.keep(int(np.searchsorted(table["epoch"], event.epochs_done, side="right")))

    def _add_step(self, event: events.BatchDone) -> None:
        known = {name: event.metrics[name] for name in STEP_METRICS if name in event.metrics}
        self.steps.append({**known, "epoch": event.epoch, "step": event.step})
        self._heard = self._clock()
        if not self._marks:
            self._mark()

    def _add_epoch(self, event: events.EpochDone) -> None:
        self.epochs.append({**event.metrics, "epoch": event.epoch, "step": event.step - 1})
        self._heard = self._clock()
        self._mark()

    def _mark(self) -> None:
        self._marks.append((self._heard, self.steps_done))

    def _seconds_per_step(self) -> float | None:
        if not self._marks:
            return None
        then, steps = self._marks[0]
        took, done = self._heard - then, self.steps_done - steps
        return took / done if done and took >= _PACE_S else None

    def _read(self, columns: Mapping[str, Column]) -> None:
        """Take in metrics.csv: a row per step, and one or two more, with other metrics, per epoch."""
        of_steps = _known(columns, STEP_METRICS)
        self.steps.extend({name: column[of_steps] for name, column in columns.items()})
        of_epochs = _known(columns, self._of_epochs)
        numbers, first = np.unique(columns["epoch"][of_epochs], return_index=True)
        table = {"epoch": numbers, "step": columns["step"][of_epochs][first]}
        for name in (name for name in self._of_epochs if name in columns):
            known = _known(columns, (name,))
            table[name] = np.full(len(numbers), np.nan)
            table[name][np.searchsorted(numbers, columns["epoch"][known])] = columns[name][known]
        self.epochs.extend(table)


def _several(info: RunInfo) -> list[str]:
    return info.scan_names if info.further_scans else []


def _known(columns: Mapping[str, Column], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which rows hold at least one of these metrics."""
    found = np.zeros(len(columns["step"]), bool)
    for name in names:
        if name in columns:
            found |= ~np.isnan(columns[name])
    return found
