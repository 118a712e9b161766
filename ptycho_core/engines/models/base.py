"""What all engines share: building, batches, object, pictures, the staged loss, metrics, optimiser and schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import lightning as L
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptycho_core.base.choices import loss_of_scan
from ptycho_core.base.config import Config
from ptycho_core.base.events import PREVIEW_SIDE, PreviewReady
from ptycho_core.engines import losses
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes, Batch, Measurement, Placed, TrainingScans
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.physics import Windows
from ptycho_core.engines.propagators import FAR_FIELD, Propagator
from ptycho_core.engines.samplers import EpochSampler
from ptycho_core.engines.solver import expected_counts
from ptycho_core.quality.deviance import Misfit
from ptycho_core.scan.scan import Scan

VERSION = 1
"""Of what a checkpoint says of itself."""
TILE = 1024
"""Width in pixels of the tiles that a network sees at once."""
_DARKEST_BACKGROUND = 0.01


@dataclass
class Told:
    """What a model tells of a step, on whichever device it was computed: `step_log` writes it down.

    Parameters
    ----------
    of_step
        Named as in metrics.csv.
    means
        Over its patterns, to be averaged over the epoch as well.
    patterns
        How many the means are over.
    """

    of_step: dict[str, Tensor | float] = field(default_factory=dict)
    means: dict[str, Tensor] = field(default_factory=dict)
    patterns: int = 0


class Model(L.LightningModule, ABC):
    """An engine: it makes itself of a scan, deals its batches, predicts counts, and gives the object of a canvas.

    The probe is kept as real and imaginary parts, divided by its largest modulus, so that it learns at the rate of the
    object.

    Parameters
    ----------
    config
        Of the run; saved in every checkpoint.
    probe
        (M, N, N) complex64 in sqrt(counts).
    patterns
        Of the scan, which the config may give shifts and brightness of their own.
    propagator
        To the detector.
    """

    rate: ClassVar[float] = 1.0
    """The optimiser's learning rate as a multiple of the config's, which is the one that is logged."""
    probe_scale: Tensor

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        patterns: int = 0,
        propagator: Propagator = FAR_FIELD,
    ) -> None:
        super().__init__()
        self.config, self.propagator = config, propagator
        body = config.to_dict()
        self.save_hyperparameters(body)
        scale = probe.abs().max()
        self.register_buffer("probe_scale", scale)
        self.register_buffer("propagation", propagator.state)
        self.probe_parts = nn.Parameter(torch.view_as_real(probe / scale).clone(), requires_grad=config.probe_trainable)
        start = math.sqrt(_DARKEST_BACKGROUND) if config.background else 0.0
        self.background_root = nn.Parameter(torch.tensor(start), requires_grad=config.background)
        moved, bright = (patterns if knob == "refine" else 0 for knob in (config.positions, config.intensity))
        self.shifts = nn.Parameter(torch.zeros(moved, 2), requires_grad=False)
        """(n, 2) pixels from the recorded positions, or (0, 2): none are refined."""
        self.log_gain = nn.Parameter(torch.zeros(bright), requires_grad=False)
        """(n,) logarithms of the patterns' brightness, or (0,): none is fitted."""
        self.scan_summary: dict[str, Any] = {}
        """Of the scan that it is trained on, as `start.scan_summary`; saved in every checkpoint."""
        self.validation_sums = torch.zeros(0, 3)
        """Of the validation patterns of each scan: sums of the deviances and of the errors, and their number."""
        self.told = Told()
        """Of the last step."""
        self.terse = False
        """Whether it tells its likelihood and nothing else: a short fit leaves no metrics."""
        self.time_used = 0.0
        """Part of the time of a fit that has a limit, 0 to 1, as all of its processes have it; else 0."""
        self._first_step = 0
        self.ended = ""
        """Why the model ended its training by itself, in a sentence; empty where it did not."""

    @classmethod
    @abstractmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Return the model from which training on a scan begins."""

    def begin_as(self, other: Model) -> None:
        """Take over what another model of the engine has learned beyond its own scan: nothing, unless it learns."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: Config, state: dict[str, Tensor]) -> Self:
        """Return the model of a checkpoint, on the CPU.

        Raises
        ------
        KeyError, RuntimeError, ValueError
            The state is not that of such a model.
        """

    @property
    def warm_start_epochs(self) -> int:
        """Epochs of the direct engine that this one wants before it trains."""
        return 0

    @property
    def final_epochs(self) -> int:
        """Epochs of the direct engine that its picture takes to go on with patterns that were withheld."""
        return 0

    @abstractmethod
    def sampler(self, scan: Scan, rows: NDArray[Any], *, rank: int, world: int) -> EpochSampler:
        """Return what deals the batches to train on.

        Parameters
        ----------
        scan
            To train on.
        rows
            Its patterns that train.
        rank, world
            Which part of each epoch's batches is ours.
        """

    @abstractmethod
    def validation_canvas(self, trained: Scan, scan: Scan) -> Placed:
        """Return the canvas on which patterns of a scan are predicted.

        Parameters
        ----------
        trained
            The scan that the model is trained on.
        scan
            To validate on: that one, or another.
        """

    def as_found(self, scan: Scan, place: int) -> Scan:
        """Return the scan at a place, as it was recorded, with what the model has found beside the object."""
        return scan

    def training_scans(self, measured: Sequence[Measurement]) -> TrainingScans:
        """Return what an epoch trains on, of the scans of a run."""
        return TrainingScans(measured)

    @abstractmethod
    def object_of(self, canvas: Canvas, tile: int = TILE) -> Tensor:
        """Return the object (1, H, W) complex64 of a whole canvas.

        Parameters
        ----------
        canvas
            The patterns to use.
        tile
            Width in pixels of the tiles that a network sees at once; the result is the same.
        """

    def cleaned(self, object: Tensor, canvas: Canvas, probe: Tensor) -> Tensor:
        """Return an object (1, H, W), lit by a probe from a canvas' patterns, cleaned; the same without a network."""
        return object

    @abstractmethod
    def adapt(self, scan: Scan, canvas: Canvas, summary: dict[str, Any]) -> tuple[Model, str]:
        """Return the trained model that reconstructs a scan, on the canvas' device, and what it took, in a sentence.

        Parameters
        ----------
        scan, canvas
            To reconstruct.
        summary
            The scan's, as `start.scan_summary`: tells whether the model was trained on it.

        Raises
        ------
        InputError
            The model does not serve this scan.
        """

    @abstractmethod
    def pictured(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> Tensor:
        """Return an object (H, W) as it is now, at bounded cost: whole, or of the middle of these patterns."""

    @torch.inference_mode()
    def preview(self, of: Measurement, epoch: int, step: int) -> PreviewReady:
        """Return a picture of a scan's object and its first probe mode as they are now, in an epoch, after a step."""
        object, binning = binned(self.pictured(of.scan, of.amplitudes, of.parts.train))
        probe, pixel = self.probe[0].detach().cpu().numpy(), of.scan.pixel_size_m
        return PreviewReady(epoch, step, object, probe, binning, pixel_size_m=pixel)

    @torch.inference_mode()
    def misfit_of(self, object: Tensor, canvas: Canvas, *, held_out: bool = False, settled: bool = False) -> Misfit:
        """Return how an object (1, H, W) and the probe explain the patterns of a canvas; NaN without patterns.

        Patterns are where the model moved them. Of those that were held out of the fit, what belongs to each alone is
        found first from half of its pixels (unless ``settled``: they stay as they are), and the other half judges.
        """
        if held_out and not settled:
            self.settle(canvas)
        canvas, probe, total = canvas.moved(self.shifts), self.probe, losses.MisfitSum()
        for amplitude, windows, rows, weight in canvas.batches():
            expected = self.predict_patterns(object, probe, windows, rows)
            total.add(expected, amplitude, self.judging_weight(weight) if held_out else weight)
        return total.result()

    def settle(self, canvas: Canvas) -> None:
        """Find what belongs to each of a canvas' patterns from half of their pixels, where the model has it."""

    def of_patterns(self) -> tuple[nn.Parameter, ...]:
        """Return what the model has for each pattern, (n, ...) each."""
        return tuple(own for own in (self.shifts, self.log_gain) if len(own))

    def judging_weight(self, weight: Tensor | None) -> Tensor | None:
        """Return the weight of the pixels that judge patterns of this weight that were held out of the fit."""
        if not self.of_patterns():
            return weight
        half = half_of_pixels(self.probe_parts.shape[1], self.device)
        return 1 - half if weight is None else weight * (1 - half)

    def gains(self, rows: Tensor | None) -> Tensor | None:
        """Return the brightness (b,) of patterns; None where it is 1 for all."""
        return None if rows is None or not len(self.log_gain) else self.log_gain[rows].exp()

    @property
    def probe(self) -> Tensor:
        """(M, N, N) complex64 in sqrt(counts)."""
        return torch.view_as_complex(self.probe_parts) * self.probe_scale

    def state_was_put_back(self) -> None:
        """Forget what was gathered for the next step: a fit that diverged goes on from an earlier state."""

    def take_probe(self, probe: Tensor) -> None:
        """Go on with a probe (M, N, N) of as many modes."""
        self.probe_scale.copy_(probe.abs().max())
        self.probe_parts.data.copy_(torch.view_as_real(probe) / self.probe_scale)

    def adopt_probe(self, other: Model) -> None:
        """Go on with the probe and the background of another model of the same scan."""
        state = other.state_dict()
        names = ("probe_parts", "probe_scale", "background_root")
        self.load_state_dict({name: state[name] for name in names}, strict=False)

    def of_scan(self, place: int) -> Model:
        """Return the model with what it knows of the scan at a place among those of its training, from 0."""
        return self

    def adopt_patterns(self, other: Model) -> None:
        """Go on with what another model of the same scan knows of each pattern."""
        for own, known in ((self.shifts, other.shifts), (self.log_gain, other.log_gain)):
            if len(own) == len(known):
                own.data.copy_(known.data)

    def variation(self) -> tuple[Tensor, Tensor]:
        """Return coefficients (n, V) of the patterns, and modes (V, N, N, 2) by which their probes differ; or none."""
        return torch.zeros(0, 0), torch.zeros(0, 0, 0, 2)

    @property
    def background(self) -> Tensor:
        """Counts per pixel that do not come from the sample."""
        return self.background_root.square()

    def on_train_start(self) -> None:
        """Lightning: a fit begins, or goes on."""
        self.time_used, self._first_step = 0.0, self.trainer.global_step

    def steps_planned(self, step: int) -> float:
        """Return how many steps there will be in all, after so many: as asked for, or as many as the time suffices for.

        That is at the pace so far, which is not known before the first step since the fit began or was gone on with.
        """
        asked, done = self.trainer.estimated_stepping_batches, step - self._first_step
        if not self.time_used or done <= 0:
            return asked
        return min(asked, self._first_step + done / self.time_used)

    def part_done(self, step: int) -> float:
        """Return the part of a run that is done after so many steps, 0 to 1: what its schedules go by."""
        return min(1.0, step / max(1.0, self.steps_planned(step)))

    @abstractmethod
    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return expected counts and measured amplitudes, (b, N, N) each, of the patterns that count.

        Those are the hidden patterns of the batch if there are any, else all of them.
        """

    @abstractmethod
    def loss_of(self, batch: Batch) -> Tensor:
        """Return the loss of a batch, and tell of it with `tell`."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Lightning: the loss of a batch."""
        return self.loss_of(batch)

    def tell(self, poisson: Tensor, mae: Tensor, share: float, patterns: int) -> None:
        """Tell what every engine does of a batch. Not by Lightning's log, which takes as long as a small step.

        Parameters
        ----------
        poisson, mae
            Mean half deviance, and mean absolute difference of amplitudes, per good pixel.
        share
            Of the Poisson likelihood in the loss, 0 to 1.
        patterns
            How many the means are over.
        """
        means = {"poisson_train_loss_epoch": poisson.detach()}
        of_step: dict[str, Tensor | float] = {}
        if not self.terse:
            means["mae_train_loss"] = mae.detach()
            of_step = {
                "poisson_train_loss_step": poisson.detach(),
                "physics_weight": share,
                "training_stage": 0.0 if share == 0 else 2.0 if share == 1 else 1.0,
                "learning_rate": self.optimizers().param_groups[0]["lr"] / self.rate,  # type: ignore[union-attr]
            }
        self.told = Told(of_step, means, patterns)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning: tell of the gradient before it is clipped."""
        if self.terse:
            return
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.told.of_step["grad_norm"] = nn.utils.get_total_norm(gradients)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning: how well hidden patterns are predicted."""
        expected, amplitude = self.predict(batch)
        if batch.again:
            return
        weight = self.judging_weight(batch.weight)
        poisson = losses.poisson_deviance(expected, amplitude.square(), weight)
        mae = losses.mean_absolute_error(expected, amplitude, weight)
        self.validation_sums[batch.scan] += len(amplitude) * torch.stack([poisson, mae, torch.ones_like(poisson)])

    def on_validation_epoch_start(self) -> None:
        """Lightning: validation begins."""
        count = len(self.trainer.datamodule.validated)  # type: ignore[attr-defined]
        self.validation_sums = torch.zeros(count, 3, device=self.device)

    def on_validation_epoch_end(self) -> None:
        """Lightning: log the means over all patterns, and of several scans over those of each."""
        # By a sum over processes, as not every one of them sees patterns of every scan.
        sums = self.trainer.strategy.reduce(self.validation_sums, reduce_op="sum")
        poisson, mae, patterns = sums.sum(dim=0)
        self.log("poisson_val_loss", poisson / patterns)
        self.log("mae_val_loss", mae / patterns)
        for place, (total, _, count) in enumerate(sums if len(sums) > 1 else ()):
            if count:
                self.log(loss_of_scan(place), total / count)

    def predict_patterns(self, canvas: Tensor, probe: Tensor, windows: Windows, rows: Tensor | None = None) -> Tensor:
        """Expected counts (b, N, N) of patterns in these windows of the object (1, H, W), which have places (b,)."""
        gain = self.gains(rows)
        return expected_counts(canvas[0], probe, windows, gain, self.background, self.propagator)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: say what the file is."""
        known = {"version": VERSION, "config": self.config.to_dict(), "scan": self.scan_summary}
        checkpoint["ptycho"] = {**known, "epoch": number_of_epoch(self.trainer)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: version 0.1 knew nothing of single patterns, nor of a near field, and kept a mask of its own."""
        checkpoint["state_dict"].pop("weight", None)
        for name in ("shifts", "log_gain", "propagation"):
            checkpoint["state_dict"].setdefault(name, self.state_dict()[name])


def binned(object: Tensor) -> tuple[NDArray[Any], int]:
    """Return an object (H, W) reduced to what a preview shows of it, and its binning."""
    binning = max(1, math.ceil(max(object.shape) / PREVIEW_SIDE))
    height, width = (side // binning for side in object.shape)
    blocks = object[: height * binning, : width * binning].reshape(height, binning, width, binning)
    return blocks.mean(dim=(1, 3)).cpu().numpy(), binning


def patterns_of(state: dict[str, Tensor]) -> tuple[int, dict[str, Tensor]]:
    """Return the number of patterns that a state knows of, and the state with all that one has today."""
    whole = {"shifts": torch.zeros(0, 2), "log_gain": torch.zeros(0), "propagation": FAR_FIELD.state, **state}
    whole.pop("weight", None)  # version 0.1 kept the scan's mask
    return max(len(whole[name]) for name in ("shifts", "log_gain", "coefficients") if name in whole), whole


def half_of_pixels(size: int, device: torch.device) -> Tensor:
    """(N, N): 1 and 0 as on a chessboard."""
    steps = torch.arange(size, device=device)
    return ((steps[:, None] + steps) % 2).float()
