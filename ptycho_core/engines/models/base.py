"""What all engines share: building, batches, object, pictures, the staged loss, metrics, optimiser and schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import lightning as L
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Sampler
from torchmetrics import MeanMetric

from ptycho_core.base.config import Config
from ptycho_core.engines import losses
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes, Batch, Deal, EpochSampler, Split
from ptycho_core.engines.physics import Windows, exit_waves, gather, intensity, propagate
from ptycho_core.quality.deviance import Misfit
from ptycho_core.scan.scan import Scan

VERSION = 1
"""Of what a checkpoint says of itself."""
TILE = 1024
"""Width in pixels of the tiles that a network sees at once."""
_DARKEST_BACKGROUND = 0.01
_PREVIEW_PIXELS = 512


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
    weight
        (N, N) 1 for good and 0 for bad detector pixels, DC in the corner, or None when all are good.
    """

    weight: Tensor | None
    probe_scale: Tensor

    def __init__(self, config: Config, probe: Tensor, weight: Tensor | None) -> None:
        super().__init__()
        self.config = config
        body = config.to_dict()
        self.save_hyperparameters(body)
        scale = probe.abs().max()
        self.register_buffer("probe_scale", scale)
        self.register_buffer("weight", weight)
        self.probe_parts = nn.Parameter(torch.view_as_real(probe / scale).clone(), requires_grad=config.probe_trainable)
        start = math.sqrt(_DARKEST_BACKGROUND) if config.background else 0.0
        self.background_root = nn.Parameter(torch.tensor(start), requires_grad=config.background)
        # Left to itself, the mean leaves out what is not a number.
        means = {name: MeanMetric(nan_strategy="disable") for name in ("poisson", "mae")}
        self.validation = nn.ModuleDict(means)
        self.scan_summary: dict[str, Any] = {}
        """Of the scan that it is trained on, as `start.scan_summary`; saved in every checkpoint."""

    @classmethod
    @abstractmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Return the model from which training on a scan begins."""

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
    def validation_sampler(self, trained: Scan, scan: Scan, parts: Split, *, rank: int, world: int) -> Sampler[Deal]:
        """Return what deals hidden patterns to be predicted.

        Parameters
        ----------
        trained
            The scan that the model is trained on.
        scan
            To validate on: that one, or another.
        parts
            Of ``scan``: the patterns that validate are hidden, those that train may be seen.
        rank, world
            Which part of the batches is ours.
        """

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
    def preview(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], int]:
        """Return a picture of the object as it is now, its first probe mode and the picture's binning."""
        object = self.pictured(scan, amplitudes, rows)
        binning = max(1, math.ceil(max(object.shape) / _PREVIEW_PIXELS))
        height, width = (side // binning for side in object.shape)
        blocks = object[: height * binning, : width * binning].view(height, binning, width, binning)
        return blocks.mean(dim=(1, 3)).cpu().numpy(), self.probe[0].detach().cpu().numpy(), binning

    @torch.inference_mode()
    def misfit_of(self, object: Tensor, canvas: Canvas) -> Misfit:
        """Return how an object (1, H, W) and the probe explain the patterns of a canvas; NaN without patterns."""
        probe, total = self.probe, losses.MisfitSum()
        for amplitude, windows, where in canvas.pieces():
            expected = self.predict_patterns(object[(slice(None), *where)], probe, windows)
            total.add(expected, amplitude, self.weight)
        return total.result()

    @property
    def probe(self) -> Tensor:
        """(M, N, N) complex64 in sqrt(counts)."""
        return torch.view_as_complex(self.probe_parts) * self.probe_scale

    def adopt_probe(self, other: Model) -> None:
        """Go on with the probe and the background of another model of the same scan."""
        state = other.state_dict()
        names = ("probe_parts", "probe_scale", "background_root")
        self.load_state_dict({name: state[name] for name in names}, strict=False)

    @property
    def background(self) -> Tensor:
        """Counts per pixel that do not come from the sample."""
        return self.background_root.square()

    @abstractmethod
    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return expected counts and measured amplitudes, (b, N, N) each, of the patterns that count.

        Those are the hidden patterns of the batch if there are any, else all of them.
        """

    def penalty(self) -> Tensor | float:
        """What is added to the loss besides the misfit."""
        return 0.0

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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Lightning: the loss of a batch."""
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
        mean: dict[str, Any] = {"on_epoch": True, "batch_size": len(amplitude), "sync_dist": True}
        self.log("poisson_train_loss", poisson.detach(), on_step=True, **mean)
        self.log("mae_train_loss", mae.detach(), on_step=False, **mean)
        self.log_dict(
            {
                "physics_weight": share,
                "training_stage": 0.0 if share == 0 else 2.0 if share == 1 else 1.0,
                "learning_rate": self.optimizers().param_groups[0]["lr"],  # type: ignore[union-attr]
            },
            on_step=True,
            on_epoch=False,
        )
        return loss + self.penalty()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Lightning: log the gradient before it is clipped."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.log("grad_norm", nn.utils.get_total_norm(gradients), on_step=True, on_epoch=False)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Lightning: how well hidden patterns are predicted."""
        expected, amplitude = self.predict(batch)
        values = {
            "poisson": losses.poisson_deviance(expected, amplitude.square(), self.weight),
            "mae": losses.mean_absolute_error(expected, amplitude, self.weight),
        }
        for name, value in values.items():
            mean = self.validation[name]
            assert isinstance(mean, MeanMetric)
            mean.update(value, len(amplitude))
            self.log(f"{name}_val_loss", mean, on_step=False, on_epoch=True, batch_size=len(amplitude))

    @abstractmethod
    def rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """Return all parameters in groups, each with its learning rate as a multiple of the config's."""

    def configure_optimizers(self) -> Any:
        """Lightning: optimiser and schedule of the config."""
        config = self.config
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        groups = [
            {"params": [p for p in parameters if p.requires_grad], "lr": config.learning_rate * rate}
            for parameters, rate in self.rates()
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

    def predict_patterns(self, canvas: Tensor, probe: Tensor, windows: Windows) -> Tensor:
        """Expected counts (b, N, N) of the patterns in these windows of the object."""
        return intensity(propagate(exit_waves(probe, gather(canvas, windows))), self.background)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: say what the file is."""
        checkpoint["ptycho"] = {"version": VERSION, "config": self.config.to_dict(), "scan": self.scan_summary}


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
