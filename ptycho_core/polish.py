"""Short fits by the direct engine: of the probe before the network trains, and of its object afterwards."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from ptycho_core import events as happenings
from ptycho_core.callbacks import Obey, RefuseNaN, Report
from ptycho_core.config import Config
from ptycho_core.data import Amplitudes, ScanData, Split
from ptycho_core.events import EventHandler, StopToken
from ptycho_core.models.base import PtychographyModule
from ptycho_core.models.direct import DirectModel
from ptycho_core.models.start import scan_canvas
from ptycho_core.scan import Scan
from ptycho_core.trainer import build_trainer, quiet_lightning
from ptycho_core.whole_canvas import Canvas, preview, r_of

_SHORT_FIT: dict[str, Any] = {
    "engine": "direct",
    "loss": "mae",
    "batch_size": 8,
    "n_groups": None,
    "learning_rate": 1e-3,
    "optimizer": "adam",
    "scheduler": "one_cycle",
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "precision": "32-true",
    "num_workers": 0,
    "val_fraction": 0.0,
    "probe_trainable": True,
}
"""What a short fit does differently from the run that it belongs to."""


def refine_probe(
    config: Config,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    probe: Tensor,
    weight: Tensor | None,
    *,
    obey: Obey,
    emit: EventHandler,
) -> Tensor:
    """Improve a probe by ``warm_start_epochs`` of the direct engine on the training patterns.

    Returns
    -------
    Tensor
        (M, N, N) at the scale of the scan.
    """
    _, shape = scan_canvas(scan)
    model = DirectModel(config.replace(**_SHORT_FIT), probe, weight, shape)
    _fit(model, scan, amplitudes, parts, config.warm_start_epochs, obey, emit)
    return model.probe.detach().cpu()


def polish(
    model: PtychographyModule,
    scan: Scan,
    canvas: Canvas,
    parts: Split,
    object: Tensor,
    probe: Tensor,
    epochs: int,
    accelerator: str,
    emit: EventHandler,
    stop: StopToken,
) -> tuple[Tensor, Tensor, int]:
    """Let the direct engine go on from an object and a probe.

    Parameters
    ----------
    model
        Whose config, background and good pixels are used.
    scan, canvas, parts
        The scan, its canvas, and which patterns train and validate.
    object
        (1, H, W) complex on the canvas.
    probe
        (M, N, N) complex.
    epochs
        At most; a stop ends it earlier.
    accelerator
        As in the config.
    emit, stop
        Observer and token.

    Returns
    -------
    object, probe
        Of the state with the best R on the validation patterns, the start included.
    epochs
        After which that was.
    """
    config = model.config.replace(**_SHORT_FIT, accelerator=accelerator)
    direct = DirectModel(
        config, probe.cpu(), None if model.weight is None else model.weight.cpu(), canvas.shape, object[0].cpu()
    )
    direct.background_root.data.copy_(model.background_root.data)
    best = KeepBest(canvas, parts)
    best.look(direct.to(canvas.device), 0)
    with quiet_lightning(config):
        _fit(direct, scan, canvas.amplitudes, parts, epochs, Obey(stop), emit, best)
    return best.object.to(canvas.device), best.probe.to(canvas.device), best.epoch


class KeepBest(L.Callback):
    """Keeps the object and probe with the lowest R on the validation patterns (the training ones if there are none)."""

    def __init__(self, canvas: Canvas, parts: Split) -> None:
        self.canvas = canvas
        self.rows = parts.validation if len(parts.validation) else parts.train
        self.r = float("inf")
        self.epoch = 0
        self.object = self.probe = torch.empty(0)

    def look(self, model: DirectModel, epoch: int) -> None:
        """Keep this state if it is the best so far."""
        object, probe = model.object.detach()[None], model.probe.detach()
        r = r_of(model, object, probe, self.canvas, self.rows)
        if r < self.r:
            self.r, self.epoch, self.object, self.probe = r, epoch, object.clone(), probe.clone()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: an epoch is done."""
        assert isinstance(pl_module, DirectModel)
        self.look(pl_module, trainer.current_epoch + 1)


def _fit(
    model: DirectModel,
    scan: Scan,
    amplitudes: Amplitudes,
    parts: Split,
    epochs: int,
    obey: Obey,
    emit: EventHandler,
    *callbacks: L.Callback,
) -> None:
    def pictures(event: happenings.Event) -> None:
        if isinstance(event, happenings.PreviewReady):
            emit(event)

    def picture() -> tuple[Any, Any, int]:
        return preview(model, scan, amplitudes, parts.train)

    seconds = model.config.preview_seconds
    report = Report(pictures, picture if seconds else None, seconds)
    data = ScanData(
        model.config,
        scan,
        Split(parts.train, parts.validation[:0], parts.free),
        canvas=scan_canvas(scan),
        amplitudes=amplitudes,
    )
    trainer = build_trainer(model.config, max_epochs=epochs, callbacks=[RefuseNaN(), report, obey, *callbacks])
    trainer.fit(model, data)
