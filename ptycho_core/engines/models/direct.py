"""The direct engine: object and probe are the parameters, fitted to one scan by steps that are divided by the light."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptycho_core.base.config import Config
from ptycho_core.engines.data import REGION, Batch, scan_canvas
from ptycho_core.engines.descent import LightDescent, calm, edge_prior
from ptycho_core.engines.models.solution import LARGEST_COEFFICIENT, LARGEST_GAIN, SINCE, Solution
from ptycho_core.engines.one_pass import Light
from ptycho_core.engines.phases import RUNGS, Phases
from ptycho_core.engines.physics import squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD, Propagator
from ptycho_core.engines.solver import asked_of_all, misfit
from ptycho_core.engines.stage import Asked, Overlap, SampleStage, carried
from ptycho_core.engines.variation import canonical

_log = logging.getLogger(__name__)

RATE = 200.0
"""Length of a step at its peak, of the gradient over the light, as a multiple of the config's learning rate."""
MOMENTUM = 0.9
LEAST_SHARE = 0.1
"""Of a mode in the light of all, by which its gradient is divided at last."""
VARIATION_STEP = 0.5
"""Of the variation's modes and of their coefficients, as they move at the same time."""
SEARCH_EVERY = 8
"""Epochs between searches for the held-out patterns."""
_SETTLED = "the fit has settled"
_PRIOR_UNIT = 3.0
_EDGE = 0.02


