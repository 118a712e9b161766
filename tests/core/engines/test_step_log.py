"""What is told of steps, and when an accelerator is looked at."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ptycho_core import Config
from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import BatchDone
from ptycho_core.engines import step_log
from ptycho_core.engines.divergence import RollBack
from ptycho_core.engines.models.base import Told
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.step_log import GLANCE_SECONDS, StepLog
from tests.helpers.training_runs import SCAN


class Logger:
    """Keeps the rows that it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float]] = []

    def log_metrics(self, metrics, step):
        self.rows.append((step, metrics["poisson_train_loss_step"]))

    def save(self):
        pass


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.fixture
def fit(monkeypatch):
    """Epochs of ten steps of 0.1 s on a device of this type: how many rows there were after each, and the log."""

    def run(device, epochs=1, world=1):
        clock = Clock()
        monkeypatch.setattr(step_log, "time", clock)
        logger, told = Logger(), []
        reduce = lambda tensor, reduce_op: tensor  # noqa: E731
        strategy = SimpleNamespace(root_device=torch.device(device), reduce=reduce)
        trainer = SimpleNamespace(
            strategy=strategy,
            loggers=[logger],
            world_size=world,
            callback_metrics={},
            global_step=0,
            current_epoch=0,
            state=SimpleNamespace(finished=False),
        )
        model, log, counts = PinnModel.from_scan(SCAN, Config(model_width=2)), StepLog(told.append), []
        batch = SimpleNamespace(indexes=torch.zeros(2, 4))
        for _ in range(epochs):
            log.on_train_epoch_start(trainer, model)
            for number in range(10):
                log.on_train_batch_start(trainer, model, batch, number)
                loss = torch.tensor(float(trainer.global_step))
                model.told = Told({"poisson_train_loss_step": loss, "learning_rate": 0.1}, {}, 8)
                clock.now += 0.1
                trainer.global_step += 1
                trainer.is_last_batch = number == 9
                log.on_train_batch_end(trainer, model, None, batch, number)
                counts.append(len(logger.rows))
            trainer.current_epoch += 1
        assert logger.rows == [(step, float(step)) for step in range(trainer.global_step)]
        assert [event.step for event in told] == list(range(trainer.global_step))
        assert all(isinstance(event, BatchDone) for event in told)
        return counts, told

    return run


def test_a_processor_tells_of_every_step_at_once(fit):
    counts, told = fit("cpu")
    assert counts == list(range(1, 11))
    assert [event.metrics["patterns_per_second"] for event in told] == pytest.approx([80.0] * 10)


def test_an_accelerator_is_looked_at_now_and_then_and_at_the_end_of_an_epoch(fit):
    counts, told = fit("cuda", epochs=2)
    looks = int(np.count_nonzero(np.diff([0, *counts])))
    assert 2 + 2 <= looks <= 2 * (1 + 1 / GLANCE_SECONDS) + 2
    assert (counts[9], counts[19]) == (10, 20)
    assert [event.metrics["patterns_per_second"] for event in told] == pytest.approx([80.0] * 20)


def test_processes_that_have_to_agree_look_at_every_step(fit):
    assert fit("cuda", world=2)[0] == list(range(1, 11))


def test_a_loss_that_is_not_a_number_is_noticed_at_the_next_look(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(step_log, "time", clock)
    decide = SimpleNamespace(root_device=torch.device("cuda"), reduce_boolean_decision=lambda decision: decision)
    trainer = SimpleNamespace(
        strategy=decide,
        world_size=1,
        is_last_batch=False,
        current_epoch=2,
        global_step=7,
        is_global_zero=True,
        state=SimpleNamespace(finished=False),
    )
    watch = RollBack(lambda event: None)
    watch.done = 2  # the next time is the last
    watch.on_train_batch_end(trainer, None, torch.tensor(1.0), None, 0)
    watch.on_train_batch_end(trainer, None, torch.tensor(float("nan")), None, 1)
    watch.on_train_batch_end(trainer, None, torch.tensor(1.0), None, 2)
    clock.now += GLANCE_SECONDS
    model = PinnModel.from_scan(SCAN, Config(model_width=2))
    with pytest.raises(TrainingError, match="the loss is not a number"):
        watch.on_train_batch_end(trainer, model, torch.tensor(1.0), None, 3)
