"""What becomes of fits that go wrong: they go back and on more slowly, or they have failed; none ends as finished."""

from __future__ import annotations

import math

import lightning as L
import numpy as np
import pytest
import torch

from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import EpochDone, RolledBack, StopToken
from ptycho_core.base.verdict import SEARCH_ORIENTATION, Level
from ptycho_core.engines.epochs import number_of_epoch
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.runs.record import read_run
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers.training_runs import CountsBatches

SCATTERING = simulate(SimulationSpec(size=24, n_patterns=64, step_px=4, defocus_m=2.5e-3)).scan
SHUFFLED = SCATTERING.replace(positions=np.random.default_rng(1).permutation(SCATTERING.positions))
DIRECT = {"engine": "direct", "n_groups": None, "max_epochs": 10, "positions": "off", "intensity": "off"}
NONE_VALIDATE = {"val_fraction": 0, "checkpoint_monitor": "poisson_train_loss_epoch"}


class Plants(L.Callback):
    """Makes the model's parameters NaN before some steps."""

    def __init__(self, *steps: int) -> None:
        self.steps = list(steps)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: object) -> None:
        if self.steps and trainer.global_step == self.steps[0]:
            del self.steps[0]
            for parameter in pl_module.parameters():
                parameter.data.fill_(math.nan)


def test_a_rate_a_hundred_times_too_high_is_lowered_until_a_picture_comes(training):
    training.go(scan=SCATTERING, learning_rate=0.1, **DIRECT)
    told = training.all(RolledBack)
    assert training.info.status == "finished"
    assert told
    assert "that of no object at all: back to the start, and on at a tenth of the learning rate" in told[0].message
    history = reconstruct(SCATTERING, training.folder, halves=False).history
    assert sum(line.startswith("while it was trained: the deviance is ") for line in history) == len(told)
    rates = training.column("learning_rate")
    assert rates[0] == pytest.approx(20.0)
    assert max(rates[-8:]) <= 20 * 0.1 ** len(told) * 1.001
    values = training.column("poisson_val_loss")
    assert values[0] > 10
    assert min(values) < 0.5 * told_of_nothing(told[0].message)


def told_of_nothing(message: str) -> float:
    """The deviance without an object, as the message has it."""
    return float(message.partition("far above ")[2].partition(",")[0])


@pytest.mark.parametrize(
    ("bad_epochs", "said"),
    [
        ((2, 3, 4), ", that of epoch 1: back to the state after epoch 1, and on at a tenth"),
        ((1, 2, 3), ", that of the mean pattern: back to the start, and on at a tenth"),
    ],
    ids=["left behind", "never reached"],
)
def test_some_epochs_far_from_what_is_known_to_be_possible_are_given_up(training, monkeypatch, bad_epochs, said):
    step = Model.validation_step

    def spoiled(self, batch, number):
        bad = number_of_epoch(self.trainer) in bad_epochs
        step(self, batch._replace(amplitude=batch.amplitude * 1.5) if bad else batch, number)

    monkeypatch.setattr(Model, "validation_step", spoiled)
    training.go(max_epochs=5)
    (told,) = training.all(RolledBack)
    assert told.message.startswith("The deviance is ")
    assert said in told.message
    assert f"epoch=0{bad_epochs[-1]}" not in [name[:8] for name in training.checkpoints]


@pytest.mark.parametrize(
    "settings", [{}, {"engine": "direct", "max_epochs": 6}, {"accumulate_grad_batches": 2}], ids=str
)
def test_a_nan_among_the_parameters_is_left_behind(training, settings):
    training.go(callbacks=[Plants(4)], **settings)
    (told,) = training.all(RolledBack)
    assert told.message.startswith("The loss is not a number in epoch ")
    assert told.message.endswith(", and on at a tenth of the learning rate")
    assert training.info.status == "finished"
    assert all(torch.isfinite(tensor).all() for tensor in training.last["state_dict"].values())
    assert read_run(training.folder).rollbacks == (told.message,)
    assert math.isfinite(training.all(EpochDone)[-1].metrics["poisson_val_loss"])


