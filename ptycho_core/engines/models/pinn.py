"""The network engine: the solver's first epochs, and a network that cleans what they give."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptycho_core.base.config import Config
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Batch, Measurement, Placed, TrainingScans, corners_of, scan_canvas
from ptycho_core.engines.estimate import Earlier, Held, Thinning, solve
from ptycho_core.engines.models.base import TILE, Model, patterns_of
from ptycho_core.engines.models.cleaning import Cleaner
from ptycho_core.engines.models.known import Known, KnownScan, further_scans
from ptycho_core.engines.models.schedule import scheduled
from ptycho_core.engines.models.start import at_brightness, place_of, starting_probe
from ptycho_core.engines.one_pass import Measured, Unknowns
from ptycho_core.engines.physics import cut_out, place, squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD, Propagator, of_state, propagator_of
from ptycho_core.engines.samplers import GroupSampler
from ptycho_core.engines.simulated import SimulatedScans
from ptycho_core.engines.solver import expected_counts, misfit
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)

AMPLITUDE_EPOCHS, LIKELIHOOD_EPOCHS = 2, 3
"""Of the solver before the network cleans: from vacuum, then with the likelihood."""
MOST_LIKELIHOOD_EPOCHS = 4
"""Of those that training draws, so that the network meets objects of every convergence."""
PARTS = (0.02, 0.8)
"""Of the counts that the network may see in training; what is left judges."""
LEAST_COUNTS = 30.0
"""Counts on a pixel that thinning leaves: with fewer there is nothing to learn."""
FEWEST_PATTERNS = 0.3
"""Part of the patterns that an epoch sees at least."""
ALL_PATTERNS = 0.5
"""Part of the epochs that see all."""
SHARPEST = 1000.0
"""rho of the envelope at a ``physics_weight`` of 1: the likelihood, but bounded where nothing is expected."""
_MIDDLE_PATTERNS = 128
"""Enough to compare probes by."""
_PICTURED_PATTERNS = 256
KEPT_BYTES = 2**28
"""Of the solver's objects for validation, which do not change; those of scans that find no room are made each time."""


@dataclass(frozen=True)
class Scene:
    """What an epoch trains on of a scan: an object that the solver found from a part of the counts, and the rest."""

    number: int
    """Of the scan, as `TrainingScans` counts."""
    held: Held
    """All that is not the object; of the whole light."""
    object: Tensor
    """(H, W) on the canvas of the scan."""
    light: Tensor
    """(H, W) counts that were sent through each pixel, of those that were seen."""
    thinning: Thinning


