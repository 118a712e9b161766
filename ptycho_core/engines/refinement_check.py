"""Whether the data ask for refined positions, or for a brightness or a probe of each pattern: without another fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptycho_core.base.events import RefinementChecked, StopToken
from ptycho_core.engines.bend import bent_px
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Measurement
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.one_pass import look
from ptycho_core.inspection.run_checks import PATTERNS_PER_VARIATION
from ptycho_core.quality.verdict import BENT

WORTH = 0.01
"""Part of the deviance that has to go for a refinement to be worth its time."""
OWN = {"positions": 0.15, "intensity": 0.25, "probe_variation": 0.25}
"""Part of what is missed beyond photon noise that a place, a brightness or a probe of each pattern explains, at least.

Positions that are off, and light that varies, have spoiled more than that, and what is each pattern's own explains most
of it. It takes up a little of any other fault too, as of a picture's edge or of views that hardly overlap; refined, it
makes such a picture worse.
"""
MORE = 1.5
"""Times what moved or brighter patterns explain that a probe which varies explains, at least, where it does vary.

Such a probe does what these do, too, and they take up a part of what a beam does whose direction wanders.
"""
ASKS = 0.1
"""Pixels (rms) by which patterns ask to be moved, for a reason or by chance, from which on it is found out whether the
picture is bent: that takes a short fit. Where a picture was bent by half a pixel they ask for 0.12 or more."""
MOST_MODES, ENOUGH = 4, 0.9
"""Of a probe that varies: so many modes are tried, and the fewest proposed that explain this part of what those do."""
PATTERNS, _FEWEST, _PIXELS = 128, 32, 2**20
"""Patterns that show how a probe varies: at most, and as many as have so many pixels, but not fewer than the second."""
_SIMPLE = "positions", "intensity"
_WORDS = {
    "positions": "refined positions",
    "intensity": "one factor of brightness per pattern",
    "probe_variation": "a probe that differs from pattern to pattern",
}


def check_refinement(
    model: Model, object: Tensor, canvas: Canvas, seen: Canvas, one: Measurement, stop: StopToken
) -> list[RefinementChecked]:
    """Tell for each knob that stands at ``check`` whether refinement explains the validation patterns better.

    Each of them, which object and probe have not seen, is moved (made brighter, given a probe of its own) to where half
    of its pixels ask for, and its other half judges. That the object would follow is left out: refinement itself does
    better than this.

    Parameters
    ----------
    model
        After its fit.
    object
        (1, H, W) complex on the canvas.
    canvas, seen
        With patterns that were kept apart, and with some that were fitted.
    one
        The scan, for the short fit that tells whether its picture is bent.
    stop
        Ends it early: what has not been found out by then is not told.
    """
    wanted = [name for name in _SIMPLE if getattr(model.config, name) == "check"]
    trials = [_try(name, model, object, canvas) for name in wanted if not stop.stop_requested]
    most = max((trial.gain for trial in trials), default=0.0)
    varied = _vary(model, object, canvas, seen, stop) if model.config.probe_variation is None else None
    varies = varied is not None and varied.helps and varied.gain > MORE * most
    told = []
    for trial in trials:
        asks = trial.knob == "positions" and trial.moved > ASKS
        bent = bent_px(model, object, one, stop) if asks else 0.0
        told.append(_told(trial, trial.helps and not varies, bent))
    return told if varied is None else [*told, _told(varied, varies)]


class _Trial(NamedTuple):
    """A knob at a value other than ``check``.

    Half deviance of the validation patterns before and after, that of photon noise, and pixels (rms) moved by.
    """

    knob: str
    value: str | int
    before: float
    after: float
    noise: float
    moved: float = 0.0

    @property
    def gain(self) -> float:
        return self.before - self.after

    @property
    def helps(self) -> bool:
        return self.gain > max(WORTH * self.before, OWN[self.knob] * (self.before - self.noise))


def _try(knob: str, model: Model, object: Tensor, canvas: Canvas) -> _Trial:
    trial = _with(model, object, canvas, **{knob: "refine"})
    before, after, noise = _judged(trial, object, canvas)
    moved = float(trial.shifts.detach()[canvas.rows].square().sum(dim=1).mean().sqrt()) if len(trial.shifts) else 0.0
    return _Trial(knob, "refine", before, after, noise, moved)


def _vary(model: Model, object: Tensor, canvas: Canvas, seen: Canvas, stop: StopToken) -> _Trial | None:
    """Try modes of variation: the principal components of what patterns that were fitted ask of the probe each."""
    most = min(MOST_MODES, len(seen.rows) - 1, len(canvas.positions) // PATTERNS_PER_VARIATION)
    if most < 1:
        return None
    asked = _asked_of_probe(_with(model, object, canvas), seen, stop)
    if asked is None:
        return None
    asked = (asked - asked.mean(dim=0)).flatten(1)
    _, vectors = torch.linalg.eigh((asked @ asked.T).cpu())
    modes = vectors[:, -most:].flip(1).T.to(asked) @ asked / len(asked) ** 0.5
    trials = []
    for count in range(1, most + 1):
        if stop.stop_requested:
            return None
        trial = _with(model, object, canvas, probe_variation=count)
        trial.variation_parts.data.copy_(modes[:count].view_as(trial.variation_parts) / trial.probe_scale)
        trial.coefficients.data.zero_()
        trials.append(_Trial("probe_variation", count, *_judged(trial, object, canvas)))
    best = max(trials, key=lambda trial: trial.gain)
    return next((trial for trial in trials if trial.gain >= ENOUGH * best.gain), best)


@torch.inference_mode()
def _asked_of_probe(model: DirectModel, seen: Canvas, stop: StopToken) -> Tensor | None:
    """Return by what the first mode of the probe would have to change for each of some patterns, (n, N, N, 2).

    None after a stop.
    """
    count = max(_FEWEST, min(PATTERNS, _PIXELS // seen.size**2))
    each = []
    for row in np.unique(np.linspace(0, len(seen.rows) - 1, count).astype(int)):
        if stop.stop_requested:
            return None
        batch = model.batch_of(seen, seen.rows[[row]])
        found = look(model.unknowns(), model.patterns_in(batch, 0.0), {"probe"})
        assert isinstance(found.light.probe, Tensor)
        each.append(torch.view_as_real(found.gradients["probe"][0] / -found.light.probe.max().clamp_min(1e-20)))
    return torch.stack(each)


def _with(model: Model, object: Tensor, canvas: Canvas, **changes: Any) -> DirectModel:
    """Return what was found, with something more to be found."""
    config = model.config.replace(**changes)
    return DirectModel.from_model(model, config, object[0], len(canvas.positions)).to(canvas.device)


def _judged(trial: DirectModel, object: Tensor, canvas: Canvas) -> tuple[float, float, float]:
    """Return half deviances before and after the patterns are settled, and that of noise."""
    before, after = (trial.misfit_of(object, canvas, held_out=True, settled=settled) for settled in (True, False))
    return before.deviance, after.deviance, before.noise


def _told(trial: _Trial, helps: bool, bent: float = 0.0) -> RefinementChecked:
    """Tell what a trial has found, and a fit of a picture that is ``bent`` by pixels."""
    change = f"deviance {trial.before:.4f} without, {trial.after:.4f} with"
    what, set_it = _WORDS[trial.knob], f"set {trial.knob} to {trial.value}"
    if bent > BENT / 2:
        message = f"The picture is bent by {bent:.2g} pixels (rms), as the positions are: {set_it}"
    elif helps:
        message = f"{what[0].upper()}{what[1:]} would explain patterns kept apart better ({change}): {set_it}"
    else:
        message = f"Patterns kept apart do not ask for {what} ({change})"
    return RefinementChecked(
        trial.knob, trial.before, trial.after, helps or bent > BENT / 2, message, bent, trial.value
    )
