"""Which curves are drawn of a run, and where."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.choices import METRICS
from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone, EpochDone
from ptycho_core.runs.curves import CHARTS, Curve, charts_of, curves_of, overlaid, smoothed
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.record import read_metrics

LOSS, ERROR, RATE, GRADIENT, SPEED = CHARTS


@pytest.fixture(scope="module")
def history(trained):
    return RunHistory.from_run(trained.info, read_metrics(trained.folder))


def test_the_chart_of_the_monitored_metric_comes_first():
    assert charts_of(RunHistory(Config(loss="poisson")))[0] is LOSS
    assert charts_of(RunHistory(Config(loss="mae")))[0] is ERROR
    found = charts_of(RunHistory(Config(checkpoint_monitor="grad_norm")))
    assert found == (GRADIENT, LOSS, ERROR, RATE, SPEED)


def test_of_a_run_on_several_scans_the_loss_of_each_is_a_curve_of_its_own():
    history = RunHistory(Config(), scans=["a.npz", "b.npz"])
    metrics = {"poisson_val_loss": 2.0, "poisson_val_loss_1": 1.5, "poisson_val_loss_2": 2.5}
    history.hear(EpochDone(1, 4, metrics, 1.0))
    chart = charts_of(history)[-1]
    first, second = curves_of(history, chart, "epoch", 1)
    assert [(curve.words, *curve.y) for curve in (first, second)] == [("a.npz", 1.5), ("b.npz", 2.5)]
    assert first.run != second.run  # which is what makes them look different
    assert overlaid(RunHistory(Config()), chart, "epoch", 1, "other") == []


def test_every_metric_is_drawn_but_those_that_say_which_loss_is_trained():
    drawn = {name for name in METRICS if any(chart.shows(name) for chart in CHARTS)}
    assert set(METRICS) - drawn == {"physics_weight", "training_stage"}


def test_losses_lie_at_the_steps_and_at_the_ends_of_the_epochs(history):
    steps, training, validation = curves_of(history, LOSS, "step", 1)
    assert steps.x.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert training.x.tolist() == validation.x.tolist() == [3, 6, 9]
    np.testing.assert_array_equal(validation.y, history.epochs["poisson_val_loss"])
    steps, training, validation = curves_of(history, LOSS, "epoch", 1)
    np.testing.assert_allclose(steps.x, np.arange(1, 10) / 3)
    assert training.x.tolist() == validation.x.tolist() == [1, 2, 3]


def test_smoothing_keeps_the_raw_curve_behind_the_smoothed_one(history):
    raw, steps, *_ = curves_of(history, LOSS, "step", 5)
    assert (raw.role, raw.words) == ("raw", "")
    np.testing.assert_array_equal(raw.y, history.steps["poisson_train_loss_step"])
    np.testing.assert_allclose(steps.y, smoothed(raw.y, 5))


def test_the_learning_rate_is_not_smoothed(history):
    (curve,) = curves_of(history, RATE, "step", 50)
    np.testing.assert_array_equal(curve.y, history.steps["learning_rate"])


@pytest.mark.parametrize("span", [2, 10, 1000])
def test_smoothing_is_the_exponential_moving_average(span):
    y = np.random.default_rng(0).lognormal(size=500)
    weight, expected = 2 / (span + 1), [y[0]]
    for value in y[1:]:
        expected.append(weight * value + (1 - weight) * expected[-1])
    np.testing.assert_allclose(smoothed(y, span), expected, rtol=1e-5)
    assert len(smoothed(y[:0], span)) == 0


def test_other_runs_are_drawn_by_epochs(history):
    training, validation = overlaid(history, LOSS, "epoch", 1, "night")
    assert (training.run, validation.words) == (1, "night: validation")
    (gradient,) = overlaid(history, GRADIENT, "epoch", 2, "night")
    assert gradient.x.tolist() == [1, 2, 3]
    np.testing.assert_allclose(gradient.y, history.steps["grad_norm"].reshape(3, 3).mean(axis=1))


def test_what_was_not_measured_leaves_no_point():
    history = RunHistory(Config())
    for step, loss in enumerate((2.0, float("nan"), 1.0)):
        history.hear(BatchDone(step + 1, step, {"poisson_train_loss_step": 1.0}))
        history.hear(EpochDone(step + 1, step + 1, {"poisson_val_loss": loss}, 1.0))
    _, training, validation = curves_of(history, LOSS, "step", 1)
    assert len(training.x) == 0
    assert validation.x.tolist() == [1, 3]


def test_the_nearest_value_is_none_beyond_the_ends():
    curve = Curve(0, "validation", "", np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))
    assert [curve.nearest(x) for x in (-1.0, 0.2, 1.4, 1.6, 3.9, 4.1)] == [None, 10, 10, 20, 30, None]
    assert Curve(0, "validation", "", np.array([]), np.array([])).nearest(1.0) is None
