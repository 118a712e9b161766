"""Which picture of a scan is kept: the network's, or that of the solver which warmed it up."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import PictureChosen
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.runs.record import WARM_START


def solver_of(folder: Path, canvas: Canvas) -> DirectModel | None:
    """Return the solver as the warm start of the run in a folder left it, if it is there and of this canvas."""
    try:
        model = load_checkpoint(folder / WARM_START).model()
    except InputError:
        return None
    assert isinstance(model, DirectModel)  # a warm start keeps no other
    return model.to(canvas.device) if model.object.shape == canvas.shape else None


def choose_picture(model: Model, object: Tensor, solver: DirectModel, validation: Canvas) -> PictureChosen:
    """Say which explains patterns better that neither was fitted to: a model's object (1, H, W), or the solver's."""
    network, other = (
        one.misfit_of(picture, validation, held_out=True).deviance
        for one, picture in ((model, object), (solver, solver.object.detach()[None]))
    )
    names = ("the network's picture", "the solver's picture, of the warm start,")
    better, worse = names if network <= other else reversed(names)
    low, high = sorted((network, other))
    figures = f"(deviance {low:.4g} and {high:.4g})"
    why = f"{better} explains the validation patterns better than {worse.rstrip(',')} {figures}"
    return PictureChosen(network <= other, why)
