"""What both engines share: the probe, the background, the staged loss, metrics, optimiser and schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from ptycho_core.base.config import Config
from ptycho_core.engines import losses
from ptycho_core.engines.data import Batch
from ptycho_core.engines.physics import Windows, exit_waves, gather, intensity, propagate

_DARKEST_BACKGROUND = 0.01


class PtychographyModule(L.LightningModule, ABC):
    """A model of a scan that predicts the counts of patterns.

    A subclass implements `predict`. The probe is kept as real and imaginary parts, divided by its largest modulus,
    so that it learns at the rate of the object.

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

    @property
    def probe(self) -> Tensor:
        """(M, N, N) complex64 in sqrt(counts)."""
        return torch.view_as_complex(self.probe_parts) * self.probe_scale

    def adopt_probe(self, other: PtychographyModule) -> None:
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
            factor = _Factor(config.scheduler, total)
            plan = {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor.at), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": plan}

    def predict_patterns(self, canvas: Tensor, probe: Tensor, windows: Windows) -> Tensor:
        """Expected counts (b, N, N) of the patterns in these windows of the object."""
        return intensity(propagate(exit_waves(probe, gather(canvas, windows))), self.background)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning: say what the file is."""
        checkpoint["ptycho"] = {"version": 1, "config": self.config.to_dict(), "scan": self.scan_summary}


class _Factor:
    """Learning rate over its peak, by step of all steps."""

    def __init__(self, schedule: str, total: int) -> None:
        self.schedule, self.total = schedule, total

    def at(self, step: int) -> float:
        part = min(1.0, step / self.total)
        match self.schedule:
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
