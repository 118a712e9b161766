"""The engines: classes by the name that a config has for them."""

from __future__ import annotations

from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel

MODELS: dict[str, type[Model]] = {"pinn": PinnModel, "direct": DirectModel}
