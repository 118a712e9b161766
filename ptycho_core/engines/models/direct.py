"""The direct engine: object and probe are the parameters, fitted to one scan by automatic differentiation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes, Batch, Deal, FixedSampler, PatternSampler, Split, chunks, scan_canvas
from ptycho_core.engines.models.base import TILE, Model
from ptycho_core.engines.models.start import pixel_weight, starting_probe
from ptycho_core.engines.physics import place, squared_modulus
from ptycho_core.scan.scan import Scan

PIXEL_RATE = 50.0
"""Learning rate of pixels of modulus about 1, as a multiple of the config's, which suits a network's weights."""


class DirectModel(Model):
    """An object on one canvas and a probe.

    Parameters
    ----------
    config, probe, weight
        As for `Model`.
    object
        (H, W) complex to start from.
    """

    def __init__(self, config: Config, probe: Tensor, weight: Tensor | None, object: Tensor) -> None:
        super().__init__(config, probe, weight)
        self.object_parts = nn.Parameter(torch.view_as_real(object).clone())

    @classmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Start from vacuum and the scan's own probe or a guess."""
        object = vacuum(scan_canvas(scan).shape)
        return cls(config, starting_probe(scan, config.probe_modes), pixel_weight(scan), object)

    @classmethod
    def from_state(cls, config: Config, state: dict[str, Tensor]) -> Self:
        """Build the model of a checkpoint."""
        probe = torch.view_as_complex(state["probe_parts"]) * state["probe_scale"]
        model = cls(config, probe, state.get("weight"), torch.view_as_complex(state["object_parts"]))
        model.load_state_dict(state)
        return model

    @classmethod
    def from_model(cls, other: Model, config: Config, object: Tensor) -> Self:
        """Start from an object (H, W) and the probe, the background and the good pixels of another model."""
        weight = None if other.weight is None else other.weight.cpu()
        model = cls(config, other.probe.detach().cpu(), weight, object.cpu())
        model.adopt_probe(other)
        return model

    @property
    def object(self) -> Tensor:
        """(H, W) complex64."""
        return torch.view_as_complex(self.object_parts)

    def sampler(self, scan: Scan, rows: NDArray[Any], *, rank: int, world: int) -> PatternSampler:
        """Single patterns on the canvas of the scan."""
        return PatternSampler(scan_canvas(scan), rows, self.config, rank=rank, world=world)

    def validation_sampler(self, trained: Scan, scan: Scan, parts: Split, *, rank: int, world: int) -> Sampler[Deal]:
        """Hidden patterns, predicted from the object."""
        return FixedSampler(chunks(parts.validation, scan_canvas(trained)), rank=rank, world=world)

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the batch's patterns."""
        canvas = self.object[None]
        windows = place(batch.positions, self.probe_parts.shape[1], canvas.shape)  # type: ignore[arg-type]
        return self.predict_patterns(canvas, self.probe, windows), batch.amplitude.flatten(0, 1)

    def object_of(self, canvas: Canvas, tile: int = TILE) -> Tensor:
        """Its own object; the canvas is the one that it was fitted on."""
        return self.object.detach()[None]

    def adapt(self, scan: Scan, canvas: Canvas, summary: dict[str, Any]) -> tuple[Model, str]:
        """Return itself, where this is the scan that it was fitted to."""
        if self.scan_summary != summary or self.object.shape != canvas.shape:
            raise InputError(
                f"the checkpoint holds the object of the scan that the direct engine was fitted to, "
                f"{self.scan_summary} on {tuple(self.object.shape)} pixels, and this is another, {summary} on "
                f"{canvas.shape}: give that scan, or a checkpoint of the network engine"
            )
        return self.to(canvas.device), "used the checkpoint's object and probe"

    def pictured(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> Tensor:
        """Return the whole object."""
        return self.object.detach()

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


def vacuum(shape: tuple[int, int]) -> Tensor:
    """Return an object (H, W) complex64 of nothing."""
    return torch.ones(shape, dtype=torch.complex64)
