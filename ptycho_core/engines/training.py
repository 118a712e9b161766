"""`train`: a run from a scan and a config to checkpoints in a run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from ptycho_core.base import events as happenings
from ptycho_core.base.codec import decode_fields
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, TrainingError, raise_errors, sentence_of
from ptycho_core.base.events import Cancelled, Event, EventHandler, Status, StopToken
from ptycho_core.base.file_state import changed_since
from ptycho_core.engines.beginning import Beginning
from ptycho_core.engines.callbacks import (
    BestCheckpoints,
    LastCheckpoint,
    Obey,
    Report,
    StopEarly,
)
from ptycho_core.engines.canvas import Canvas, middle, middle_parts
from ptycho_core.engines.checkpoints import damage_explained, initial_model
from ptycho_core.engines.choice import choose_picture, solver_of
from ptycho_core.engines.data import Amplitudes, Measurement, Split, measure, split
from ptycho_core.engines.device_memory import check_device_memory, home_of_patterns
from ptycho_core.engines.divergence import RollBack, no_picture
from ptycho_core.engines.failures import explained
from ptycho_core.engines.loggers import build_loggers, check_loggers, drop_rows_from
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.polish import warms_up_on_all
from ptycho_core.engines.refinement_check import check_refinement
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.signs import signs_of, signs_of_run
from ptycho_core.engines.step_log import StepLog
from ptycho_core.engines.trainer import build_trainer, choose_accelerator, precision_of, quiet_lightning
from ptycho_core.inspection.disk import check_disk
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.quality.verdict import judge, judge_nothing
from ptycho_core.runs.job import refuse_job
from ptycho_core.runs.record import CHECKPOINTS, FurtherScan, RunInfo, read_run
from ptycho_core.runs.recorded_scan import record_scan
from ptycho_core.runs.reopening import open_scans
from ptycho_core.runs.requests import reachable
from ptycho_core.runs.run import Run, resumable, resume_run, resumed_config, start_run
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)

FEWEST_EPOCHS = 6
"""Before a run without a picture has failed, those of the warm start counted: one that was cut short has not."""
CHECKED_PATTERNS, SEEN_PATTERNS = 64, 1024
"""Patterns kept apart that judge at the end, at most, and patterns among which these and those lie that a network then
sees: those in the middle."""


def train(
    config: Config,
    scan: Scan,
    output_dir: str | Path,
    *,
    test_scan: Scan | None = None,
    further_scans: Sequence[Scan] = (),
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
    command: str = "",
    resume: bool = False,
    callbacks: Sequence[L.Callback] = (),
) -> RunInfo:
    """Train on a scan, and leave a run directory behind.

    Parameters
    ----------
    config
        Every knob.
    scan
        To train on.
    output_dir
        The run directory; an earlier run in it is set aside, or gone on with if ``resume``.
    test_scan
        To validate on; a part of each scan where None.
    further_scans
        To train the network on too, each with its own probe, positions and brightness; of the same N as ``scan``,
        which is the one that is shown while it goes on.
    events
        Gets the events, in this thread; exactly one of them is terminal once the run has begun.
    stop
        Ends the run in good order, or at once.
    command
        The command line that does the same, for the record.
    resume
        Go on from ``last.ckpt`` with optimiser, schedule, epoch counter and metrics.
    callbacks
        Lightning's, called along with our own, before a stop is obeyed and checkpoints are written.

    Returns
    -------
    RunInfo
        Of the run when it ended: finished, stopped or cancelled.

    Raises
    ------
    InputError
        Something is wrong with scan or settings; nothing was begun.
    TrainingError
        Training failed; what was saved stays.
    """
    folder = Path(output_dir).absolute()
    refuse_job(folder)
    problems = check_run(config, scan, test_scan, further_scans) + check_disk(config, scan, folder)
    raise_errors(problems)
    for problem in problems:
        _log.warning("%s", problem.message)
    accelerator, device = choose_accelerator(config.accelerator)
    if accelerator == "cpu" and precision_of(config) == "16-mixed":
        raise InputError("precision 16-mixed needs a GPU: on the CPU take bf16-mixed or 32-true")
    initial = None if resume else initial_model(config)
    scans = [scan, *further_scans]
    run = _Training(config, scans, folder, test_scan, events, stop or StopToken(), device, callbacks, initial)
    with quiet_lightning(config):
        return run.go(command, resume)


def resume(
    folder: str | Path,
    *,
    scan_file: str | Path | Sequence[str | Path] | None = None,
    test_scan_file: str | Path | None = None,
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
    callbacks: Sequence[L.Callback] = (),
    **changes: Any,
) -> RunInfo:
    """Go on with the run in a folder, on its own scan, which is read and preprocessed as before.

    Parameters
    ----------
    folder
        The run directory.
    scan_file, test_scan_file
        Where the scans are now, if they have moved: of several in any order, and only those that have.
    events, stop, callbacks
        As for `train`.
    changes
        Settings that may change: where and how long it runs.

    Returns
    -------
    RunInfo
        Of the run when it ended.

    Raises
    ------
    InputError
        The run cannot be resumed, a change would make it another run, or the scan is another one.
    TrainingError
        Training failed; what was saved stays.
    """
    info = resumable(Path(folder))
    config = resumed_config(info, decode_fields(Config, changes, "resume"))
    moved = [scan_file] if isinstance(scan_file, str | Path) else scan_file or ()
    scans = open_scans(info, [Path(path) for path in moved], None if test_scan_file is None else Path(test_scan_file))
    return train(
        config,
        scans.first,
        info.folder,
        test_scan=scans.test,
        further_scans=scans.further,
        events=events,
        stop=stop,
        resume=True,
        callbacks=callbacks,
    )


class _Training:
    """One call of `train`."""

    def __init__(
        self,
        config: Config,
        scans: Sequence[Scan],
        folder: Path,
        test_scan: Scan | None,
        events: EventHandler,
        token: StopToken,
        device: str,
        callbacks: Sequence[L.Callback],
        initial: Model | None,
    ) -> None:
        self.config, self.scans, self.folder, self.test_scan = config, scans, folder, test_scan
        self.events, self.token, self.device, self.callbacks = events, token, device, callbacks
        self.initial = initial
        deadline = None if config.max_time is None else time.monotonic() + 60 * config.max_time
        self.obey = Obey(token, deadline)
        self.parts = [split(len(scan), config, validate=test_scan is None) for scan in scans]
        self.measured: list[Measurement] = []
        self.run: Run | None = None
        self.last: LastCheckpoint | None = None
        self.best: BestCheckpoints | None = None
        self.early: StopEarly | None = None

    def emit(self, event: Event) -> None:
        """Write an event into the record, then tell the observer. Only the first process of several does."""
        if self.run is not None:
            self.run.record(event)
            self.events(event)

    def go(self, command: str, resume: bool) -> RunInfo:
        """Begin the run, train, end it."""
        callbacks = self._callbacks()
        # The trainer knows whether this is the first process of several; only that one has the record.
        trainer = build_trainer(self.config, self.folder, callbacks=callbacks)
        if trainer.is_global_zero:
            check_loggers(self.config)
            self.run = self._begin(command, resume)
        hears = contextlib.nullcontext() if self.run is None else reachable(self.folder, self.token)
        try:
            with hears:
                if self.run is not None:
                    trainer.loggers = build_loggers(self.config, self.folder, self.run.info.log_version)
                self._train(trainer, resume)
        except Cancelled:
            self._finish(Status.CANCELLED, self.token.reason)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
                # Lightning turns an interrupt into an exit, and has the next ones ignored.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                self._finish(Status.INTERRUPTED, "interrupted by Ctrl-C")
                raise KeyboardInterrupt from error
            failure = explained(error)
            self.emit(happenings.RunFailed(str(self.folder), sentence_of(failure)))
            if failure is error:
                raise
            raise failure from error
        finally:
            for one in self.measured:
                one.amplitudes.close()
        return self.run.info if self.run else read_run(self.folder)

    def _begin(self, command: str, resume: bool) -> Run:
        if resume:
            run = resume_run(self.folder, config=self.config, command=command)
            if self.best is not None:
                self.best.take_up(run.info.checkpoints)
            return run
        indexes = [(tuple(parts.free.tolist()), tuple(parts.validation.tolist())) for parts in self.parts]
        further = zip(map(record_scan, self.scans[1:]), indexes[1:], strict=True)
        run = start_run(
            self.folder,
            config=self.config,
            scan=record_scan(self.scans[0]),
            test_scan=record_scan(self.test_scan) if self.test_scan else None,
            further_scans=tuple(FurtherScan(scan, *of_scan) for scan, of_scan in further),
            command=command,
        )
        free, validation = indexes[0]
        run.update(free_indexes=free, validation_indexes=validation)
        return run

    def _train(self, trainer: L.Trainer, resume: bool) -> None:
        self.emit(happenings.StageChanged(happenings.Stage.LOADING))
        checkpoint, done = self._take_up() if resume else (None, 0)
        device = trainer.strategy.root_device
        raise_errors([problem for scan in self.scans for problem in check_device_memory(self.config, scan, device)])
        measured = measure(self.scans, self.parts, lambda scan: home_of_patterns(self.config, scan, device))
        self.measured += measured
        beginning = Beginning(self.config, self.folder, self.obey, self.token, self.emit)
        model = beginning.model(measured, self.initial, begins=checkpoint is None, warms_up=trainer.is_global_zero)
        self.config = beginning.config
        tested = self._tested(device)
        self.measured += [tested] if tested else []
        data = ScanData(model, measured, tested)
        data.first_epoch = done
        data.trainer = trainer  # what it deals out depends on the number of processes
        if self.config.preview_seconds:
            self.report.pictures = [partial(_preview, model, one) for one in measured]
        self.emit(self._started(model, len(data.train_dataloader()), done))
        trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
        if self.token.cancel_requested:  # after the last batch
            raise Cancelled
        if trainer.global_step:
            self._check(model, measured)
        if self.last is not None and not trainer.global_step:  # stopped before the first batch
            self.last.save(trainer)
        self._finish(*self._outcome(trainer, model))

    def _tested(self, device: torch.device) -> Measurement | None:
        """Return the scan that validates in place of parts of the others, if there is one."""
        if self.test_scan is None:
            return None
        config = self.config.replace(val_fraction=self.config.val_fraction or 0.05, free_fraction=0.0)
        amplitudes = Amplitudes(self.test_scan, home_of_patterns(config, self.test_scan, device))
        return Measurement(self.test_scan, amplitudes, split(len(self.test_scan), config))

    def _check(self, network: Model, measured: Sequence[Measurement]) -> None:
        """Hold the best state against patterns of each scan that were kept apart."""
        if self.run is None:
            return
        epochs = network.current_epoch + network.warm_start_epochs
        self.roll_back.take_best(network)
        for one in measured:
            self.token.leave_if_cancelled()
            self._check_scan(network.of_scan(one.beam), one, epochs)

    def _check_scan(self, network: Model, one: Measurement, epochs: int) -> None:
        """Say of a scan, after so many epochs, which picture is kept, whether it is one, and what would help."""
        assert self.run is not None
        place, name = one.beam, f"{one.scan.source.name}: " if one.beam else ""
        apart, seen = self._some_of(one, network)
        validation = apart.only(np.intersect1d(apart.rows, one.parts.validation))
        fitted, object = network, network.object_of(seen)
        whole = len(validation.rows) > 0 and fitted.warm_start_epochs > 0 and warms_up_on_all(fitted, one.parts)
        if whole and (solver := solver_of(self.run.info.folder_of_scan(place), apart)):
            chosen = choose_picture(fitted, object, solver, validation)
            self.emit(dataclasses.replace(chosen, why=f"{name}{chosen.why}", scan=place))
            if not chosen.network:
                fitted, object = solver, solver.object.detach()[None]
        checked = validation if len(validation.rows) else apart
        if len(checked.rows):
            for told in check_refinement(fitted, object, checked, seen, one, self.token):
                self.emit(dataclasses.replace(told, message=f"{name}{told.message}", scan=place))
        if why := no_picture(fitted, object, checked, seen):
            fails = epochs >= FEWEST_EPOCHS and not self.token.stop_requested
            left, cut_short = self.run.info.own_probe_left, None if fails else epochs
            self.emit(happenings.Judged(judge_nothing(why, self.config, left, cut_short), place))
            if fails and len(validation.rows):  # free patterns decide nothing of a run
                of = one.scan.source.name if place else "it"
                raise TrainingError(f"no picture came of {of}: {why}. The best state is kept")
            return
        signs = signs_of(fitted, object, apart, seen.rows, apart.rows)
        signs = dataclasses.replace(signs, **signs_of_run(self.run.info, place))
        self.emit(happenings.Judged(judge(signs, self.config), place))

    def _some_of(self, one: Measurement, model: Model) -> tuple[Canvas, Canvas]:
        """Return patterns of a scan's middle that do not train, and some that do, on its canvas."""
        apart = np.sort(np.concatenate([one.parts.validation, one.parts.free]))
        seen, rows = middle_parts(one.scan, Split(one.parts.train, apart, apart[:0]), SEEN_PATTERNS)
        rows = middle(one.scan, rows, CHECKED_PATTERNS)
        canvas = Canvas.of_scan(one.scan, one.amplitudes, rows, model.device, self.config)
        return canvas, canvas.only(seen)

    def _take_up(self) -> tuple[Path | None, int]:
        """Return the checkpoint to go on from and how many epochs were done; neither where no step had been done."""
        path = self.folder / CHECKPOINTS / "last.ckpt"
        with damage_explained(path):
            saved = torch.load(path, map_location="cpu", weights_only=True)
            step = int(saved["global_step"])
        if self.run is not None:
            drop_rows_from(self.run.info.logs / "metrics.csv", step)
        if step and self.config.probe_modes is None:
            self.config = self.config.replace(probe_modes=len(saved["state_dict"]["probe_parts"]))
        return (path, int(saved["epoch"]) + 1) if step else (None, 0)

    def _started(self, model: Model, batches: int, done: int) -> happenings.RunStarted:
        steps = math.ceil(batches / self.config.accumulate_grad_batches)
        earlier = str(self.run.earlier or "") if self.run else ""
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        return happenings.RunStarted(
            str(self.folder), self.device, self.config.max_epochs, steps, parameters, done, earlier
        )

    def _callbacks(self) -> list[L.Callback]:
        config = self.config
        self.report = Report(self.emit, preview_seconds=config.preview_seconds)
        self.roll_back = RollBack(self.emit)
        callbacks: list[L.Callback] = [StepLog(self.emit), self.roll_back, self.report, *self.callbacks, self.obey]
        if config.early_stop_patience:
            self.early = StopEarly(
                config.monitor, config.checkpoint_mode, config.early_stop_patience, config.early_stop_min_delta
            )
            callbacks.append(self.early)
        if config.enable_checkpointing:
            folder = self.folder / CHECKPOINTS
            if config.checkpoint_save_top_k:
                keep, put_back = config.checkpoint_save_top_k, self.roll_back.put_back
                self.best = BestCheckpoints(folder, config.monitor, config.checkpoint_mode, keep, self.emit, put_back)
                callbacks.append(self.best)
            self.last = LastCheckpoint(folder / "last.ckpt", self.emit)
            callbacks.append(self.last)
        return callbacks

    def _outcome(self, trainer: L.Trainer, model: Model) -> tuple[Status, str]:
        if self.obey.late:
            return Status.FINISHED, f"the time limit of {self.config.max_time:g} min is reached"
        if self.token.stop_requested:
            return Status.STOPPED, self.token.reason
        if model.ended:
            return Status.FINISHED, model.ended
        if self.early is not None and self.early.stopped_epoch:
            return Status.FINISHED, f"{self.config.monitor} has not improved for {self.early.patience} epochs"
        if self.config.max_steps is not None and trainer.global_step >= self.config.max_steps:
            return Status.FINISHED, f"all {self.config.max_steps} steps are done"
        return Status.FINISHED, f"all {self.config.max_epochs} epochs are done"

    def _finish(self, status: Status, reason: str) -> None:
        if self.run is None:
            return
        for scan in self.scans:
            if not scan.growing and (changed := changed_since(scan.files)):
                reason = f"{reason}; {changed}"
        best, metrics = self.run.info.best_checkpoint, dict(self.run.info.metrics)
        self.emit(happenings.RunFinished(str(self.folder), status, reason, str(best) if best else None, metrics))


def _preview(network: Model, one: Measurement, epoch: int, step: int) -> happenings.PreviewReady:
    """Return a picture of what the network knows of one scan of the run."""
    return dataclasses.replace(network.of_scan(one.beam).preview(one, epoch, step), scan=one.beam)
