"""The network engine: back-projection, a U-Net that cleans it, and rounds that make it agree with the data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler

from ptycho_core.base.config import Config
from ptycho_core.engines import losses
from ptycho_core.engines.canvas import Canvas, Place, middle
from ptycho_core.engines.data import (
    CANVAS_MULTIPLE,
    Amplitudes,
    Batch,
    Deal,
    FixedSampler,
    GroupSampler,
    Split,
    regions,
)
from ptycho_core.engines.models.base import TILE, Model, patterns_of
from ptycho_core.engines.models.start import at_brightness, pixel_weight, starting_probe
from ptycho_core.engines.models.unet import UNet, in_tiles
from ptycho_core.engines.physics import (
    EPSILON,
    Estimate,
    Windows,
    backproject,
    exit_waves,
    gather,
    place,
    project,
    replace_modulus,
)
from ptycho_core.engines.propagators import FAR_FIELD, Propagator, of_state, propagator_of
from ptycho_core.scan.scan import Scan

Apply = Callable[[UNet, Tensor], Tensor]
"""Runs a U-Net on an image: directly, or in tiles."""

PROBE_RATE = 0.1
"""Learning rate of the probe while the network trains, as a multiple of the config's."""
BACKGROUND_RATE = 50.0
"""That of the background's square root in sqrt(counts)."""
_LEVELS = 3
_REFINEMENT_LEVELS = 2
_MIDDLE_PATTERNS = 256
"""Enough to compare probes by, or to make a picture of."""


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

    def forward(
        self,
        amplitude: Tensor,
        probe: Tensor,
        windows: Windows,
        weight: Tensor | None,
        propagator: Propagator = FAR_FIELD,
    ) -> Tensor:
        """Objects (g, H, W) of groups whose patterns lie in these windows."""
        estimate = backproject(amplitude, probe, windows, weight, propagator)
        object = self.begin(estimate, _directly)
        for number in range(len(self.rounds)):
            change = residual(object, amplitude, probe, windows, weight, propagator)
            object = self.refine(number, object, change, estimate.coverage, _directly)
        return object


def residual(
    object: Tensor,
    amplitude: Tensor,
    probe: Tensor,
    windows: Windows,
    weight: Tensor | None,
    propagator: Propagator = FAR_FIELD,
) -> Tensor:
    """Back-projected difference between the measured modulus and the one that the object gives, (g, H, W).

    ``sum_i S_i[conj(P) d_i] / max |P|^2`` with ``d_i = F^-1[A_i exp(i arg F(P O_i))] - P O_i``: the update of a
    parallel iterative engine (Thibault et al. 2009), before its division by the coverage.
    """
    waves = propagator.forward(exit_waves(probe, gather(object, windows)))
    return project(propagator.back(replace_modulus(waves, amplitude, weight) - waves), probe, windows)


def _directly(unet: UNet, image: Tensor) -> Tensor:
    result: Tensor = unet(image)
    return result


def _complex(channels: Tensor) -> Tensor:
    # Mixed precision may hand over half floats, in which there is no complex arithmetic worth having.
    channels = channels.float()
    return torch.complex(channels[:, 0], channels[:, 1])