class DirectModel(Solution):
    """Object and probe as the parameters of a fit.

    Parameters
    ----------
    config, probe, object, patterns, propagator
        As for `Solution`.
    """

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        object: Tensor,
        patterns: int = 0,
        propagator: Propagator = FAR_FIELD,
    ) -> None:
        super().__init__(config, probe, object, patterns, propagator)
        self.light = Light()
        self.phases = Phases(config)
        self._next_prior: float | None = None
        """That the next epoch begins with; checkpoints have the one that their object was fitted with."""
        self._has_prior = False
        """Whether the prior is not 0, known without a look at the device."""
        self._settled: list[Tensor] = []
        self._total_light: Tensor | float = 0.0
        self._steps_per_epoch = 1
        self._kept: tuple[float, dict[str, Tensor]] = (math.inf, {})

    @property
    def final_epochs(self) -> int:
        """As the config has it: its object is fitted."""
        return self.config.final_epochs

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of the batch's patterns."""
        if batch.hidden:
            if self.phases.knows_patterns(self.current_epoch) and self.current_epoch % SEARCH_EVERY == 0:
                self.search(batch)
            self.settle_once(batch)
            self._settled.append(batch.indexes.flatten())
        rows = batch.indexes.flatten()
        expected = self.predict_patterns(self.object[None], self.probe, self.windows_of(batch), rows)
        return expected, batch.amplitude.flatten(0, 1)

    def epochs_done(self, step: int | None = None) -> float:
        """Return the epochs of the fit that are done, after so many steps or now."""
        return (self.trainer.global_step if step is None else step) / self._steps_per_epoch

    @property
    def _rho(self) -> float:
        """Of the envelope, now."""
        return self.phases.rho(self.epochs_done())

    def configure_optimizers(self) -> Any:
        """Lightning: steps divided by light, and their lengths over the run."""
        steps = int(self.trainer.estimated_stepping_batches)
        self._steps_per_epoch = max(
            1, math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        )
        self.phases.epochs = steps / self._steps_per_epoch
        groups: list[dict[str, Any]] = [{"params": [self.object_parts], "divisor": self._object_divisor}]
        if self.probe_parts.requires_grad:
            groups.append({"params": [self.probe_parts], "divisor": self._probe_divisor})
        if self.background_root.requires_grad:
            groups.append({"params": [self.background_root], "divisor": self._background_divisor, "newton": True})
        if len(self.shifts):
            groups.append({"params": [self.shifts], "move": self._move_shifts})
        if len(self.log_gain):
            groups.append({"params": [self.log_gain], "move": self._move_gains})
        if len(self.coefficients):
            groups.append({"params": [self.variation_parts], "move": self._move_variation})
            groups.append({"params": [self.coefficients], "move": self._move_coefficients})
        optimizer = LightDescent(groups, lr=RATE * self.config.learning_rate, momentum=MOMENTUM)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.phases.rate(self.epochs_done(step)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _object_divisor(self) -> Tensor:
        return calm(self.light.object)[..., None]

    def _probe_divisor(self) -> Tensor:
        light = self.light.probe
        assert isinstance(light, Tensor)
        power = self.probe_parts.detach().square().sum(dim=(1, 2, 3))
        # Near the solution amplitudes ask of a mode what they ask of all, by its share in the light alone.
        late = self._rho > 0
        share = (power / power.sum()).clamp_min(LEAST_SHARE) if late else torch.ones_like(power)
        return light.max().clamp_min(1e-12) * self.probe_scale.square() * share[:, None, None, None]

    def _background_divisor(self) -> Tensor:
        return torch.as_tensor(self.light.background).clamp_min(1e-12) * 4 * self.background.clamp_min(1e-6)

    def _move_shifts(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Return what is added to the shifts: each pattern's own step."""
        light = self.light.shifts
        assert isinstance(light, Tensor)
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(self.shifts)
        if not self.phases.knows_patterns(self.current_epoch):
            return torch.zeros_like(self.shifts)
        return self._stage.single_steps(self.shifts, gradient, light, state["velocity"])

    @torch.no_grad()
    def _move_together(self, *, all_alike: bool) -> None:
        object, stage, data = self.object, self._stage, self.trainer.datamodule.first  # type: ignore[attr-defined]
        asked = Asked(torch.zeros_like(self.shifts), torch.zeros_like(object))
        ours = data.parts.train[self.trainer.global_rank :: self.trainer.world_size]
        for start in range(0, len(ours), REGION):
            rows = ours[start : start + REGION]
            index = torch.from_numpy(rows).to(self.device)
            amplitude, weight = data.amplitudes[rows].on(self.device)
            recorded, shape = stage.recorded[index], stage.shape
            batch = Batch(amplitude[None], recorded[None], index[None], shape, shape, weight=weight)
            for_object, for_shifts = asked_of_all(self.unknowns(), self.patterns_in(batch, self._rho))
            asked.object.add_(for_object)
            asked.shifts.add_(for_shifts)
        if self.trainer.world_size > 1:
            asked = Asked(*(self.trainer.strategy.reduce(part, reduce_op="sum") for part in asked))
        light = squared_modulus(self.probe).sum(dim=0)
        overlap = Overlap(object, light, stage.windows(stage.moved(self.shifts, stage.train)))
        asked = Asked(asked.shifts[stage.train], asked.object)
        state = self.optimizers().state[self.shifts]  # type: ignore[union-attr]
        velocity = state.setdefault("velocity of all", torch.zeros_like(self.shifts))
        steps = stage.steps_together(self.shifts, overlap, asked, velocity, all_alike=all_alike)
        self.shifts.data.add_(steps)
        self.object_parts.data.copy_(torch.view_as_real(carried(object, overlap.field(steps[stage.train]))))

    def _move_gains(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Return what is added to the logarithms of the gains: Newton's steps; their mean stays 0."""
        light = self.light.log_gain
        assert isinstance(light, Tensor)
        if not self.phases.knows_patterns(self.current_epoch):
            return torch.zeros_like(self.log_gain)
        gains = self.log_gain - (gradient / light.clamp_min(1e-20)).clamp(-LARGEST_GAIN, LARGEST_GAIN)
        return gains - gains[self._train].mean() - self.log_gain

    def _move_variation(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Return what is added to the modes of the variation: steps by the light; coefficients have mean square 1."""
        light = self.light.probe
        assert isinstance(light, Tensor)
        if not self.phases.finds_common(self.epochs_done()):
            return torch.zeros_like(gradient)
        step = (
            VARIATION_STEP
            * self.phases.rate(self.epochs_done())
            / (light.max().clamp_min(1e-12) * self.probe_scale.square())
        )
        return gradient * -step

    def _move_coefficients(self, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Return what is added to the coefficients of the variation: Newton's steps."""
        light = self.light.coefficients
        assert isinstance(light, Tensor)
        if not self.phases.finds_common(self.epochs_done()):
            return torch.zeros_like(gradient)
        steps = VARIATION_STEP * gradient / light.clamp_min(1e-20)
        return -steps.clamp(-LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)

    @torch.no_grad()
    def _tidy_variation(self) -> None:
        """Give the variation its canonical form; what all patterns have of it belongs to the probe."""
        if not len(self.coefficients) or not bool(self.variation_parts.any()):
            return
        train = self._train
        common = self.coefficients[train].mean(dim=0)
        self.probe_parts[0] += (common[:, None, None, None] * self.variation_parts).sum(dim=0)
        parts, coefficients = canonical(self.variation_parts, self.coefficients - common, train)
        self.variation_parts.copy_(parts)
        self.coefficients.copy_(coefficients)

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the misfit of a batch, with its light beside."""
        patterns = dataclasses.replace(self.patterns_in(batch, self._rho), light=self.light)
        loss = misfit(self.unknowns(), patterns)
        share = 0.0 if patterns.rho == 0 else 1.0
        assert patterns.seen is not None
        self.tell(patterns.seen.deviance, patterns.seen.absolute, share, len(patterns.counts))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning: add the prior, and what other processes saw of the light; tell of the gradient."""
        own = [name for name in ("log_gain", "shifts", "coefficients") if len(getattr(self, name))]
        for name in ("object", "probe", "background", *own):
            setattr(self.light, name, self.trainer.strategy.reduce(getattr(self.light, name), reduce_op="mean"))
        self._total_light = self._total_light + self.light.object
        if self._has_prior and self.object_parts.grad is not None:
            gradient, curvature = edge_prior(self.object.detach(), _EDGE)
            self.object_parts.grad.add_(torch.view_as_real(gradient) * self.prior)
            self.light.object = self.light.object + self.prior * curvature
        super().on_before_optimizer_step(optimizer)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Lightning: after a step, light is gathered anew."""
        batches = batch_idx + 1  # after the last of an epoch there is a step, however few were gathered
        if batches % self.trainer.accumulate_grad_batches == 0 or batches == self.trainer.num_training_batches:
            self.light.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: say what the file is, and how a resumed run goes on."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["next_prior"], checkpoint["course"] = self._next_prior, self.phases.state

    def state_was_put_back(self) -> None:
        """Forget the light that was gathered, and take all epochs at the lower rate."""
        self.light.clear()
        self._total_light = 0.0
        self._has_prior = bool(self.prior > 0)
        self.phases.slow_down()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: a run of version 0.1 goes on from its object and probe; its optimiser was another."""
        if "prior" not in checkpoint["state_dict"]:
            checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []
        for name in SINCE:
            checkpoint["state_dict"].setdefault(name, self.state_dict()[name])
        self._next_prior = checkpoint.get("next_prior")
        if "course" in checkpoint:
            self.phases.go_on(checkpoint["course"])
        super().on_load_checkpoint(checkpoint)

    def setup(self, stage: str) -> None:
        """Lightning: a fit begins; where it goes on, the checkpoint is read next."""
        self.phases.begin()

    def on_fit_start(self) -> None:
        """Lightning: a fit begins."""
        self._kept, self._total_light = (math.inf, {}), 0.0
        if not self.of_patterns():
            return
        data = self.trainer.datamodule.first  # type: ignore[attr-defined]
        self._train = torch.from_numpy(data.parts.train).to(self.device)
        if len(self.coefficients) and not bool(self.variation_parts.any()):
            others = torch.ones(len(self.coefficients), dtype=torch.bool, device=self.device)
            others[self._train] = False
            self.coefficients.data[others] = 0.0  # the others are settled, not fitted
        if len(self.shifts):
            recorded = data.scan.positions - scan_canvas(data.scan, self.config).origin
            positions = torch.from_numpy(recorded.astype(np.float32)).to(self.device)
            height, width = self.object.shape
            self._stage = SampleStage(positions, self._train, (height, width), self.probe.detach())

    def on_fit_end(self) -> None:
        """Lightning: say what ran away."""
        if not len(self.shifts) or not self.trainer.is_global_zero:
            return
        stage = self._stage
        if stage.put_back:
            _log.warning(
                "refinement moved %d of %d patterns by more than %.3g pixels: they are back where the whole scan has "
                "them",
                len(stage.put_back),
                len(self.shifts),
                stage.reach,
            )
        if stage.ran_away:
            _log.warning(
                "refinement was about to move the whole scan by more than %.3g pixels, and was kept from it: check the "
                "positions' unit and the detector's distance",
                stage.furthest,
            )

    def on_validation_epoch_end(self) -> None:
        """Lightning: each process has settled some of the patterns that validate; all go on with all of them."""
        super().on_validation_epoch_end()
        rows, self._settled = self._settled, []
        theirs = self.of_patterns()
        if self.trainer.world_size == 1 or not theirs:
            return
        settled = torch.zeros(len(theirs[0]), device=self.device)
        settled[torch.cat(rows)] = 1
        count = self.trainer.strategy.reduce(settled, reduce_op="sum")
        for own in theirs:
            mine = own.data * settled.view(-1, *[1] * (own.ndim - 1))
            total = self.trainer.strategy.reduce(mine, reduce_op="sum")
            known = count.view(-1, *[1] * (own.ndim - 1))
            own.data = torch.where(known > 0, total / known.clamp_min(1), own.data)

    def on_train_epoch_start(self) -> None:
        """Lightning: go on with the prior that the epoch before asked for, and move the patterns together."""
        self._tidy_variation()
        if self._next_prior is not None:
            self.prior.fill_(self._next_prior)
            self._next_prior = None
        self._has_prior = bool(self.prior > 0)
        done = self.epochs_done()
        if self.time_used:
            epochs = self.steps_planned(self.trainer.global_step) / self._steps_per_epoch
            self.phases.end_within(math.floor(epochs), done)
        self._shifts_before = self.shifts.detach().clone()
        if len(self.shifts) and self.phases.moves_together(done):
            self._move_together(all_alike=self.phases.finds_common(done))

    def on_train_epoch_end(self) -> None:
        """Lightning: at the end of a run, go on with a stronger prior as long as validation agrees."""
        total, self._total_light = self._total_light, 0.0
        if not isinstance(total, Tensor):
            return  # no step since the fit was put back
        done = self.epochs_done()
        self.phases.look(done, float(self.trainer.callback_metrics["poisson_train_loss_epoch"]), self._moved())
        unit = _PRIOR_UNIT * self._noise_unit(total)
        weight, rung = self.phases.prior(done), self.phases.rung(done)
        if weight is not None:
            self._next_prior = weight * unit
        if rung is not None:
            self._judge_prior(rung, unit)
        if self.phases.end <= done < min(self.phases.end + 1, self.phases.epochs) and not self.ended:
            self.ended = _SETTLED
        if self.ended:
            self.trainer.should_stop = True

    def _moved(self) -> float:
        """Return by how many pixels half of the training patterns were moved at most in an epoch, against all."""
        if not len(self.shifts):
            return math.inf
        moved = (self.shifts.detach() - self._shifts_before)[self._train]
        return float((moved - moved.mean(dim=0)).norm(dim=1).median())

    def _judge_prior(self, rung: int, unit: float) -> None:
        """Keep the state where it explains the validation patterns best so far, and go on to a stronger prior."""
        value = float(self.trainer.callback_metrics.get("poisson_val_loss", math.nan))
        if value < self._kept[0]:
            names = ("object_parts", "probe_parts", "background_root", "shifts", "log_gain", *SINCE)
            state = self.state_dict()
            self._kept = value, {name: copy.deepcopy(state[name]) for name in names}
            if rung < len(RUNGS):
                self._next_prior = RUNGS[rung] * unit
        elif self._kept[1]:
            self.load_state_dict({**self.state_dict(), **self._kept[1]})
            self.ended = _SETTLED

    def _noise_unit(self, epoch_light: Tensor) -> float:
        """Return the prior's gradient that noise of the object is worth: the root of the light, in the loss' units."""
        size = self.probe_parts.shape[1]
        mean = epoch_light / self._steps_per_epoch
        lit = mean[mean > 0.1 * mean.max()]
        patterns = self._trained_patterns()
        photons = lit.median() * size**2 * patterns / 2
        return float(photons.sqrt() / (patterns * size**2))

    def _trained_patterns(self) -> int:
        data = getattr(self.trainer, "datamodule", None)
        return max(1, len(data.first.parts.train)) if data is not None else 1
