"""From a scan and a checkpoint to an object and a probe, with the figures that say how good they are."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
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
from ptycho_core.engines.halves import compare_halves
from ptycho_core.engines.models.base import TILE, Model
from ptycho_core.engines.models.start import is_same_scan, scan_summary
from ptycho_core.engines.polish import join, polish
from ptycho_core.engines.probe_modes import order_modes
from ptycho_core.engines.signs import signs_of, signs_of_run
from ptycho_core.engines.trainer import device_of
from ptycho_core.formats.writers.exports import export
from ptycho_core.inspection.memory import check_memory
from ptycho_core.quality.displacements import what_moved
from ptycho_core.quality.verdict import judge
from ptycho_core.runs.record import RECONSTRUCTION, RunInfo, read_metrics, read_run
from ptycho_core.runs.results import METRICS_FILE, set_results_aside, with_note
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)

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
        Observer and token; a stop ends polishing early.

    Raises
    ------
    InputError
        The checkpoint does not fit the scan or cannot be read, a number is below its limit, or the memory does not
        suffice.
    """
    for name, number, least in (("polish_epochs", polish_epochs, 0), ("tile", tile, 1)):
        if number is not None and number < least:
            raise InputError(f"{name} must be a whole number from {least} (it is {number})")
    times = [time.perf_counter()]
    events(happenings.StageChanged(happenings.Stage.LOADING))
    checkpoint_path = checkpoint_at(checkpoint_path)
    checkpoint = load_checkpoint(checkpoint_path)
    trained = checkpoint.model()
    device = device_of(accelerator)
    raise_errors(check_memory(trained.config, scan) + check_device_memory(trained.config, scan, device))
    if polish_epochs is None:
        polish_epochs = ENGINES[trained.config.engine].polish_epochs
    parts = split(len(scan), trained.config)
    rows = parts.train if polish_epochs else np.sort(np.concatenate([parts.train, parts.validation]))
    amplitudes = Amplitudes(scan, home_of_patterns(trained.config, scan, device))
    canvas = Canvas.of_scan(scan, amplitudes, rows, device, trained.config)
    summary = scan_summary(scan)
    times.append(time.perf_counter())

    events(happenings.StageChanged(happenings.Stage.RECONSTRUCTING))
    model, taken = trained.adapt(scan, canvas, summary)
    object = model.object_of(canvas, tile or TILE)
    history = [*scan.history, taken, f"reconstructed with {checkpoint_path.name} ({model.config.engine} engine)"]
    run, same_scan = _run_of(checkpoint_path), is_same_scan(checkpoint.scan, summary)
    history += [f"while it was trained: {what[0].lower()}{what[1:]}" for what in (run.rollbacks if run else ())]
    times.append(time.perf_counter())

    token, final, polished_epochs, cleaned = stop or StopToken(), model, 0, False
    if polish_epochs and not token.stop_requested:
        events(happenings.StageChanged(happenings.Stage.POLISHING))
        better, polished_epochs, cleaned = polish(
            model, scan, canvas, parts, object, polish_epochs, accelerator, events, token, gently=True
        )
        if polished_epochs:  # else the pass is the best picture, and stays what it is
            final, object = better, better.object_of(canvas)
        also = " and cleaned once more" if cleaned else ""
        history.append(f"polished by the direct engine for {polished_epochs} epochs{also}")
        validation = canvas.only(parts.validation)
        if run and same_scan and len(parts.validation) and (s := solver_of(run.folder, canvas)):
            chosen = choose_picture(final, object, s, validation)
            history.append(chosen.why)
            if not chosen.network:
                final, object, cleaned = s, s.object_of(canvas), False
    times.append(time.perf_counter())

    canvas = canvas.moved(final.shifts)
    moved, how = _moved(canvas)
    if how:
        history.append(how)
        _log.info("%s", how)
    metrics = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.folder.name if run else None,
        "checkpoint": str(checkpoint_path.absolute()),
        "checkpoint_epoch": checkpoint.epoch,
        "same_scan": same_scan,
        "polish_epochs": polished_epochs,
        **_figures(final, object, canvas, parts.free),
        **moved,
        # What the run found of knobs at ``check``.
        **({f"{knob}_check": told for knob, told in run.checks.items()} if run else {}),
    }
    times.append(time.perf_counter())
    if halves and not token.stop_requested:
        events(happenings.StageChanged(happenings.Stage.COMPARING_HALVES))
        there = scan.replace(positions=scan.positions + canvas.positions - canvas.recorded)
        metrics |= compare_halves(final, there, parts, accelerator, token)
    times.append(time.perf_counter())
    fitted = parts.train if final.final_epochs else rows
    signs = dataclasses.replace(
        signs_of(final, object, canvas, fitted, np.setdiff1d(np.arange(len(scan)), fitted)),
        halves=metrics.get("half_scans_difference"),
        polished=bool(polish_epochs or not ENGINES[model.config.engine].polish_epochs),
        **(signs_of_run(run) if run and same_scan else {}),
    )
    verdict = judge(signs, model.config)
    metrics |= {"signs": encode(signs), "verdict": encode(verdict)}
    if final_pass and len(fitted) < len(scan) and not token.stop_requested:
        events(happenings.StageChanged(happenings.Stage.FINAL_PASS))
        every = np.arange(len(scan))
        try:
            final, object, how = _with_all(final, scan, canvas.only(every), object, tile, accelerator, events, token)
            if cleaned:
                object = model.cleaned(object, canvas.only(every), final.probe.detach())
            rows, canvas = every, canvas.only(every).moved(final.shifts)
        except (Cancelled, TrainingError) as error:
            how = f"left out: {error or 'cancelled'}"
        metrics["final_pass"] = how
        history.append(f"final pass: {how}")
    times.append(time.perf_counter())
    probe = order_modes(final.probe.detach())
    cover = canvas.light(probe)
    spent = [later - earlier for earlier, later in itertools.pairwise(times)]
    metrics |= dict(zip(_PARTS_OF_TIME, spent, strict=True))
    _log.info("%s: misfit %.4f, free misfit %.4f", history[-1], metrics["misfit"], metrics["free_misfit"])
    history.append(f"the picture is {verdict}")
    _log.info("%s", history[-1])
    return Reconstruction(
        object=object[0].cpu().numpy(),
        probe=probe.cpu().numpy(),
        coverage=cover[0].cpu().numpy(),
        positions_px=canvas.positions[rows],
        pattern_index=rows,
        geometry=scan.geometry,
        metrics=metrics,
        config=model.config.to_dict(),
        history=tuple(history),
        name=scan.source.path.stem if scan.source.path else "",
        loss_history=_loss_history(checkpoint_path),
        recorded_positions_px=None if canvas.positions is canvas.recorded else canvas.recorded[rows],
    )