class PinnModel(Model):
    """A physics-informed network: unsupervised, its loss is the forward model against counts that it has not seen.

    The solver makes an object of a part of the counts in a few epochs; the network cleans it; the rest of the counts,
    which is independent of what was seen, judges. One trained model serves any gridsize, any number of patterns, any
    field of view and any dose. Probe, background and what belongs to single patterns are the solver's, from the warm
    start, and held.

    Parameters
    ----------
    config, probe, patterns, propagator
        As for `Model`.
    """

    rate = 6.0

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        patterns: int = 0,
        propagator: Propagator = FAR_FIELD,
    ) -> None:
        super().__init__(config, probe, patterns, propagator)
        for held in (self.probe_parts, self.background_root):
            held.requires_grad_(False)
        self.network = Cleaner(config.model_width)
        self._scene: Scene | None = None
        self.further = nn.ModuleList()
        """A `KnownScan` for each scan of the training beside the first."""
        self._validated: dict[int, tuple[Tensor, Tensor]] = {}
        self._predicting: tuple[int, Tensor] | None = None

    @classmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Start from an untrained network and the scan's own probe or a guess."""
        probe = starting_probe(scan, config.probe_modes or 1)
        return cls(config, probe, len(scan), propagator_of(scan))

    @classmethod
    def from_state(cls, config: Config, state: dict[str, Tensor]) -> Self:
        """Build the model of a checkpoint."""
        patterns, state = patterns_of(state)
        probe = torch.view_as_complex(state["probe_parts"]) * state["probe_scale"]
        model = cls(config, probe, patterns, of_state(state["propagation"]))
        if _is_of_0_1(state):
            _log.warning(
                "the checkpoint's network is one of version 0.1, which this version no longer has: its picture is that "
                "of the solver's first epochs with the checkpoint's probe. Train anew for a network"
            )
            state = model._with_own_network(state)
        model.further = further_scans(state, "further")
        model.load_state_dict(state)
        return model

    def _with_own_network(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        own = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        return {name: tensor for name, tensor in state.items() if not name.startswith("network.")} | own

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: a run of version 0.1 goes on from its probe with a new network."""
        if _is_of_0_1(checkpoint["state_dict"]):
            checkpoint["state_dict"] = self._with_own_network(checkpoint["state_dict"])
            checkpoint["optimizer_states"], checkpoint["lr_schedulers"] = [], []
        super().on_load_checkpoint(checkpoint)

    @property
    def warm_start_epochs(self) -> int:
        """As the config has them: the network relies on the probe."""
        return self.config.warm_start_epochs

    def known_of(self, place: int) -> Known:
        """Return what is known of the scan at a place among those of the training, from 0."""
        return self if place == 0 else cast(KnownScan, self.further[place - 1])

    def held_of(self, place: int = 0) -> Held:
        """Return all that is not the object of the scan at a place."""
        known = self.known_of(place)
        return Held(known.probe.detach(), known.background.detach(), known.log_gain, known.propagator)

    def of_scan(self, place: int) -> PinnModel:
        """Return the same trained network with what is known of the scan at a place."""
        if place == 0:
            return self
        known = self.known_of(place)
        model = self.with_probe(known.probe, max(len(known.shifts), len(known.log_gain)), known.propagator)
        model.background_root.data.copy_(known.background.sqrt())
        if len(known.shifts):
            model.shifts.data.copy_(known.shifts)
        if len(known.log_gain):
            model.log_gain.data.copy_(known.log_gain)
        return model.to(known.probe.device)

    def physics_weight(self) -> float:
        """Share of the Poisson likelihood in the loss, 0 to 1, at this step."""
        config = self.config
        if config.loss == "mae":
            return 0.0
        if config.physics_schedule == "off" or config.init is not None:
            return 1.0
        part = min(1.0, self.part_done(self.trainer.global_step) / config.physics_warmup)
        return part if config.physics_schedule == "linear" else (1 - math.cos(math.pi * part)) / 2

    def training_scans(self, measured: Sequence[Measurement]) -> TrainingScans:
        """Simulated ones in their place, where the config asks for these."""
        count = self.config.pretrain_simulated
        if not count:
            return super().training_scans(measured)
        return SimulatedScans(measured, [self.held_of(one.beam) for one in measured], count, self.config.seed)

    def as_found(self, scan: Scan, place: int) -> Scan:
        """At the positions that the warm start found."""
        shifts = self.known_of(place).shifts
        if not len(shifts):
            return scan
        return scan.replace(positions=scan.positions + shifts.detach().cpu().double().numpy())

    def on_fit_start(self) -> None:
        """Lightning: a fit begins."""
        self._validated = {}

    def on_train_epoch_end(self) -> None:
        """Lightning: an epoch is done."""
        self._scene = None

    def state_was_put_back(self) -> None:
        """Make anew what the epoch trains on: it may be of the state that was given up."""
        self._scene = None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Lightning: a batch has come; what it is of is made before the clock of its step starts."""
        if self.trainer.training:
            self._scene_of(batch.scan)
        return batch

    def _scene_of(self, number: int) -> Scene:
        """Return what an epoch trains on of the scan of a number, made once."""
        if self._scene is None or self._scene.number != number:
            self._scene = None  # two would take twice the memory
            one = self.trainer.datamodule.training[number]  # type: ignore[attr-defined]
            self._scene = self._drawn(number, one)
        return self._scene

    def _drawn(self, number: int, one: Measurement) -> Scene:
        rng = np.random.default_rng([self.config.seed, number, 1])
        rows = one.parts.train
        if rng.random() > ALL_PATTERNS:
            count = max(1, round(len(rows) * rng.uniform(FEWEST_PATTERNS, 1.0)))
            rows = np.sort(rng.choice(rows, count, replace=False))
        held = self.held_of(one.beam)
        if self.config.pretrain_simulated:  # which is as bright for every pattern
            held = dataclasses.replace(held, log_gain=held.log_gain[:0])
        canvas = Canvas.of_scan(one.scan, one.amplitudes, rows, self.device)
        light = light_in_counts(canvas, held.probe)
        lit = light[light > 0.1 * light.max()].median()
        lowest = min(PARTS[1] / 2, max(PARTS[0], LEAST_COUNTS / float(lit)))
        part = float(np.exp(rng.uniform(math.log(lowest), math.log(PARTS[1]))))
        thinning = Thinning(part, int(rng.integers(2**31)), one.amplitudes)
        epochs = int(rng.integers(1, MOST_LIKELIHOOD_EPOCHS + 1))
        object = self.solved(canvas, epochs, thinning, held=held)
        return Scene(number, held, object, light * part, thinning)

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the misfit of the cleaned object to the counts that it was not made of."""
        scene, share = self._scene_of(batch.scan), self.physics_weight()
        size, corners, across = batch.amplitude.shape[-1], corners_of(batch), batch.canvas[1]
        start = corners[:, 0] * across + corners[:, 1]
        object, light = (cut_out(whole, start, batch.piece) for whole in (scene.object, scene.light))
        cleaned = self.network(object, light)
        rest = 1 - scene.thinning.part
        held, rows = scene.held.dimmed(rest), batch.indexes.flatten()
        counts = scene.thinning.second(batch.amplitude.flatten(0, 1).square(), rows)
        patterns = Measured(
            counts,
            place(batch.positions - corners[:, None], size, (len(corners), *batch.piece)),
            batch.weight,
            min(SHARPEST, share / max(1e-9, 1 - share)),
            rows,
            propagator=held.propagator,
        )
        with torch.autocast(self.device.type, enabled=False):
            unknowns = Unknowns.of(cleaned.flatten(0, 1), held.probe, held.background, held.log_gain)
            loss = misfit(unknowns, patterns)
        assert patterns.seen is not None
        self.tell(patterns.seen.deviance, patterns.seen.absolute, share, len(counts))
        # An epoch of few counts starts from a noisier object, and would teach as much more as it is noisier.
        return loss * (scene.thinning.part / rest)

    def configure_optimizers(self) -> Any:
        """Lightning: optimiser and schedule of the config."""
        return scheduled(self.network.parameters(), self.config, self.rate, self.part_done)

    def sampler(self, scan: Scan, rows: NDArray[Any], *, rank: int, world: int) -> GroupSampler:
        """Groups of neighbours, each on a piece of the scan's canvas."""
        return GroupSampler(scan, rows, self.config, rank=rank, world=world)

    def validation_canvas(self, trained: Scan, scan: Scan) -> Placed:
        """That of the scan: an object is made of the patterns that train."""
        return scan_canvas(scan)

    def on_validation_epoch_start(self) -> None:
        """Lightning: the network is another one than before."""
        super().on_validation_epoch_start()
        self._predicting = None

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Expected counts and amplitudes of hidden patterns, of the object that `object_of` will make of the others."""
        one = self.trainer.datamodule.validated[batch.scan]  # type: ignore[attr-defined]
        held = self.held_of(one.beam)
        if self._predicting is None or self._predicting[0] != batch.scan:  # here, where Lightning has set the precision
            self._predicting = None  # two would take twice the memory
            self._predicting = batch.scan, self._clean(*self._to_validate(batch.scan, one, held), TILE)
        windows = place(batch.positions, batch.amplitude.shape[-1], (1, *batch.canvas))
        with torch.autocast(self.device.type, enabled=False):
            gain = held.gain(batch.indexes.flatten())
            object = self._predicting[1]
            expected = expected_counts(object, held.probe, windows, gain, held.background, held.propagator)
        return expected, batch.amplitude.flatten(0, 1)

    def _to_validate(self, number: int, one: Measurement, held: Held) -> tuple[Tensor, Tensor]:
        """Return the object (H, W) that the solver makes of a scan's training patterns, and their light."""
        if number in self._validated:
            return self._validated[number]
        canvas = Canvas.of_scan(one.scan, one.amplitudes, one.parts.train, self.device)
        made = self.solved(canvas, held=held), light_in_counts(canvas, held.probe)
        kept = sum(tensor.nbytes for pair in (*self._validated.values(), made) for tensor in pair)
        if not self._validated or kept <= KEPT_BYTES:
            self._validated[number] = made
        return made

    def object_of(self, canvas: Canvas, tile: int = TILE) -> Tensor:
        """Solve, and clean what comes out, on the whole canvas."""
        canvas = canvas.moved(self.shifts)
        return self._clean(self.solved(canvas), light_in_counts(canvas, self.probe), tile)[None]

    @torch.inference_mode()
    def cleaned(self, object: Tensor, canvas: Canvas, probe: Tensor) -> Tensor:
        """Return an object (1, H, W) as the network cleans it."""
        return self._clean(object[0], light_in_counts(canvas, probe), TILE)[None]

    @torch.inference_mode()
    def _clean(self, object: Tensor, light: Tensor, tile: int) -> Tensor:
        return self.network.in_tiles(object, light, tile)

    def solved(
        self,
        canvas: Canvas,
        likelihood_epochs: int = LIKELIHOOD_EPOCHS,
        thinning: Thinning | None = None,
        earlier: Earlier | None = None,
        held: Held | None = None,
    ) -> Tensor:
        """Return the solver's object (H, W) of a canvas, which the network is to clean.

        Parameters are as for `solve`; what is ``held`` is that of the first scan unless it is given.
        """
        held, seed = held or self.held_of(), 0 if thinning is None else thinning.seed
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            object = solve(canvas, held, AMPLITUDE_EPOCHS, thinning=thinning, seed=seed, earlier=earlier)
            return solve(canvas, held, likelihood_epochs, object, thinning=thinning, seed=seed, earlier=earlier)

    def adapt(self, scan: Scan, canvas: Canvas, summary: dict[str, Any]) -> tuple[PinnModel, str]:
        """Return the model with the probe for this scan.

        On a scan that it was trained on the model's own; on another one, that probe or the scan's: the one with
        which the network's picture of every other pattern in the scan's middle explains the rest of them better.
        """
        if (place := place_of(self.scan_summary, summary)) is not None:
            return self.of_scan(place).to(canvas.device), "used the checkpoint's probe"
        propagator = propagator_of(scan)
        candidates = {"the scan's own probe": starting_probe(scan, len(self.probe_parts))}
        if self.probe.shape[-1] == scan.size:
            candidates["the checkpoint's probe"] = at_brightness(self.probe.detach(), scan)
        rows = middle(scan, canvas.rows, _MIDDLE_PATTERNS)
        some = Canvas.of_rows(scan, canvas.amplitudes, rows, canvas.device)
        models = {
            name: self.with_probe(probe, propagator=propagator).to(canvas.device) for name, probe in candidates.items()
        }
        explained = {
            name: model.misfit_of(model.object_of(some.only(rows[::2])), some.only(rows[1::2])).deviance
            for name, model in models.items()
        }
        best = min(explained, key=lambda name: explained[name])
        return models[best], f"used {best}"

    def begin_as(self, other: Model) -> None:
        """Take over the network of another model, to go on training it."""
        state = {name.removeprefix("network."): tensor for name, tensor in other.state_dict().items()}
        self.network.load_state_dict({name: state[name] for name in self.network.state_dict()})

    def with_probe(self, probe: Tensor, patterns: int = 0, propagator: Propagator = FAR_FIELD) -> PinnModel:
        """Return the same trained network for another scan: probe, patterns and propagator."""
        other = PinnModel(self.config, probe, patterns, propagator)
        other.network.load_state_dict(self.network.state_dict())
        other.background_root.data.copy_(self.background_root.data)
        other.scan_summary = self.scan_summary
        return other.eval()

    def pictured(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> Tensor:
        """Reconstruct the patterns nearest to the scan's middle."""
        some = middle(scan, rows, _PICTURED_PATTERNS)
        return self.object_of(Canvas.of_rows(scan, amplitudes, some, self.device, self.config))[0]


@torch.inference_mode()
def light_in_counts(canvas: Canvas, probe: Tensor) -> Tensor:
    """Return the light (H, W) in counts that the patterns of a canvas sent through each pixel."""
    return canvas.light(probe)[0] * squared_modulus(probe).sum(dim=0).max()


def _is_of_0_1(state: dict[str, Tensor]) -> bool:
    return any(name.startswith("network.first.") for name in state)