class PinnModel(Model):
    """A physics-informed network: unsupervised, its loss is the forward model against the measured counts.

    One trained model serves any gridsize, any number of patterns and any field of view.

    Parameters
    ----------
    config, probe, weight, patterns, propagator
        As for `Model`.
    """

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        weight: Tensor | None,
        patterns: int = 0,
        propagator: Propagator = FAR_FIELD,
    ) -> None:
        super().__init__(config, probe, weight, patterns, propagator)
        self.network = ObjectNetwork(config.model_width, config.refinement_steps)

    @classmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Start from an untrained network and the scan's own probe or a guess."""
        probe, weight = starting_probe(scan, config.probe_modes or 1), pixel_weight(scan)
        return cls(config, probe, weight, len(scan), propagator_of(scan))

    @classmethod
    def from_state(cls, config: Config, state: dict[str, Tensor]) -> Self:
        """Build the model of a checkpoint."""
        patterns, state = patterns_of(state)
        probe = torch.view_as_complex(state["probe_parts"]) * state["probe_scale"]
        model = cls(config, probe, state.get("weight"), patterns, of_state(state["propagation"]))
        model.load_state_dict(state)
        return model

    @property
    def warm_start_epochs(self) -> int:
        """As the config has them: the network relies on the probe."""
        return self.config.warm_start_epochs

    def physics_weight(self) -> float:
        """Share of the Poisson likelihood in the loss, 0 to 1, at this step."""
        config = self.config
        if config.loss == "mae":
            return 0.0
        if config.physics_schedule == "off":
            return 1.0
        warmup = config.physics_warmup * self.trainer.estimated_stepping_batches
        part = min(1.0, self.trainer.global_step / max(1.0, warmup))
        return part if config.physics_schedule == "linear" else (1 - math.cos(math.pi * part)) / 2

    def on_fit_start(self) -> None:
        """Lightning: a fit begins, at the positions that the warm start found."""
        if len(self.shifts):
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            moved = self.shifts.detach().cpu().double().numpy()
            data.scan = data.scan.replace(positions=data.scan.positions + moved)

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the likelihood, amplitudes, or a mixture, as far as training is."""
        expected, amplitude = self.predict(batch)
        counts = amplitude.square()
        share = self.physics_weight()
        mae = losses.mean_absolute_error(expected, amplitude, self.weight)
        poisson = losses.poisson_deviance(expected, counts, self.weight)
        if self.config.loss == "mae":
            loss = mae
        elif share == 1:
            loss = poisson
        else:
            loss = share * poisson + (1 - share) * losses.amplitude_error(expected, amplitude, self.weight)
        self.log_training(poisson.detach(), mae.detach(), share, len(amplitude))
        return loss

    def _rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Parameters in groups, each with its learning rate as a multiple of the config's.

        The probe, which the network has to rely on, changes slowly; a background has far to go.
        """
        return [
            (self.network.parameters(), 1.0),
            ([self.probe_parts], PROBE_RATE),
            ([self.background_root], BACKGROUND_RATE),
        ]

    def configure_optimizers(self) -> Any:
        """Lightning: optimiser and schedule of the config."""
        config = self.config
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        groups = [
            {"params": [p for p in parameters if p.requires_grad], "lr": config.learning_rate * rate}
            for parameters, rate in self._rates()
        ]
        optimizer = kind([group for group in groups if group["params"]], lr=config.learning_rate)
        if config.scheduler == "plateau":
            reduce = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=config.checkpoint_mode, patience=5)  # type: ignore[arg-type]
            plan = {"scheduler": reduce, "interval": "epoch", "monitor": config.monitor}
        else:
            total = max(1, int(self.trainer.estimated_stepping_batches))
            # Not torch's OneCycleLR and its like: they keep the length of the run in their state and refuse a step
            # beyond it, but a resumed run may be given more epochs, and then its schedule spans all of them.
            schedule = torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: _part_of_peak(config.scheduler, min(1.0, step / total))
            )
            plan = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": plan}

    def sampler(self, scan: Scan, rows: NDArray[Any], *, rank: int, world: int) -> GroupSampler:
        """Groups of neighbours, each on a canvas of its own."""
        return GroupSampler(scan, rows, self.config, rank=rank, world=world)

    def validation_sampler(self, trained: Scan, scan: Scan, parts: Split, *, rank: int, world: int) -> Sampler[Deal]:
        """Regions of hidden patterns and those around them."""
        return FixedSampler(regions(scan, parts.validation, parts.train), rank=rank, world=world)

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the patterns that count; the network sees those that are not hidden."""
        groups, count, size, _ = batch.amplitude.shape
        canvas = (groups, *batch.canvas)
        probe = self.probe
        seen = place(batch.positions[:, batch.hidden :], size, canvas)
        object = self.network(
            batch.amplitude[:, batch.hidden :].flatten(0, 1), probe, seen, self.weight, self.propagator
        )
        target = batch.hidden or count
        windows = place(batch.positions[:, :target], size, canvas) if batch.hidden else seen
        return self.predict_patterns(object, probe, windows), batch.amplitude[:, :target].flatten(0, 1)

    @torch.inference_mode()
    def object_of(self, canvas: Canvas, tile: int = TILE) -> Tensor:
        """Run the network once over the canvas, streamed over patterns and in tiles."""
        probe, weight, network = self.probe, self.weight, self.network
        canvas = canvas.moved(self.shifts)
        estimate = canvas.estimate(probe, weight)

        def apply(unet: UNet, image: Tensor) -> Tensor:
            return in_tiles(unet, image, tile)

        object = network.begin(estimate, apply)
        for number in range(len(network.rounds)):
            now = object

            def change(amplitude: Tensor, windows: Windows, where: Place, now: Tensor = now) -> Tensor:
                return residual(now[(slice(None), *where)], amplitude, probe, windows, weight, self.propagator)

            step = canvas.accumulate(change, torch.complex64)
            object = network.refine(number, now, step, estimate.coverage, apply)
        return object

    def adapt(self, scan: Scan, canvas: Canvas, summary: dict[str, Any]) -> tuple[Model, str]:
        """Return the model with the probe for this scan.

        On the scan that it was trained on the model's own; on another one, that probe or the scan's: the one with
        which the network's picture of every other pattern in the scan's middle explains the rest of them better.
        """
        weight, propagator = pixel_weight(scan), propagator_of(scan)
        if self.scan_summary == summary:
            same = self.with_probe(self.probe.detach(), weight, len(scan), propagator)
            same.adopt_patterns(self)
            return same.to(canvas.device), "used the checkpoint's probe"
        candidates = {"the scan's own probe": starting_probe(scan, len(self.probe_parts))}
        if self.probe.shape[-1] == scan.size:
            candidates["the checkpoint's probe"] = at_brightness(self.probe.detach(), scan)
        rows = middle(scan, canvas.rows, _MIDDLE_PATTERNS)
        some = Canvas.of_rows(scan, canvas.amplitudes, rows, canvas.device)
        models = {
            name: self.with_probe(probe, weight, propagator=propagator).to(canvas.device)
            for name, probe in candidates.items()
        }
        explained = {
            name: model.misfit_of(model.object_of(some.only(rows[::2])), some.only(rows[1::2])).deviance
            for name, model in models.items()
        }
        best = min(explained, key=lambda name: explained[name])
        return models[best], f"used {best}"

    def with_probe(
        self, probe: Tensor, weight: Tensor | None, patterns: int = 0, propagator: Propagator = FAR_FIELD
    ) -> PinnModel:
        """Return the same trained network for another scan: probe, good pixels, patterns and propagator."""
        other = PinnModel(self.config, probe, weight, patterns, propagator)
        other.network.load_state_dict(self.network.state_dict())
        other.background_root.data.copy_(self.background_root.data)
        other.scan_summary = self.scan_summary
        return other.eval()

    def pictured(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> Tensor:
        """Reconstruct the patterns nearest to the scan's middle."""
        some = middle(scan, rows, _MIDDLE_PATTERNS)
        return self.object_of(Canvas.of_rows(scan, amplitudes, some, self.device, self.config))[0]


def _part_of_peak(schedule: str, part: float) -> float:
    """Return the learning rate over its peak, after a part of all steps."""
    match schedule:
        case "one_cycle":  # a rise over the first 0.2, then down to nearly nothing (Smith and Topin 2017)
            rise = 0.2
            if part < rise:
                return 0.04 + 0.96 * (1 - math.cos(math.pi * part / rise)) / 2
            return max(1e-3, (1 + math.cos(math.pi * (part - rise) / (1 - rise))) / 2)
        case "cosine":
            return max(1e-3, (1 + math.cos(math.pi * part)) / 2)
        case "exponential":  # to a hundredth
            return float(0.01**part)
        case _:
            return 1.0
