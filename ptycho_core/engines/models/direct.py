"""The direct engine: object and probe are the parameters, fitted to one scan by automatic differentiation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ptycho_core.base.config import Config
from ptycho_core.engines.data import Batch
from ptycho_core.engines.models.base import PtychographyModule
from ptycho_core.engines.physics import place, squared_modulus

PIXEL_RATE = 50.0
"""Learning rate of pixels of modulus about 1, as a multiple of the config's, which suits a network's weights."""


class DirectModel(PtychographyModule):
    """An object on one canvas and a probe.

    Parameters
    ----------
    config, probe, weight
        As for `PtychographyModule`.
    shape
        (H, W) of the canvas.
    object
        (H, W) complex to start from; vacuum where None.
    """

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        weight: Tensor | None,
        shape: tuple[int, int],
        object: Tensor | None = None,
    ) -> None:
        super().__init__(config, probe, weight)
        start = torch.ones(shape, dtype=torch.complex64) if object is None else object
        self.object_parts = nn.Parameter(torch.view_as_real(start).clone())

    @property
    def object(self) -> Tensor:
        """(H, W) complex64."""
        return torch.view_as_complex(self.object_parts)

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the batch's patterns."""
        canvas = self.object[None]
        windows = place(batch.positions, self.probe_parts.shape[1], canvas.shape)  # type: ignore[arg-type]
        return self.predict_patterns(canvas, self.probe, windows), batch.amplitude.flatten(0, 1)

    def penalty(self) -> Tensor | float:
        """Mean squared difference of neighbouring object pixels, weighted: a quadratic smoothness prior."""
        if not self.config.object_smoothness:
            return 0.0
        object = self.object
        rows = squared_modulus(object[1:] - object[:-1]).mean()
        columns = squared_modulus(object[:, 1:] - object[:, :-1]).mean()
        return self.config.object_smoothness * (rows + columns)

    def rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Object and probe learn alike."""
        return [([self.object_parts, self.probe_parts, self.background_root], PIXEL_RATE)]
