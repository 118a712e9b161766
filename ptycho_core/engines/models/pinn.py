"""The network engine: back-projection, a U-Net that cleans it, and rounds that make it agree with the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ptycho_core.base.config import Config
from ptycho_core.engines.data import CANVAS_MULTIPLE, Batch
from ptycho_core.engines.models.base import PtychographyModule
from ptycho_core.engines.models.unet import UNet
from ptycho_core.engines.physics import (
    EPSILON,
    Estimate,
    Windows,
    backproject,
    exit_waves,
    gather,
    place,
    project,
    propagate,
    propagate_back,
    replace_modulus,
)

Apply = Callable[[UNet, Tensor], Tensor]
"""Runs a U-Net on an image: directly, or in tiles."""

PROBE_RATE = 0.1
"""Learning rate of the probe while the network trains, as a multiple of the config's."""
BACKGROUND_RATE = 50.0
"""That of the background's square root in sqrt(counts)."""
_LEVELS = 3
_REFINEMENT_LEVELS = 2


class ObjectNetwork(nn.Module):
    """From amplitudes to an object, in the object plane throughout.

    Parameters
    ----------
    width
        Channels of the U-Nets' first level.
    refinement_steps
        T, rounds of data consistency and cleaning.
    """

    def __init__(self, width: int, refinement_steps: int) -> None:
        super().__init__()
        self.first = UNet(3, 2, width, _LEVELS)
        self.rounds = nn.ModuleList(UNet(5, 2, width, _REFINEMENT_LEVELS) for _ in range(refinement_steps))
        self.step = nn.Parameter(torch.ones(refinement_steps), requires_grad=refinement_steps > 0)
        assert CANVAS_MULTIPLE % self.first.multiple == 0

    def begin(self, estimate: Estimate, apply: Apply) -> Tensor:
        """Clean a back-projection: objects (g, H, W)."""
        change = estimate.object - 1
        features = torch.stack([change.real, change.imag, estimate.coverage.log1p()], dim=1)
        return 1 + change + _complex(apply(self.first, features))

    def refine(self, number: int, object: Tensor, residual: Tensor, coverage: Tensor, apply: Apply) -> Tensor:
        """Take one round's step.

        Parameters
        ----------
        number
            Of the round.
        object
            (g, H, W) so far.
        residual
            (g, H, W): `residual` of all patterns.
        coverage
            (g, H, W).
        apply
            Runs the U-Net.
        """
        step = residual / (coverage + EPSILON)
        change = object - 1
        parts = [step.real, step.imag, change.real, change.imag, coverage.log1p()]
        unet = self.rounds[number]
        assert isinstance(unet, UNet)
        return object + self.step[number] * step + _complex(apply(unet, torch.stack(parts, dim=1)))

    def forward(self, amplitude: Tensor, probe: Tensor, windows: Windows, weight: Tensor | None) -> Tensor:
        """Objects (g, H, W) of groups whose patterns lie in these windows."""
        estimate = backproject(amplitude, probe, windows, weight)
        object = self.begin(estimate, _directly)
        for number in range(len(self.rounds)):
            change = residual(object, amplitude, probe, windows, weight)
            object = self.refine(number, object, change, estimate.coverage, _directly)
        return object


def residual(object: Tensor, amplitude: Tensor, probe: Tensor, windows: Windows, weight: Tensor | None) -> Tensor:
    """Back-projected difference between the measured modulus and the one that the object gives, (g, H, W).

    ``sum_i S_i[conj(P) d_i] / max |P|^2`` with ``d_i = F^-1[A_i exp(i arg F(P O_i))] - P O_i``: the update of a
    parallel iterative engine (Thibault et al. 2009), before its division by the coverage.
    """
    waves = propagate(exit_waves(probe, gather(object, windows)))
    return project(propagate_back(replace_modulus(waves, amplitude, weight) - waves), probe, windows)


def _directly(unet: UNet, image: Tensor) -> Tensor:
    result: Tensor = unet(image)
    return result


def _complex(channels: Tensor) -> Tensor:
    # Mixed precision may hand over half floats, in which there is no complex arithmetic worth having.
    channels = channels.float()
    return torch.complex(channels[:, 0], channels[:, 1])


class PinnModel(PtychographyModule):
    """A physics-informed network: unsupervised, its loss is the forward model against the measured counts.

    One trained model serves any gridsize, any number of patterns and any field of view.

    Parameters
    ----------
    config, probe, weight
        As for `PtychographyModule`.
    """

    def __init__(self, config: Config, probe: Tensor, weight: Tensor | None) -> None:
        super().__init__(config, probe, weight)
        self.network = ObjectNetwork(config.model_width, config.refinement_steps)

    def rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """The probe, which the network has to rely on, changes slowly; a background has far to go."""
        return [
            (self.network.parameters(), 1.0),
            ([self.probe_parts], PROBE_RATE),
            ([self.background_root], BACKGROUND_RATE),
        ]

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the patterns that count; the network sees those that are not hidden."""
        groups, count, size, _ = batch.amplitude.shape
        canvas = (groups, *batch.canvas)
        probe = self.probe
        seen = place(batch.positions[:, batch.hidden :], size, canvas)
        object = self.network(batch.amplitude[:, batch.hidden :].flatten(0, 1), probe, seen, self.weight)
        target = batch.hidden or count
        windows = place(batch.positions[:, :target], size, canvas) if batch.hidden else seen
        return self.predict_patterns(object, probe, windows), batch.amplitude[:, :target].flatten(0, 1)

    def with_probe(self, probe: Tensor, weight: Tensor | None) -> PinnModel:
        """Return the same trained network with another probe and other good pixels."""
        other = PinnModel(self.config, probe, weight)
        other.network.load_state_dict(self.network.state_dict())
        other.background_root.data.copy_(self.background_root.data)
        return other.eval()
