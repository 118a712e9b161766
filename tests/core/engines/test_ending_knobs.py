"""What ends a run, which of its checkpoints are kept, and what it shows."""

from __future__ import annotations

import math

import lightning as L
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import PreviewReady
from ptycho_core.engines import callbacks
from ptycho_core.engines import training as training_module
from ptycho_core.engines.phases import FEWEST
from ptycho_core.engines.probe_search import SearchResult
from tests.helpers.training_runs import DIRECT


def test_fractions_of_the_patterns_validate_and_are_seen_by_nothing(training):
    info = training.go(val_fraction=0.25, free_fraction=0.5, max_epochs=1).info
    assert (len(info.validation_indexes), len(info.free_indexes)) == (9, 18)
    assert not set(info.validation_indexes) & set(info.free_indexes)


def test_max_steps_may_end_a_run_before_it_has_validated(training):
    info = training.go(max_steps=1, early_stop_patience=5).info
    assert (info.status, info.reason) == ("finished", "all 1 steps are done")
    assert info.last_checkpoint.exists()


def test_max_steps_ends_in_good_order(training):
    training.go(max_steps=4, max_epochs=100)
    assert training.last["global_step"] == 4
    assert (training.info.status, training.info.reason) == ("finished", "all 4 steps are done")


def test_max_time_ends_in_good_order(training):
    training.go(max_time=1e-6, max_epochs=100)
    assert (training.info.status, training.info.epochs_done) == ("finished", 0)
    assert training.info.reason.startswith("the time limit of 1e-06 min")
    assert training.checkpoints == ["last.ckpt"]


PEAK = 1e-6
"""A learning rate of which no run goes wrong."""


def parts_of_peak(training):
    return [rate / PEAK for rate in training.column("learning_rate")]


class Passing(L.Callback):
    """A clock that a step takes a second of, and nothing else any."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        for module in (callbacks, training_module):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self):
        return self.now

    def on_train_batch_end(self, *args):
        self.now += 1


def test_the_learning_rate_falls_by_the_time_limit_where_that_ends_a_run(training, monkeypatch):
    clock = Passing(monkeypatch)
    limited = {"scheduler": "cosine", "learning_rate": PEAK, "callbacks": [clock]}
    training.go(max_time=0.5, max_epochs=1000, **limited)
    rates = parts_of_peak(training)
    assert training.last["global_step"] == len(rates) == 30
    assert rates[15] == pytest.approx(0.5, abs=0.1)
    assert rates[-1] < 0.02
    training.go(resume=True, max_time=0.25, max_epochs=20, **limited)  # half of its steps are done
    rates = parts_of_peak(training)[31:]  # the first step still has the rate of the last one
    assert rates[0] == pytest.approx(0.5, abs=0.1)
    assert rates[-1] < 0.03


def test_steps_that_are_done_before_the_time_limit_end_the_schedule(training, monkeypatch):
    training.go(max_time=10, scheduler="cosine", learning_rate=PEAK, callbacks=[Passing(monkeypatch)])
    assert parts_of_peak(training)[-1] < 0.05


def test_a_fit_by_the_direct_engine_comes_to_its_likelihood_before_the_time_limit(training, monkeypatch):
    training.go(**{**DIRECT, "max_epochs": 1000}, max_time=0.3, callbacks=[Passing(monkeypatch)])
    stages = training.column("training_stage")
    assert training.info.epochs_done == FEWEST - 2 == len(stages) / 3
    assert (stages[0], stages[-1]) == (0.0, 2.0)


def test_the_search_for_the_beam_has_half_of_a_time_limit(training, other, monkeypatch):
    left = []

    def search(scan, amplitudes, rows, *, known, stop):
        left.append(stop.seconds_left)
        return SearchResult(None, "nothing was found")

    monkeypatch.setattr("ptycho_core.engines.beginning.search_probe", search)
    training.go(probe_search=True, max_time=60, max_epochs=1)
    other.go(probe_search=True, max_epochs=1)
    assert 0 < left[0] <= 30 * 60
    assert left[1] == math.inf


def test_previews_come_when_asked_for(training, other):
    shown = training.go(preview_seconds=1e-6, warm_start_epochs=1).all(PreviewReady)
    assert shown
    assert shown[0].object.dtype == shown[0].probe.dtype == np.complex64
    assert shown[0].object.ndim == 2
    assert [shown[0].stage, shown[-1].stage] == ["warming up the probe", "training"]
    assert other.go(preview_seconds=0, warm_start_epochs=1).all(PreviewReady) == []


@pytest.mark.parametrize(("keep", "names"), [(0, 0), (2, 2), (-1, 4)])
def test_top_k_is_the_number_of_best_checkpoints(training, keep, names):
    training.go(checkpoint_save_top_k=keep, max_epochs=4)
    assert len([name for name in training.checkpoints if name.startswith("epoch=")]) == names
    assert "last.ckpt" in training.checkpoints


def test_without_checkpointing_nothing_is_saved(training):
    training.go(enable_checkpointing=False)
    assert not (training.folder / "checkpoints").exists()
    assert training.info.best_checkpoint is None


@pytest.mark.parametrize(("mode", "epoch"), [("min", "03"), ("max", "01")])
def test_the_monitored_metric_and_its_mode_choose_the_best(training, mode, epoch):
    settings = {"checkpoint_monitor": "learning_rate", "checkpoint_mode": mode, "scheduler": "cosine"}
    training.go(checkpoint_save_top_k=1, **settings)
    (name,) = (name for name in training.checkpoints if name != "last.ckpt")
    assert name.startswith(f"epoch={epoch}-learning_rate=")
    assert training.info.best_checkpoint.name == name


def test_a_metric_that_is_not_logged_is_refused_with_those_that_are(training):
    with pytest.raises(InputError, match=r"checkpoint_monitor must be val_loss, .*grad_norm"):
        training.go(checkpoint_monitor="psnr")
    with pytest.raises(InputError, match=r"val_loss is not logged .* monitor one of poisson_train_loss_step, "):
        training.go(val_fraction=0)
    assert not training.folder.exists()


def test_training_without_validation_can_monitor_what_it_logs(training):
    training.go(val_fraction=0, checkpoint_monitor="poisson_train_loss_epoch")
    assert training.info.status == "finished"
    assert "poisson_val_loss" not in training.rows[0]


def test_patience_counts_epochs_without_improvement(training, other):
    still = {"physics_schedule": "off", "checkpoint_monitor": "training_stage", "max_epochs": 6, "n_groups": 4}
    training.go(early_stop_patience=2, **still)
    assert training.info.epochs_done == 3
    assert training.info.reason == "training_stage has not improved for 2 epochs"
    assert other.go(early_stop_patience=0, **still).info.epochs_done == 6


def test_an_improvement_below_the_least_does_not_count(training, other):
    falling = {"checkpoint_monitor": "learning_rate", "scheduler": "cosine", "early_stop_patience": 1, "max_epochs": 5}
    assert training.go(early_stop_min_delta=1.0, **falling).info.epochs_done == 2
    assert other.go(early_stop_min_delta=0.0, **falling).info.epochs_done == 5