def test_what_diverges_three_times_has_failed_and_keeps_its_best_state(training):
    with pytest.raises(TrainingError, match=r"not a number in epoch 3, step 8, also at a hundredth of the .*is kept"):
        training.go(callbacks=[Plants(4, 6, 7)])
    info = read_run(training.folder)
    assert info.status == "failed"
    assert len(info.rollbacks) == 2
    assert training.checkpoints[0].startswith("epoch=01-poisson_val_loss=")
    assert all(torch.isfinite(tensor).all() for tensor in training.last["state_dict"].values())


def test_a_resumed_run_goes_on_at_the_lower_rate_and_goes_on_counting(training):
    stops = CountsBatches(stop_after=6)
    training.go(callbacks=[Plants(4), stops], stop=stops.stop, scheduler="constant")
    with pytest.raises(TrainingError, match="also at a hundredth"):
        training.go(callbacks=[Plants(7, 8)], resume=True, scheduler="constant")
    assert training.column("learning_rate")[-2:] == pytest.approx([1e-4, 1e-5])
    assert len(read_run(training.folder).rollbacks) == 2


@pytest.mark.parametrize(
    ("scan", "settings"), [(SHUFFLED, DIRECT), (SHUFFLED, {"max_epochs": 6})], ids=["direct", "network"]
)
def test_a_scan_with_shuffled_positions_ends_as_failed(training, scan, settings):
    with pytest.raises(TrainingError, match=r"no picture came of it: .* than where others were: "):
        training.go(scan=scan, **settings)
    info = read_run(training.folder)
    assert info.status == "failed"
    assert info.best_checkpoint.is_file()
    assert info.verdict.level == Level.POOR
    assert info.verdict.actions[0].field == SEARCH_ORIENTATION


def test_a_run_of_few_epochs_has_no_picture_yet_and_has_not_failed(training, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.training.no_picture", lambda *arguments: "nothing fits")
    training.go(scan=SHUFFLED, **{**DIRECT, "max_epochs": 2})
    assert training.info.status == "finished"
    verdict = read_run(training.folder).verdict
    assert verdict.level == Level.POOR
    assert verdict.reasons == ("there is no picture yet: the run ended after 2 epochs", "nothing fits")
    assert [action.field for action in verdict.actions] == ["max_epochs", SEARCH_ORIENTATION, "probe_search"]


def test_a_run_that_is_stopped_is_judged_and_has_not_failed(training, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.training.no_picture", lambda *arguments: "nothing fits")
    token = StopToken()
    training.go(
        scan=SHUFFLED,
        stop=token,
        on=lambda event: isinstance(event, EpochDone) and event.epoch == 7 and token.stop(),
        **DIRECT,
    )
    info = read_run(training.folder)
    assert (info.status, info.epochs_done, info.verdict.level) == ("stopped", 7, Level.POOR)
    assert info.verdict.reasons[-1] == "nothing fits"


@pytest.mark.parametrize(
    ("settings", "tests", "reason"),
    [
        ({}, True, "patterns that the fit has not seen"),
        (NONE_VALIDATE, False, "patterns that the fit has not seen"),
        ({**NONE_VALIDATE, "free_fraction": 0}, False, "no patterns were kept apart"),
    ],
    ids=["another scan validates", "free patterns alone", "none kept apart"],
)
def test_a_run_is_judged_by_whatever_was_kept_apart(training, settings, tests, reason):
    training.go(scan=SCATTERING, test_scan=SCATTERING if tests else None, **{**DIRECT, "max_epochs": 3, **settings})
    assert any(reason in why for why in read_run(training.folder).verdict.reasons)


def test_an_empty_sample_is_no_failure(training):
    empty = simulate(SimulationSpec(size=16, n_patterns=36, step_px=2, modulus_min=1.0, phase_max=1e-3)).scan
    training.go(scan=empty, **{**DIRECT, "max_epochs": 6})
    assert training.info.status == "finished"


def test_few_photons_and_few_epochs_are_no_failure(training):
    faint = simulate(SimulationSpec(size=24, n_patterns=64, step_px=5, counts_per_pixel=1)).scan
    training.go(scan=faint, **{**DIRECT, "max_epochs": 6})
    assert (training.info.status, training.all(RolledBack)) == ("finished", [])
