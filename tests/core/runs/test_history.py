"""The numbers of a run: the same heard as read, and what is told of time, pace and the best epoch."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ptycho_core.base.choices import EPOCH_METRICS, STEP_METRICS
from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone, EpochDone, RunFailed, RunFinished, RunStarted, StageChanged
from ptycho_core.runs.growing_table import GrowingTable
from ptycho_core.runs.history import Best, RunHistory
from ptycho_core.runs.record import read_metrics, read_run
from tests.helpers.run_folders import start
from tests.helpers.training_runs import Training


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def heard(events, config):
    history = RunHistory(config)
    for event in events:
        history.hear(event)
    return history


def assert_same_numbers(one, other):
    for table in ("steps", "epochs"):
        for name in ("epoch", "step", *(STEP_METRICS if table == "steps" else EPOCH_METRICS)):
            np.testing.assert_array_equal(getattr(one, table)[name], getattr(other, table)[name], name)


def state_of(history):
    names = (
        "status",
        "epoch",
        "reason",
        "device",
        "max_epochs",
        "steps_per_epoch",
        "total_steps",
        "steps_done",
        "best",
    )
    names += ("best_checkpoint", "checkpoints", "patterns_per_second", "remaining_s", "at_work")
    return {name: getattr(history, name) for name in names}


def test_a_run_that_was_heard_and_its_directory_tell_the_same(trained):
    live = heard(trained.events, trained.info.config)
    kept = RunHistory.from_run(read_run(trained.folder), read_metrics(trained.folder))
    assert_same_numbers(live, kept)
    assert len(live.steps) == 9
    assert len(live.epochs) == 3
    assert state_of(live) == state_of(kept)
    assert live.status == "finished"


def test_they_tell_the_same_where_gradients_of_several_batches_are_added_up(tmp_path):
    training = Training(tmp_path / "out").go(accumulate_grad_batches=3, batch_size=1, max_epochs=2)
    kept = RunHistory.from_run(read_run(training.folder), read_metrics(training.folder))
    live = heard(training.events, training.info.config)
    assert_same_numbers(live, kept)
    assert len(live.steps) == 8


def test_a_run_goes_on_where_it_was_resumed_and_what_is_done_again_replaces_what_was(tmp_path):
    training = Training(tmp_path / "out").go(max_epochs=2)
    history = RunHistory.from_run(training.info, read_metrics(training.folder))
    history.steps.append({"epoch": 3, "step": 6, "grad_norm": -1.0})  # of an epoch that was broken off
    training.events.clear()
    training.go(max_epochs=4, resume=True)
    for event in training.events:
        history.hear(event)
    kept = RunHistory.from_run(read_run(training.folder), read_metrics(training.folder))
    assert_same_numbers(history, kept)
    assert state_of(history) == state_of(kept)
    assert history.max_epochs == 4


def test_a_run_without_metrics_has_no_rows(tmp_path):
    training = Training(tmp_path / "out").go(max_epochs=1, logger=("none",))
    history = RunHistory.from_run(training.info, read_metrics(training.folder))
    assert (len(history.steps), len(history.epochs), history.best) == (0, 0, None)
    assert history.best_checkpoint is not None


def test_the_directory_tells_how_long_the_run_took(trained):
    info = trained.info
    kept = RunHistory.from_run(info, {})
    assert kept.elapsed_s == pytest.approx((info.ended - info.started).total_seconds())


@pytest.mark.parametrize(
    ("mode", "values", "best"),
    [("min", [3.0, 1.0, 1.0, 2.0], 2), ("max", [1.0, 3.0, 3.0, 2.0], 2), ("min", [math.nan, 2.0, 3.0], 2)],
)
def test_the_best_epoch_is_the_first_with_the_best_finite_value(mode, values, best):
    history = RunHistory(Config(checkpoint_mode=mode))
    for epoch, value in enumerate(values, 1):
        history.hear(EpochDone(epoch, 10 * epoch, {"poisson_val_loss": value}, 1.0))
    assert history.best == Best(best, 10 * best, values[best - 1])


def test_a_metric_of_steps_can_be_monitored():
    history = RunHistory(Config(checkpoint_monitor="grad_norm"))
    for step, norm in enumerate((5.0, 1.0, 3.0, 2.0)):
        history.hear(BatchDone(1 + step // 2, step, {"grad_norm": norm}))
        if step % 2:
            history.hear(EpochDone(1 + step // 2, step + 1, {}, 1.0))
    assert history.best == Best(1, 2, 1.0)


def train_for(history, clock, steps, seconds_per_step, steps_per_epoch=10):
    for step in range(history.steps_done, history.steps_done + steps):
        clock.now += seconds_per_step
        history.hear(BatchDone(1 + step // steps_per_epoch, step, {"patterns_per_second": 100.0 + step}))
        if (step + 1) % steps_per_epoch == 0:
            history.hear(EpochDone(1 + step // steps_per_epoch, step + 1, {}, 0.0))


def started(config, clock):
    history = RunHistory(config, clock)
    history.hear(StageChanged("warming up the probe"))
    clock.now += 500
    history.hear(RunStarted("out", "CPU", config.max_epochs, 10, 1))
    return history


def test_the_warm_up_does_not_count_for_what_remains():
    clock = Clock()
    history = started(Config(max_epochs=20), clock)
    assert history.remaining_s is None
    train_for(history, clock, 20, 2.0)
    assert history.remaining_s == pytest.approx(180 * 2.0)
    assert history.elapsed_s == pytest.approx(540)
    clock.now += 30
    assert history.remaining_s == pytest.approx(180 * 2.0 - 30)


def test_elapsed_time_goes_on_when_a_run_is_resumed_and_a_time_limit_begins_anew():
    clock = Clock()
    history = started(Config(max_epochs=20, max_time=10), clock)
    train_for(history, clock, 20, 2.0)
    history.end("interrupted", "")
    taken = history.elapsed_s
    clock.now += 10_000
    history.hear(StageChanged("training", 3))
    clock.now += 5
    assert history.elapsed_s == pytest.approx(taken + 5)
    train_for(history, clock, 10, 10.0)
    assert history.remaining_s == pytest.approx(600 - 105)


def test_a_record_says_how_long_a_run_took_before_it_was_resumed(trained):
    info = dataclasses.replace(trained.info, resumed=({"at": trained.info.ended.isoformat(), "taken_s": "40.0"},))
    assert info.taken_s == pytest.approx(40)
    assert RunHistory.from_run(info, {}).elapsed_s == pytest.approx(40)


def test_what_remains_follows_the_latest_epochs():
    clock = Clock()
    history = started(Config(max_epochs=20), clock)
    train_for(history, clock, 50, 10.0)
    train_for(history, clock, 60, 1.0)
    assert history.remaining_s == pytest.approx(90 * 1.0)


def test_no_more_remains_than_the_time_limit_and_the_step_limit_leave():
    clock = Clock()
    history = started(Config(max_epochs=20, max_time=10.0), clock)
    train_for(history, clock, 10, 2.0)
    assert history.remaining_s == pytest.approx(600 - 520)
    history = started(Config(max_epochs=20, max_steps=30), clock)
    train_for(history, clock, 10, 2.0)
    assert history.remaining_s == pytest.approx(20 * 2.0)


def test_stopping_stays_the_state_while_the_run_validates_and_saves():
    history = RunHistory(Config())
    history.hear(StageChanged("training", 3))
    history.hear(StageChanged("stopping"))
    history.hear(StageChanged("validating", 3))
    assert history.stage == "stopping"
    assert history.remaining_s is None
    history.hear(RunFinished("out", "stopped", "stopped by the operator", None, {}))
    assert (history.status, history.reason, history.at_work) == ("stopped", "stopped by the operator", False)


def test_a_failure_says_why_and_stops_the_clock():
    clock = Clock()
    history = RunHistory(Config(), clock)
    clock.now += 7
    history.hear(RunFailed("out", "training diverged"))
    clock.now += 7
    history.end("failed", "training diverged")
    assert (history.status, history.reason, history.elapsed_s) == ("failed", "training diverged", 7)


def test_a_run_of_another_process_is_not_at_work_here(trained):
    history = RunHistory.from_run(dataclasses.replace(trained.info, status="running", ended=None), {})
    assert history.status == "running"
    assert not history.at_work


def test_steps_are_placed_between_the_ends_of_their_epochs():
    clock = Clock()
    history = started(Config(), clock)
    train_for(history, clock, 25, 1.0)
    done = history.epochs_after(history.steps["step"] + 1)
    np.testing.assert_allclose(done, np.arange(1, 26) / 10)


def test_a_table_grows_and_keeps_what_it_has():
    table = GrowingTable(("a", "b"))
    for row in range(1000):
        table.append({"a": row, "c": 1.0})
    table.extend({"b": np.arange(3.0)})
    assert len(table) == 1003
    np.testing.assert_array_equal(table["a"][:1000], np.arange(1000))
    assert np.isnan(table["b"][:1000]).all()
    table.keep(2)
    assert table["a"].tolist() == [0, 1]


def test_a_run_that_is_followed_goes_on_where_its_folder_has_it(tmp_path):
    clock = Clock()
    began = datetime(2026, 1, 31, 9, tzinfo=UTC)
    resumed = {"at": (began + timedelta(hours=2)).isoformat(), "taken_s": "60.0"}
    updated = began + timedelta(hours=2, seconds=30)
    info = dataclasses.replace(start(tmp_path).info, started=began, updated=updated, resumed=(resumed,))
    heard = [RunStarted("out", "CPU", 9, 10, 1000), StageChanged("training", 1), EpochDone(1, 10, {}, 1.0)]
    history = RunHistory.from_events(info, heard, clock)
    assert (history.at_work, history.elapsed_s, history.epoch, history.max_epochs) == (True, 90.0, 1, 9)
    clock.now += 5
    assert history.elapsed_s == 95.0
    assert history.remaining_s is None  # of the pace nothing is known yet
