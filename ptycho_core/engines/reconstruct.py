"""From a scan and a checkpoint to an object and a probe, with the figures that say how good they are."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.base import events as happenings
from ptycho_core.base.atomic import write_json
from ptycho_core.base.choices import ENGINES
from ptycho_core.base.codec import encode
from ptycho_core.base.errors import InputError, TrainingError, raise_errors
from ptycho_core.base.events import Cancelled, EventHandler, StopToken
from ptycho_core.engines.canvas import LIT, Canvas
from ptycho_core.engines.checkpoints import checkpoint_at, load_checkpoint
from ptycho_core.engines.choice import choose_picture, solver_of
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.device_memory import check_device_memory, home_of_patterns
from ptycho_core.engines.halves import compare_halves, views_of
from ptycho_core.engines.models.base import TILE, Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.solution import vacuum
from ptycho_core.engines.models.start import place_of, scan_summary
from ptycho_core.engines.polish import join, polish, warms_up_on_all
from ptycho_core.engines.probe_modes import order_modes
from ptycho_core.engines.signs import signs_of, signs_of_run
from ptycho_core.engines.trainer import device_of
from ptycho_core.formats.writers.exports import USUAL, export
from ptycho_core.inspection.memory import check_memory
from ptycho_core.quality.displacements import what_moved
from ptycho_core.quality.verdict import judge
from ptycho_core.runs.record import RECONSTRUCTION, RunInfo, read_metrics, read_run
from ptycho_core.runs.results import METRICS_FILE, set_results_aside, with_note
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)

NO_TIME = "there was no time for it"
EPOCHS_WITHOUT = 30
"""Of the direct engine from nothing, at most, where refined positions are undone."""
_PARTS_OF_TIME = (
    "load_seconds",
    "reconstruct_seconds",
    "polish_seconds",
    "metrics_seconds",
    "halves_seconds",
    "final_pass_seconds",
)


def reconstruct(
    scan: Scan,
    checkpoint_path: str | Path,
    *,
    polish_epochs: int | None = None,
    halves: bool = True,
    final_pass: bool = True,
    accelerator: str = "auto",
    tile: int | None = None,
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
) -> Reconstruction:
    """Reconstruct a scan with a trained model.

    The scan may be the one that the model was trained on, or any other: of any field of view and any number of
    patterns. Its free patterns (chosen by the config's seed) tell how good it is, and take part only when all that is
    told has been found: in the final pass, whose picture is returned with the scores from before it.

    Parameters
    ----------
    scan
        To reconstruct.
    checkpoint_path
        A ``.ckpt``, a bundle, or the folder of a run, whose best checkpoint is taken.
    polish_epochs
        Epochs of the direct engine on the network's object and probe, each of which the network may clean once more.
        The state with the lowest deviance of the validation patterns, which then take no part, is kept. None: as many
        as the engine thinks right.
    halves
        Whether two halves of the scan are compared, which takes a short fit of each: `halves.compare_halves`.
    final_pass
        Whether all patterns take part in the end, those that validated or were free too.
    accelerator
        As in the config.
    tile
        Width in pixels of the tiles that the network sees at once.
    events, stop
        Observer and token; a stop ends polishing early, and what would not end in the time that a token leaves is left
        out.

    Raises
    ------
    InputError
        The checkpoint does not fit the scan or cannot be read, a number is below its limit, or the memory does not
        suffice.
    """
    for name, number, least in (("polish_epochs", polish_epochs, 0), ("tile", tile, 1)):
        if number is not None and number < least:
            raise InputError(f"{name} must be a whole number from {least} (it is {number})")
    making = _Making(scan, checkpoint_path, polish_epochs, accelerator, tile or TILE, events, stop or StopToken())
    try:
        making.picture()
        making.polish()
        making.undo()
        making.score()
        if halves:
            making.compare_halves()
        making.judge()
        if final_pass:
            making.take_all()
        return making.result()
    finally:
        making.canvas.amplitudes.close()


class _Making:
    """One call of `reconstruct`, whose steps are its methods, in their order."""

    def __init__(
        self,
        scan: Scan,
        checkpoint_path: str | Path,
        polish_epochs: int | None,
        accelerator: str,
        tile: int,
        events: EventHandler,
        token: StopToken,
    ) -> None:
        self.scan, self.accelerator, self.tile, self.events, self.token = scan, accelerator, tile, events, token
        self.seconds = dict.fromkeys(_PARTS_OF_TIME, 0.0)
        self.polished_epochs, self.cleaned = 0, False
        with self._part("load_seconds", happenings.Stage.LOADING):
            self.path = checkpoint_at(checkpoint_path)
            self.checkpoint = load_checkpoint(self.path)
            self.model = self.checkpoint.model()
            config, device = self.model.config, device_of(accelerator)
            raise_errors(check_memory(config, scan) + check_device_memory(config, scan, device))
            own = ENGINES[config.engine].polish_epochs
            self.polish_epochs = own if polish_epochs is None else polish_epochs
            self.parts = split(len(scan), config)
            fitted_and_validating = np.sort(np.concatenate([self.parts.train, self.parts.validation]))
            self.rows = self.parts.train if self.polish_epochs else fitted_and_validating
            amplitudes = Amplitudes(scan, home_of_patterns(config, scan, device))
            self.canvas = Canvas.of_scan(scan, amplitudes, self.rows, device, config)
            self.summary = scan_summary(scan)
            self.run, self.place = _run_of(self.path), place_of(self.checkpoint.scan, self.summary)
            self.same_scan = self.place is not None

    @contextlib.contextmanager
    def _part(self, takes: str, stage: happenings.Stage | None = None) -> Iterator[None]:
        """Tell the stage, and add the time that is taken to one of `_PARTS_OF_TIME`."""
        if stage is not None:
            self.events(happenings.StageChanged(stage))
        began = time.perf_counter()
        yield
        self.seconds[takes] += time.perf_counter() - began

    def picture(self) -> None:
        """Make the picture that the model has of the scan."""
        with self._part("reconstruct_seconds", happenings.Stage.RECONSTRUCTING):
            self.model, taken = self.model.adapt(self.scan, self.canvas, self.summary)
            self.final = self.model
            self.object = self.model.object_of(self.canvas, self.tile)
        by = f"reconstructed with {self.path.name} ({self.model.config.engine} engine)"
        rollbacks = self.run.rollbacks if self.run else ()
        told = [f"while it was trained: {what[0].lower()}{what[1:]}" for what in rollbacks]
        self.history = [*self.scan.history, taken, by, *told]

    def polish(self) -> None:
        """Let the direct engine go on from there, and take its picture, or the warm start's, where that is better."""
        if not self.polish_epochs or self.token.stop_requested:
            return
        with self._part("polish_seconds", happenings.Stage.POLISHING):
            better, self.polished_epochs, self.cleaned = polish(
                self.model,
                self.scan,
                self.canvas,
                self.parts,
                self.object,
                self.polish_epochs,
                self.accelerator,
                self.events,
                self.token,
                gently=True,
            )
            if self.polished_epochs:  # else the pass is the best picture, and stays what it is
                self.final, self.object = better, better.object_of(self.canvas)
            also = " and cleaned once more" if self.cleaned else ""
            self.history.append(f"polished by the direct engine for {self.polished_epochs} epochs{also}")
            self._choose()

    def undo(self) -> None:
        """Leave patterns where they were recorded, where the picture that has moved them tells little of others."""
        validation = self.parts.validation
        if not len(self.final.shifts) or not len(validation):
            return
        signs = signs_of(self.final, self.object, self.canvas, self._fitted, validation)
        if not signs.tells_little:
            return
        with self._part("polish_seconds", happenings.Stage.POLISHING):
            start, config = vacuum(self.canvas.shape), self.final.config.replace(positions="check")
            try:
                found, epochs, cleaned = polish(
                    DirectModel.from_model(self.final, config, start, len(self.scan)),
                    self.scan,
                    self.canvas,
                    self.parts,
                    start[None],
                    EPOCHS_WITHOUT,
                    self.accelerator,
                    self.events,
                    self.token,
                    from_afar=True,
                )
            except TrainingError:  # it diverged, and the picture stays
                return
            if self.token.stop_requested:  # half of a fit is no better than the picture that there is
                return
            self.final, self.object = found, found.object_of(self.canvas)
            self.polished_epochs, self.cleaned = epochs, cleaned
        self.history.append(
            f"with refined positions the picture explained {signs.explained:.0%} of what an empty one does not: they "
            f"are undone, and the direct engine has begun again with those recorded, for {self.polished_epochs} epochs"
        )
        _log.warning("%s", self.history[-1])

    def _choose(self) -> None:
        if self.run is None or self.place is None or not len(self.parts.validation):
            return
        if not warms_up_on_all(self.model, self.parts):
            return
        if (solver := solver_of(self.run.folder_of_scan(self.place), self.canvas)) is None:
            return
        chosen = choose_picture(self.final, self.object, solver, self.canvas.only(self.parts.validation))
        self.history.append(chosen.why)
        if not chosen.network:
            self.final, self.object, self.cleaned = solver, solver.object_of(self.canvas), False

    def score(self) -> None:
        """Say how well the picture explains the patterns, the free ones above all."""
        with self._part("metrics_seconds"):
            self.canvas = self.canvas.moved(self.final.shifts)
            moved, how = _moved(self.canvas)
            if how:
                self.history.append(how)
                _log.info("%s", how)
            self.metrics: dict[str, Any] = {
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "run": self.run.folder.name if self.run else None,
                "checkpoint": str(self.path.absolute()),
                "checkpoint_epoch": self.checkpoint.epoch,
                "same_scan": self.same_scan,
                "polish_epochs": self.polished_epochs,
                **_figures(self.final, self.object, self.canvas, self.parts.free),
                **moved,
                # What the run found of knobs at ``check``.
                **{f"{knob}_check": told for knob, told in self._checks.items()},
            }
        self.view_s = self.seconds["metrics_seconds"] / len(self.scan)

    def compare_halves(self) -> None:
        """Say by how much two halves of the scan differ, each reconstructed on its own."""
        if not self._in_time(views_of(self.parts)):
            self.metrics["half_scans_reason"] = NO_TIME
        elif not self.token.stop_requested:
            self._compare_halves()

    def _compare_halves(self) -> None:
        with self._part("halves_seconds", happenings.Stage.COMPARING_HALVES):
            there = self.scan.replace(positions=self.scan.positions + self.canvas.positions - self.canvas.recorded)
            self.metrics |= compare_halves(self.final, there, self.parts, self.accelerator, self.token)

    def judge(self) -> None:
        """Say what all that comes to."""
        with self._part("metrics_seconds"):
            fitted, config = self._fitted, self.model.config
            apart = np.setdiff1d(np.arange(len(self.scan)), fitted)
            signs = dataclasses.replace(
                signs_of(self.final, self.object, self.canvas, fitted, apart),
                halves=self.metrics.get("half_scans_difference"),
                halves_error=self.metrics.get("half_scans_error"),
                polished=bool(self.polish_epochs or not ENGINES[config.engine].polish_epochs),
                **(signs_of_run(self.run, self.place) if self.run and self.place is not None else {}),
            )
            self.verdict = judge(signs, config)
            self.metrics |= {"signs": encode(signs), "verdict": encode(self.verdict)}

    @property
    def _checks(self) -> dict[str, dict[str, Any]]:
        return self.run.of_scan(self.place or 0).checks if self.run else {}

    @property
    def _fitted(self) -> NDArray[np.int64]:
        """The patterns that the picture was fitted to, before all of them are."""
        return self.parts.train if self.final.final_epochs else self.rows

    def take_all(self) -> None:
        """Let all patterns take part, now that all that they can tell is told."""
        if len(self._fitted) == len(self.scan):
            return
        if not self._in_time(self.final.final_epochs * len(self.scan)):
            self._tell_final(f"left out: {NO_TIME}")
        elif not self.token.stop_requested:
            self._take_all()

    def _take_all(self) -> None:
        with self._part("final_pass_seconds", happenings.Stage.FINAL_PASS):
            try:
                how = self._with_all(np.arange(len(self.scan)))
            except (Cancelled, TrainingError) as error:
                how = f"left out: {error or 'cancelled'}"
        self._tell_final(how)

    def _tell_final(self, how: str) -> None:
        self.metrics["final_pass"] = how
        self.history.append(f"final pass: {how}")

    def _in_time(self, views: int) -> bool:
        """Whether fits that look at so many patterns end in time, if each takes as long as it took to score one."""
        return views * self.view_s <= self.token.seconds_left

    def _with_all(self, rows: NDArray[np.int64]) -> str:
        """Make the picture of all patterns, and return what was done; where that fails nothing is changed."""
        canvas, final, by = self.canvas.only(rows), self.final, ""
        if final.final_epochs:
            final, epochs = join(final, self.scan, canvas, self.object, self.accelerator, self.events, self.token)
            by = f", {epochs} epochs"
        object = final.object_of(canvas, self.tile)
        if self.cleaned:
            object = self.model.cleaned(object, canvas, final.probe.detach())
        self.final, self.object, self.rows, self.canvas = final, object, rows, canvas.moved(final.shifts)
        return f"all {len(self.scan)} patterns{by}; scores are from before it"

    def result(self) -> Reconstruction:
        """Return the picture with all that is known of it."""
        canvas, rows, probe = self.canvas, self.rows, order_modes(self.final.probe.detach())
        misfits = self.metrics["misfit"], self.metrics["free_misfit"]
        _log.info("%s: misfit %.4f, free misfit %.4f", self.history[-1], *misfits)
        self.history.append(f"the picture is {self.verdict}")
        _log.info("%s", self.history[-1])
        return Reconstruction(
            object=self.object[0].cpu().numpy(),
            probe=probe.cpu().numpy(),
            coverage=canvas.light(probe)[0].cpu().numpy(),
            positions_px=canvas.positions[rows],
            pattern_index=rows,
            geometry=self.scan.geometry,
            metrics={**self.metrics, **self.seconds},
            config=self.model.config.to_dict(),
            history=tuple(self.history),
            name=self.scan.source.path.stem if self.scan.source.path else "",
            loss_history=_loss_history(self.path),
            recorded_positions_px=None if canvas.positions is canvas.recorded else canvas.recorded[rows],
        )


def _moved(canvas: Canvas) -> tuple[dict[str, Any], str]:
    """Return how the patterns were moved from where they were recorded, in figures and words; nothing if not.

    A shift of all together is left out: it cannot be known.
    """
    if canvas.positions is canvas.recorded:
        return {}, ""
    recorded, refined = canvas.recorded[canvas.rows], canvas.positions[canvas.rows]
    parts = what_moved(recorded, refined)
    words = f"moved the patterns by {parts.rms_px:.3g} pixels (rms) from where they were recorded: {parts.in_words()}"
    figures = parts.to_dict()
    return {"positions_rms_px": figures.pop("rms_px"), "positions_moved": figures}, words


def _run_of(checkpoint_path: Path) -> RunInfo | None:
    """Return the run that the checkpoint lies in; None where it lies elsewhere."""
    try:
        return read_run(checkpoint_path.absolute().parent.parent)
    except InputError:
        return None


def _figures(model: Model, object: Tensor, canvas: Canvas, free: NDArray[np.int64]) -> dict[str, float | int]:
    """Return how well object and probe explain the patterns, and what they cover."""
    cover = canvas.light(model.probe.detach())
    lit = cover[0] > LIT
    fitted, unseen = model.misfit_of(object, canvas), model.misfit_of(object, canvas.only(free), held_out=True)
    return {
        "free_deviance": unseen.deviance,
        "free_misfit": unseen.misfit,
        "misfit": fitted.misfit,
        "r_free": unseen.r,
        "patterns": len(canvas.rows),
        "free_patterns": len(free),
        "covered_pixels": int(lit.sum()),
        "median_coverage": float(cover[0][lit].median()),
    }


def _loss_history(checkpoint_path: Path) -> tuple[tuple[int, float], ...]:
    """Return epoch and mean training loss of the run that the checkpoint lies in; nothing where it lies elsewhere."""
    try:
        columns = read_metrics(checkpoint_path.absolute().parent.parent)
    except InputError:
        return ()
    if "poisson_train_loss_epoch" not in columns:
        return ()
    losses = columns["poisson_train_loss_epoch"]
    known = np.isfinite(losses)
    return tuple((int(epoch), float(loss)) for epoch, loss in zip(columns["epoch"][known], losses[known], strict=True))


@dataclass(frozen=True)
class Written:
    """Where `write_results` wrote: the files by name, and where the reconstruction before it is now, if any was."""

    files: dict[str, Path]
    earlier: Path | None


def write_results(reconstruction: Reconstruction, folder: Path) -> Written:
    """Write NPZ, product, TIFF, PNG and metrics.json into ``folder/reconstruction``; what was there is set aside.

    The operator's note on the folder stands in them.
    """
    target, reconstruction = folder / RECONSTRUCTION, with_note(reconstruction, folder)
    earlier = set_results_aside(folder)
    written: dict[str, Path] = {}
    for format in USUAL:
        for path in export(reconstruction, target, format):
            written[path.name] = path
    metrics = target / METRICS_FILE
    write_json(metrics, {**reconstruction.metrics, "checkpoint": _seen_from(folder, reconstruction.metrics)})
    return Written({**written, metrics.name: metrics}, earlier)


def _seen_from(folder: Path, metrics: dict[str, Any]) -> str:
    """Return the checkpoint's path, relative where the folder is in that of the checkpoint's run: that may be moved."""
    checkpoint, folder = Path(metrics["checkpoint"]), folder.absolute()
    inside = metrics["run"] is not None and folder.is_relative_to(checkpoint.parent.parent)
    return Path(os.path.relpath(checkpoint, folder)).as_posix() if inside else str(checkpoint)
