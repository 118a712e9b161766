"""The signs that a verdict goes by, measured on a picture and its patterns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.engines import losses
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.models.base import Model
from ptycho_core.inspection.scan_checks import median_step_px
from ptycho_core.quality.verdict import Excess, Signs
from ptycho_core.runs.record import RunInfo
from ptycho_core.scan.grouping import overlap_at, probe_diameter

WORST = 0.9
"""Part of the patterns that are missed by less than the worst."""
LATE = 0.9
"""Part of its time limit after which a run has ended because of that."""
EDGE = 8
"""Part of the probe's frame, on each side, that is its edge."""


def signs_of(
    model: Model, object: Tensor, canvas: Canvas, fitted: NDArray[np.int64], apart: NDArray[np.int64]
) -> Signs:
    """Return what a picture shows of how good it is; what only the run knows is left at its defaults.

    Parameters
    ----------
    model
        Whose probe, background and what it knows of each pattern are used.
    object
        (1, H, W) complex on the canvas.
    canvas
        Of the whole scan.
    fitted, apart
        Places in the scan of the patterns that the fit has seen, and of those that it has not.
    """
    probe, unseen = model.probe.detach(), canvas.only(apart)
    model.settle(unseen)
    kept = excess_of(model, object, unseen, held_out=True)
    seen = excess_of(model, object, canvas.only(fitted), held_out=False)
    step, diameter = median_step_px(canvas.positions), probe_diameter(probe.cpu().numpy())
    return Signs(
        patterns=len(apart),
        error=kept.error,
        uncertain=kept.uncertain,
        worst=kept.error_at(WORST),
        fitted=seen.error,
        blank=excess_of(model, _featureless(model, unseen), unseen, held_out=True).error,
        halves=None,
        overlap=overlap_at(step, diameter) if diameter else 0.0,
        edge_light=_light_at_edge(probe),
        stray=tuple(sorted(map(int, [*fitted[seen.stray], *apart[kept.stray]]))),
        near_field=model.propagator.lowest_frequency > 0,
    )


def signs_of_run(run: RunInfo, place: int) -> dict[str, Any]:
    """Return the signs that a run has told of its scan at a place: fields of `Signs`."""
    checks, limit = run.of_scan(place).checks, run.config.max_time
    return {
        "epochs": run.epochs_done,
        "late": limit is not None and run.epochs_done < run.config.max_epochs and run.session_s > LATE * 60 * limit,
        "rolled_back": len(run.rollbacks),
        "own_probe_left": run.own_probe_left,
        "helps": {knob: told.get("value", "refine") for knob, told in checks.items() if told["helps"]},
        "bent_px": max((told.get("bent_px", 0.0) for told in checks.values()), default=0.0),
    }


@torch.inference_mode()
def excess_of(model: Model, object: Tensor, canvas: Canvas, *, held_out: bool) -> Excess:
    """Return by how much the patterns of a canvas are missed beyond photon noise, each on its own.

    Parameters
    ----------
    model, object, canvas
        As for `signs_of`, the canvas with the patterns to look at.
    held_out
        Whether the fit has not seen them: where something belongs to each alone, it was found from half of its pixels
        (`Model.settle`), and the other half judges.
    """
    each = [np.zeros((0, 3))]
    for amplitude, windows, rows, weight in canvas.moved(model.shifts).batches():
        expected = model.predict_patterns(object, model.probe, windows, rows)
        judging = model.judging_weight(weight) if held_out else weight
        each.append(losses.misfit_of_each(expected, amplitude, judging).cpu().numpy())
    return Excess(*np.concatenate(each).T)


@torch.inference_mode()
def _featureless(model: Model, canvas: Canvas) -> Tensor:
    """Return an object (1, H, W) of one modulus, with which as many counts are expected as were measured."""
    blank = torch.ones((1, *canvas.shape), dtype=torch.complex64, device=canvas.device)
    measured = expected = 0.0
    for amplitude, windows, rows, weight in canvas.moved(model.shifts).batches():
        measured += float(amplitude.square().sum())
        counts = model.predict_patterns(blank, model.probe, windows, rows)
        expected += float((counts if weight is None else counts * weight).sum())
    return blank * math.sqrt(measured / max(expected, 1e-12))


def _light_at_edge(probe: Tensor) -> float:
    """Return the part of a probe's light (M, N, N) that lies at the edge of its frame."""
    light = probe.abs().square().sum(dim=0)
    edge = max(1, len(light) // EDGE)
    return float(1 - light[edge:-edge, edge:-edge].sum() / light.sum().clamp_min(1e-30))
