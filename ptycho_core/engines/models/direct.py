"""The direct engine: object and probe are the parameters, fitted to one scan by steps that are divided by the light."""

from __future__ import annotations

import copy
import math
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
from ptycho_core.engines.physics import Windows, place
from ptycho_core.engines.solver import Light, LightDescent, Patterns, edge_prior, expected_counts, misfit
from ptycho_core.scan.scan import Scan

RATE = 200.0
"""Length of a step at its peak, of the gradient over the light, as a multiple of the config's learning rate."""
MOMENTUM = 0.9
LEAST_LIGHT = 0.05
"""The object's gradient is divided by the light and this part of the brightest pixel's, so that the dark stays calm."""
AMPLITUDES_UNTIL = 0.3
"""Part of the fit with projections onto amplitudes, which converge from afar; then the likelihood."""
LIKELIHOOD = 20.0
"""rho of the envelope from then on."""
RUNGS = (0.1, 0.3, 0.9)
"""Weights of the prior that are tried one after another, in units of the object's noise, until validation objects."""
RUNG = 0.1
"""Part of a run that each of them takes."""
_PRIOR_UNIT = 3.0
_EDGE = 0.02


class DirectModel(Model):
    """An object on one canvas and a probe.

    Parameters
    ----------
    config, probe, weight
        As for `Model`.
    object
        (H, W) complex to start from.
    """

    prior: Tensor

    def __init__(self, config: Config, probe: Tensor, weight: Tensor | None, object: Tensor) -> None:
        super().__init__(config, probe, weight)
        self.object_parts = nn.Parameter(torch.view_as_real(object).clone())
        self.register_buffer("prior", torch.tensor(0.0))
        self.light = Light()
        self.from_afar = True
        """Whether the fit begins with amplitudes."""
        self._total_light: Tensor | float = 0.0
        self._kept: tuple[float, dict[str, Tensor]] = (math.inf, {})

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
        model.load_state_dict({"prior": model.prior, **state})  # version 0.1 had none
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

    def _windows(self, batch: Batch) -> Windows:
        return place(batch.positions, self.probe_parts.shape[1], (1, *self.object_parts.shape[:2]))

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the batch's patterns."""
        return self.predict_patterns(self.object[None], self.probe, self._windows(batch)), batch.amplitude.flatten(0, 1)

    def predict_patterns(self, canvas: Tensor, probe: Tensor, windows: Windows) -> Tensor:
        """Expected counts (b, N, N) of the patterns in these windows of the object, the probe moved to their places."""
        return expected_counts(canvas[0], probe, windows, background=self.background)

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

    def _part_done(self) -> float:
        return self.trainer.global_step / max(1, self.trainer.estimated_stepping_batches)

    def _tries_priors(self) -> bool:
        """Whether the end of the run is for priors that validation may choose."""
        return self.config.prior is None and self.config.val_fraction > 0

    def _climb_from(self) -> float:
        """Return the part of the run after which priors are tried."""
        return 1 - RUNG * len(RUNGS) if self._tries_priors() else 1.0

    def _rho(self, part: float) -> float:
        if self.config.loss == "mae" or (self.from_afar and part < AMPLITUDES_UNTIL * self._climb_from()):
            return 0.0
        return LIKELIHOOD

    def _part_of_rate(self, part: float) -> float:
        """Return the rate over its peak: whole with amplitudes, then falling, and once more with each prior."""
        climb = self._climb_from()
        if part >= climb and climb < 1:
            within = 0.4 + 0.6 * math.fmod((part - climb) / RUNG, 1.0)
            return 0.3 + 0.7 * (1 + math.cos(math.pi * within)) / 2
        start = AMPLITUDES_UNTIL * climb if self.from_afar else 0.0
        late = min(1.0, max(0.0, (part - start) / (climb - start)))
        return 0.05 + 0.95 * (1 + math.cos(math.pi * late)) / 2

    def configure_optimizers(self) -> Any:
        """Lightning: steps divided by light, and their lengths over the run."""
        groups: list[dict[str, Any]] = [{"params": [self.object_parts], "divisor": self._object_divisor}]
        if self.probe_parts.requires_grad:
            groups.append({"params": [self.probe_parts], "divisor": self._probe_divisor})
        if self.background_root.requires_grad:
            groups.append({"params": [self.background_root], "divisor": self._background_divisor, "newton": True})
        optimizer = LightDescent(groups, lr=RATE * self.config.learning_rate, momentum=MOMENTUM)
        total = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._part_of_rate(step / total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _object_divisor(self) -> Tensor:
        light = self.light.object
        assert isinstance(light, Tensor)
        return (light + LEAST_LIGHT * light.max()).clamp_min(1e-12)[..., None]

    def _probe_divisor(self) -> Tensor:
        light = self.light.probe
        assert isinstance(light, Tensor)
        return light.max().clamp_min(1e-12) * self.probe_scale.square()

    def _background_divisor(self) -> Tensor:
        return torch.as_tensor(self.light.background).clamp_min(1e-12) * 4 * self.background.clamp_min(1e-6)

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the misfit of a batch, with its light beside."""
        part = self._part_done()
        patterns = Patterns(
            batch.amplitude.flatten(0, 1).square(), self._windows(batch), self.weight, self._rho(part), light=self.light
        )
        loss = misfit(self.object, self.probe, self.object_parts.new_zeros(0), self.background, patterns)
        share = 0.0 if patterns.rho == 0 else 1.0
        self.log_training(patterns.seen.deviance, patterns.seen.absolute, share, len(patterns.counts))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning: add the prior, and what other processes saw of the light; log the gradient."""
        for name in ("object", "probe", "background"):
            setattr(self.light, name, self.trainer.strategy.reduce(getattr(self.light, name), reduce_op="mean"))
        self._total_light = self._total_light + self.light.object
        if self.prior > 0 and self.object_parts.grad is not None:
            gradient, curvature = edge_prior(self.object.detach(), _EDGE)
            self.object_parts.grad.add_(torch.view_as_real(gradient) * self.prior)
            self.light.object = self.light.object + self.prior * curvature
        super().on_before_optimizer_step(optimizer)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Lightning: after a step, light is gathered anew."""
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            self.light.clear()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: a run of version 0.1 goes on from its object and probe; its optimiser was another."""
        if "prior" not in checkpoint["state_dict"]:
            checkpoint["state_dict"]["prior"] = self.prior
            checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []

    def on_fit_start(self) -> None:
        """Lightning: a fit begins."""
        self._kept, self._total_light = (math.inf, {}), 0.0

    def on_train_epoch_end(self) -> None:
        """Lightning: at the end of a run, go on with a stronger prior as long as validation agrees."""
        total, self._total_light = self._total_light, 0.0
        config, done = self.config, (self.current_epoch + 1) / max(1, self.trainer.max_epochs or 1)
        assert isinstance(total, Tensor)
        unit = _PRIOR_UNIT * self._noise_unit(total)
        if config.prior is not None:
            self.prior.fill_(config.prior * unit)
            return
        if not self._tries_priors() or done < self._climb_from() - 1e-9:
            return
        rung = (done - self._climb_from()) / RUNG
        if abs(rung - round(rung)) > 0.5 / max(1, RUNG * (self.trainer.max_epochs or 1)) or round(rung) > len(RUNGS):
            return
        value = float(self.trainer.callback_metrics.get("poisson_val_loss", math.nan))
        if value < self._kept[0]:
            names = ("object_parts", "probe_parts", "background_root", "prior")
            state = self.state_dict()
            self._kept = value, {name: copy.deepcopy(state[name]) for name in names}
            if round(rung) < len(RUNGS):
                self.prior.fill_(RUNGS[round(rung)] * unit)
        elif self._kept[1]:
            self.load_state_dict({**self.state_dict(), **self._kept[1]})
            self.ended = "validation asks for no stronger prior"
            self.trainer.should_stop = True

    def _noise_unit(self, epoch_light: Tensor) -> float:
        """Return the prior's gradient that noise of the object is worth: the root of the light, in the loss' units."""
        size = self.probe_parts.shape[1]
        steps = max(1, math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches))
        mean = epoch_light / steps
        lit = mean[mean > 0.1 * mean.max()]
        patterns = self._trained_patterns()
        photons = lit.median() * size**2 * patterns / 2
        return float(photons.sqrt() / (patterns * size**2))

    def _trained_patterns(self) -> int:
        data = getattr(self.trainer, "datamodule", None)
        return max(1, len(data.parts.train)) if data is not None else 1


def vacuum(shape: tuple[int, int]) -> Tensor:
    """Return an object (H, W) complex64 of nothing."""
    return torch.ones(shape, dtype=torch.complex64)
