"""From a scan and a checkpoint to an object and a probe, with the figures that say how good they are."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ptycho_core.base import events as happenings
from ptycho_core.base.atomic import write_json
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import EventHandler, StopToken
from ptycho_core.engines.checkpoints import Checkpoint, load_checkpoint
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import at_brightness, pixel_weight, scan_canvas, scan_summary, starting_probe
from ptycho_core.engines.polish import polish
from ptycho_core.engines.probe_modes import order_modes
from ptycho_core.engines.trainer import device_of
from ptycho_core.engines.whole_canvas import (
    COVERED,
    TILE,
    Canvas,
    estimate_object,
    half_scan_correlation,
    light,
    middle,
    network_object,
    r_of,
)
from ptycho_core.formats.writers.exports import export
from ptycho_core.runs.record import RECONSTRUCTION, read_metrics
from ptycho_core.runs.results import METRICS_FILE, set_results_aside
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)


def reconstruct(
    scan: Scan,
    checkpoint_path: Path,
    *,
    polish_epochs: int = 0,
    accelerator: str = "auto",
    tile: int | None = None,
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
) -> Reconstruction:
    """Reconstruct a scan with a trained model.

    The scan may be the one that the model was trained on, or any other: of any field of view and any number of
    patterns. Its free patterns (chosen by the config's seed) take no part and measure R_free.

    Parameters
    ----------
    scan
        To reconstruct.
    checkpoint_path
        A ``.ckpt`` or a bundle.
    polish_epochs
        Epochs of the direct engine on the network's object and probe. The state with the best R on the validation
        patterns, which then take no part, is kept.
    accelerator
        As in the config.
    tile
        Width in pixels of the tiles that the network sees at once.
    events, stop
        Observer and token; a stop ends polishing early.

    Raises
    ------
    InputError
        The checkpoint does not fit the scan or cannot be read.
    """
    started = time.perf_counter()
    events(happenings.StageChanged("loading"))
    checkpoint = load_checkpoint(checkpoint_path)
    device = device_of(accelerator)
    model = checkpoint.model()
    parts = split(len(scan), model.config)
    rows = parts.train if polish_epochs else np.sort(np.concatenate([parts.train, parts.validation]))
    canvas = Canvas(Amplitudes(scan), scan.positions, rows, scan.size, device, scan_canvas(scan))
    given = scan_summary(scan)
    same_scan = checkpoint.scan == given
    history = [*scan.history]
    loaded = time.perf_counter()

    events(happenings.StageChanged("reconstructing"))
    if isinstance(model, DirectModel):
        object = _direct_object(checkpoint, model, given, canvas)
    else:
        assert isinstance(model, PinnModel)
        model, sentence = _with_best_probe(checkpoint, model, scan, same_scan, canvas)
        history.append(sentence)
        object, _ = network_object(model, canvas, tile or TILE)
    history.append(f"reconstructed with {checkpoint_path.name} ({model.config.engine} engine)")
    passed = time.perf_counter()

    token, final, polished_epochs = stop or StopToken(), model, 0
    if polish_epochs and not token.stop_requested:
        events(happenings.StageChanged("polishing"))
        final, polished_epochs = polish(model, scan, canvas, parts, object, polish_epochs, accelerator, events, token)
        object = final.object.detach()[None]
        history.append(f"polished by the direct engine for {polished_epochs} epochs")
    polished = time.perf_counter()

    probe = order_modes(final.probe.detach())
    cover = light(canvas, probe)
    covered = cover[0] > COVERED
    metrics: dict[str, Any] = {
        "checkpoint": str(checkpoint_path.absolute()),
        "checkpoint_epoch": checkpoint.epoch,
        "same_scan": same_scan,
        "polish_epochs": polished_epochs,
        "r": r_of(final, object, probe, canvas, rows),
        "r_free": r_of(final, object, probe, canvas, parts.free),
        "patterns": len(rows),
        "free_patterns": len(parts.free),
        "covered_pixels": int(covered.sum()),
        "median_coverage": float(cover[0][covered].median()),
    }
    if isinstance(model, PinnModel) and not polish_epochs:  # of a polished object the network's halves tell nothing
        halves = half_scan_correlation(model, canvas, tile or TILE)
        metrics["half_scans_resolution_px"] = halves and halves.resolution_px
    metrics |= {
        "load_seconds": loaded - started,
        "reconstruct_seconds": passed - loaded,
        "polish_seconds": polished - passed,
        "metrics_seconds": time.perf_counter() - polished,
    }
    _log.info("%s: R %.4f, R_free %.4f", history[-1], metrics["r"], metrics["r_free"])
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
        name=scan.path.stem if scan.path else "",
        loss_history=_loss_history(checkpoint_path),
    )


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


def _direct_object(checkpoint: Checkpoint, model: DirectModel, given: dict[str, Any], canvas: Canvas) -> Tensor:
    fitted = checkpoint.scan
    if fitted != given or model.object.shape != canvas.shape:
        raise InputError(
            f"{checkpoint.path} holds the object of the scan that the direct engine was fitted to, {fitted} on "
            f"{tuple(model.object.shape)} pixels, and this is another, {given} on {canvas.shape}: give that scan, or a "
            "checkpoint of the network engine"
        )
    return model.to(canvas.device).object.detach()[None]


def _with_best_probe(
    checkpoint: Checkpoint, model: PinnModel, scan: Scan, same_scan: bool, canvas: Canvas
) -> tuple[PinnModel, str]:
    """Return the model with the probe for this scan, and which that is.

    On the scan that it was trained on the model's own; on another one, that probe or the scan's, whichever explains
    the patterns in the scan's middle better by back-projection alone.
    """
    weight = pixel_weight(scan)
    if same_scan:
        return model.with_probe(model.probe.detach(), weight).to(canvas.device), "used the checkpoint's probe"
    candidates = {"the scan's own probe": starting_probe(scan, model.config.probe_modes)}
    if model.probe.shape[-1] == scan.size:
        candidates["the checkpoint's probe"] = at_brightness(model.probe.detach(), scan)
    some = Canvas(canvas.amplitudes, scan.positions, middle(scan, canvas.rows), scan.size, canvas.device)
    models = {name: model.with_probe(probe, weight).to(canvas.device) for name, probe in candidates.items()}
    explained = {
        name: r_of(each, estimate_object(each, some).object, each.probe.detach(), some, some.rows)
        for name, each in models.items()
    }
    best = min(explained, key=lambda name: explained[name])
    return models[best], f"used {best}"


@dataclass(frozen=True)
class Written:
    """Where `write_results` wrote: the files by name, and where the reconstruction before it is now, if any was."""

    files: dict[str, Path]
    earlier: Path | None


def write_results(reconstruction: Reconstruction, folder: Path) -> Written:
    """Write NPZ, product, TIFF, PNG and metrics.json into ``folder/reconstruction``; what was there is set aside."""
    target = folder / RECONSTRUCTION
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
