"""That no step waits for an accelerator: on the device without values, whatever asks for one fails."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from ptycho_core import Config, Scan
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes, Deal, Split, scan_canvas
from ptycho_core.engines.estimate import Thinning, solve
from ptycho_core.engines.losses import MisfitSum
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel, Scene
from ptycho_core.engines.propagators import NearField
from ptycho_core.engines.stage import SampleStage
from ptycho_core.scan.scan import Masks
from tests.helpers.measurements import dataset, measured

NOWHERE = torch.device("meta")
ROWS = np.arange(24)


class Sends(TorchFunctionMode):
    """Notes what is sent to the device in a way that waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result, kwargs = func(*args, **(kwargs or {})), kwargs or {}
        sends = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor, torch.Tensor.to, torch.Tensor.copy_)
        is_there = (
            func is not torch.Tensor.new_tensor and getattr(args[0], "device", None) == NOWHERE if sends else True
        )
        if not is_there and result.device == NOWHERE and not kwargs.get("non_blocking"):
            self.waits.append((func, args))
        return result


class Home(Amplitudes):
    """A scan's amplitudes on the device without values."""

    def __init__(self, scan: Scan) -> None:
        super().__init__(scan)
        amplitude, good = (torch.empty_like(part, device=NOWHERE) for part in self.kept)
        self.kept, self.home = (amplitude, good), NOWHERE


class Trainer:
    """As much of one as a step asks for."""

    global_step, estimated_stepping_batches, current_epoch = 5, 20, 3
    accumulate_grad_batches, num_training_batches, world_size, global_rank = 1, 5, 1, 0
    strategy = SimpleNamespace(reduce=lambda tensor, reduce_op: tensor)

    def __init__(self, scan: Scan) -> None:
        parts = Split(ROWS, ROWS[:0], ROWS[:0])
        self.datamodule = SimpleNamespace(first=measured(scan, parts, Home(scan)))


def masked(scan: Scan, *, each: bool = False) -> Scan:
    """The scan with a mask, or one for each pattern."""
    masks = np.ones(scan.patterns.shape, np.bool_)
    masks[:, 3, 5] = False
    return scan.replace(mask=Masks(masks) if each else masks[0])


def placed(model: Model, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a model on the device, with a trainer; return its optimiser."""
    model.to(NOWHERE)
    monkeypatch.setattr(type(model), "trainer", Trainer(scan))
    optimizer = model.configure_optimizers()["optimizer"]
    monkeypatch.setattr(type(model), "optimizers", lambda self: optimizer)
    return optimizer


def step(model: Model, scan: Scan, groups: np.ndarray, optimizer: Any) -> None:
    """Deal a batch, send it as Lightning does, and step."""
    batch = dataset(scan, Home(scan))[Deal(groups, scan_canvas(scan, model.config))]
    there = (part.to(NOWHERE, non_blocking=True) if isinstance(part, torch.Tensor) else part for part in batch)
    model.loss_of(type(batch)(*there)).backward()
    model.on_before_optimizer_step(optimizer)
    optimizer.step()
    model.on_train_batch_end({}, batch, 0)


DIRECT = {
    "plain": {},
    "of single patterns": {"positions": "refine", "intensity": "refine", "probe_variation": 2, "probe_modes": 2},
    "background": {"background": True, "prior": 1.0},
}


@pytest.mark.parametrize("settings", DIRECT.values(), ids=DIRECT)
@pytest.mark.parametrize("spread", [None, (4.0, 4.0)], ids=["far field", "near field"])
def test_no_step_of_the_direct_engine_waits(tiny_scan, monkeypatch, settings, spread):
    scan = masked(tiny_scan)
    model = DirectModel.from_scan(scan, Config(engine="direct", accelerator="cpu", **settings))
    optimizer = placed(model, scan, monkeypatch)
    model._train = torch.from_numpy(ROWS).to(NOWHERE)
    model._has_prior = "prior" in settings
    if spread:
        model.propagator = NearField(spread)
    if len(model.shifts):
        recorded = torch.from_numpy((scan.positions - scan_canvas(scan, model.config).origin).astype(np.float32))
        stage = SampleStage(recorded, torch.from_numpy(ROWS), tuple(model.object.shape), torch.ones(1, 32, 32).cfloat())
        for name in ("recorded", "train", "_columns", "_of_train", "_put_back"):
            setattr(stage, name, getattr(stage, name).to(NOWHERE))
        model._stage = stage
    step(model, scan, ROWS[None, :8], optimizer)  # what is made once may wait
    with Sends() as sends:
        step(model, scan, ROWS[None, 8:16], optimizer)
    assert not sends.waits


@pytest.mark.parametrize("each", [False, True])
def test_no_step_of_the_network_waits(tiny_scan, monkeypatch, each):
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # it knows no such device
    scan = masked(tiny_scan, each=each)
    model = PinnModel.from_scan(scan, Config(accelerator="cpu", model_width=4))
    optimizer = placed(model, scan, monkeypatch)
    canvas = scan_canvas(scan)
    object = torch.ones(canvas.shape, dtype=torch.complex64, device=NOWHERE)
    thinning = Thinning(0.5, 1)
    thinning._all = torch.empty((len(scan), 32, 32), device=NOWHERE)
    model._scene = Scene(0, model.held_of(), object, object.real, thinning)
    groups = np.array([[0, 1, 8, 9], [20, 21, 28, 29]])
    step(model, scan, groups, optimizer)
    with Sends() as sends:
        step(model, scan, groups[:, ::-1] + [[0], [3]], optimizer)
    assert not sends.waits


@pytest.mark.parametrize("each", [False, True])
def test_neither_the_estimate_nor_the_score_of_an_object_waits(tiny_scan, each):
    scan = masked(tiny_scan, each=each)
    model = PinnModel.from_scan(scan, Config(accelerator="cpu", model_width=4)).to(NOWHERE)
    canvas = Canvas.of_scan(scan, Home(scan), ROWS, NOWHERE)

    def look() -> None:
        object = solve(canvas, model.held_of(), 1)
        total = MisfitSum()
        for amplitude, windows, rows, weight in canvas.batches():
            total.add(model.predict_patterns(object[None], model.probe, windows, rows), amplitude, weight)
        canvas.light(model.probe.detach())

    with torch.no_grad():
        look()
        with Sends() as sends:
            look()
    assert not sends.waits