def _with_all(
    model: Model,
    scan: Scan,
    canvas: Canvas,
    object: Tensor,
    tile: int | None,
    accelerator: str,
    events: EventHandler,
    stop: StopToken,
) -> tuple[Model, Tensor, str]:
    """Return the model and the object of all patterns of a scan, on whose canvas they are, and what was done."""
    by = ""
    if model.final_epochs:
        model, epochs = join(model, scan, canvas, object, accelerator, events, stop)
        by = f", {epochs} epochs"
    return model, model.object_of(canvas, tile or TILE), f"all {len(scan)} patterns{by}; scores are from before it"


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
    for format in ("npz", "product", "tiff", "png"):
        for path in export(reconstruction, target, format):
            written[path.name] = path
    metrics = target / METRICS_FILE
    write_json(metrics, {**reconstruction.metrics, "checkpoint": _seen_from(folder, reconstruction.metrics)})
    return Written({**written, metrics.name: metrics}, earlier)


def _seen_from(folder: Path, metrics: dict[str, Any]) -> str:
    """Return the checkpoint's path, relative where it lies in the folder: that may be moved."""
    checkpoint = Path(metrics["checkpoint"])
    inside = checkpoint.is_relative_to(folder.absolute())
    return checkpoint.relative_to(folder.absolute()).as_posix() if inside else str(checkpoint)
