"""Whether the data ask for refined positions or for a brightness of each pattern, found without another fit."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ptycho_core.base.events import RefinementChecked
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel

WORTH = 0.01
"""Part of the deviance that has to go for a refinement to be worth its time."""
FLICKERS = 0.25
"""Part of what is missed beyond photon noise that a factor per pattern explains, at least, of light that varies.

Such a factor is each pattern's own, and explains most of what it has spoiled. It takes up a little of any other fault
too, as of a picture's edge; refined, it makes such a picture worse.
"""
BENT = 0.3
"""Pixels (rms) by which patterns ask to be moved where a picture has followed wrong positions, as of a drifting stage.

Positions that are off each by chance blur a picture, and moving its patterns explains most of what was missed; of a
picture that is bent it explains less, as the patterns around have bent it too. Where it explains hardly anything,
something else is wrong, as the number of modes.
"""
_EXPLAINS = 0.06, 0.5
"""Parts of what is missed that moving the patterns explains of a bent picture."""
_WORDS = {"positions": "refined positions", "intensity": "one factor of brightness per pattern"}


def check_refinement(model: Model, object: Tensor, canvas: Canvas) -> list[RefinementChecked]:
    """Tell for each knob that stands at ``check`` whether refinement explains the validation patterns better.

    Each of them, which object and probe have not seen, is moved (made brighter) to where half of its pixels ask for,
    and its other half judges. That the object would follow is left out: refinement itself does better than this.

    Parameters
    ----------
    model
        After its fit.
    object
        (1, H, W) complex on the canvas.
    canvas
        With patterns that validate.
    """
    trials = [_try(name, model, object, canvas) for name in _WORDS if getattr(model.config, name) == "check"]
    most = max((trial.gain for trial in trials), default=0.0)
    return [_told(trial, most) for trial in trials]


class _Trial(NamedTuple):
    """Half deviance of the validation patterns before and after, that of photon noise, and pixels (rms) moved by."""

    name: str
    before: float
    after: float
    noise: float
    moved: float

    @property
    def gain(self) -> float:
        return self.before - self.after


def _try(name: str, model: Model, object: Tensor, canvas: Canvas) -> _Trial:
    config = model.config.replace(**{**dict.fromkeys(_WORDS, "off"), name: "refine"})
    trial = DirectModel.from_model(model, config, object[0], len(canvas.positions)).to(canvas.device)
    before, after = (trial.misfit_of(object, canvas, held_out=True, settled=settled) for settled in (True, False))
    moved = float(trial.shifts.detach()[canvas.rows].square().sum(dim=1).mean().sqrt()) if len(trial.shifts) else 0.0
    return _Trial(name, before.deviance, after.deviance, before.noise, moved)


def _told(trial: _Trial, most: float) -> RefinementChecked:
    """Tell what a trial has found, ``most`` being the largest gain of any: far more of another says that it is that."""
    name, before, after, noise, moved = trial
    helps = after < (1 - WORTH) * before and (name != "intensity" or trial.gain > FLICKERS * (before - noise))
    least, largest = (part * (before - noise) for part in _EXPLAINS)
    bends = helps and moved > BENT and max(least, most / 2) < trial.gain < largest
    change = f"deviance {before:.4f} without, {after:.4f} with"
    what = _WORDS[name]
    message = (
        f"{what} would explain the validation patterns better ({change}): set {name} to refine"
        if helps
        else f"{what} would not explain the validation patterns better ({change})"
    )
    return RefinementChecked(name, before, after, helps, message[0].upper() + message[1:], bends)
