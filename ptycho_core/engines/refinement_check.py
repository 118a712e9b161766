"""Whether the data ask for refined positions or for a brightness of each pattern, found without another fit."""

from __future__ import annotations

from torch import Tensor

from ptycho_core.base.events import RefinementChecked
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel

WORTH = 0.01
"""Part of the deviance that has to go for a refinement to be worth its time."""
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
    asked = [name for name in _WORDS if getattr(model.config, name) == "check"]
    found = []
    for name in asked:
        config = model.config.replace(**{**dict.fromkeys(_WORDS, "off"), name: "refine"})
        trial = DirectModel.from_model(model, config, object[0], len(canvas.positions)).to(canvas.device)
        before, after = (
            trial.misfit_of(object, canvas, held_out=True, settled=settled).deviance for settled in (True, False)
        )
        found.append(_told(name, before, after))
    return found


def _told(name: str, before: float, after: float) -> RefinementChecked:
    helps = after < (1 - WORTH) * before
    change = f"deviance {before:.4f} without, {after:.4f} with"
    what = _WORDS[name]
    message = (
        f"{what} would explain the validation patterns better ({change}): set {name} to refine"
        if helps
        else f"{what} would not explain the validation patterns better ({change})"
    )
    return RefinementChecked(name, before, after, helps, message[0].upper() + message[1:])
