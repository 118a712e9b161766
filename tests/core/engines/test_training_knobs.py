"""What the settings of steps, rates, losses and groups do to a run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import BatchDone, EpochDone, RunStarted
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from tests.helpers.training_runs import Training, apart_from_speed


@pytest.fixture
def batches_seen(monkeypatch):
    """Batches that a network was trained on."""
    seen = []
    loss_of = PinnModel.loss_of

    def spy(self, batch):
        seen.append(batch)
        return loss_of(self, batch)

    monkeypatch.setattr(PinnModel, "loss_of", spy)
    return seen


def test_max_epochs_batch_size_and_n_groups_count_epochs_and_steps(training, other):
    training.go(max_epochs=2, n_groups=12, batch_size=4)
    assert [(event.epoch, event.step) for event in training.all(EpochDone)] == [(1, 3), (2, 6)]
    assert training.all(RunStarted)[0].steps_per_epoch == 3
    other.go(max_epochs=1, n_groups=20, batch_size=2)
    assert [(event.epoch, event.step) for event in other.all(EpochDone)] == [(1, 10)]


def test_the_same_seed_gives_the_same_figures_and_another_one_others(tmp_path):
    runs = [Training(tmp_path / str(number)).go(seed=seed) for number, seed in enumerate((1, 1, 2))]
    same, again, different = (apart_from_speed(run.rows) for run in runs)
    assert same == again
    assert same != different


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_has_torch_refuse_what_is_not(training, deterministic):
    seen = set()
    training.go(
        deterministic=deterministic,
        max_epochs=1,
        on=lambda event: seen.add(torch.are_deterministic_algorithms_enabled()) if isinstance(event, BatchDone) else 0,
    )
    assert seen == {deterministic}


def test_bf16_is_for_convolutions_and_the_wave_optics_stay_in_float32(training, other, monkeypatch):
    convolved, expected = set(), set()

    def note(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d) and torch.is_grad_enabled():  # after training it is judged in float32
            convolved.add(output.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    predict_patterns = Model.predict_patterns

    def spy(self, canvas, *rest):
        result = predict_patterns(self, canvas, *rest)
        expected.update({canvas.dtype, result.dtype})
        return result

    monkeypatch.setattr(Model, "predict_patterns", spy)
    try:
        training.go(precision="bf16-mixed", positions="off", intensity="off")
    finally:
        hook.remove()
    assert torch.bfloat16 in convolved  # and float32 in what looks at the result
    assert expected == {torch.complex64, torch.float32}
    exact = other.go(precision="32-true").column("poisson_val_loss")
    assert training.column("poisson_val_loss") != exact
    assert training.column("poisson_val_loss") == pytest.approx(exact, rel=0.02)


def test_half_floats_on_a_cpu_are_refused_rather_than_replaced(training):
    with pytest.raises(InputError, match="precision 16-mixed needs a GPU"):
        training.go(precision="16-mixed")
    assert not training.folder.exists()


def test_the_learning_rate_is_that_of_the_column(training):
    training.go(learning_rate=0.005, scheduler="constant")
    assert training.column("learning_rate") == pytest.approx([0.005] * 9)


def test_one_cycle_rises_and_then_falls_to_nearly_nothing(training):
    rates = training.go(scheduler="one_cycle", max_epochs=5).column("learning_rate")
    peak = int(np.argmax(rates))
    assert 0 < peak < 5
    assert rates[peak] == pytest.approx(1e-3, rel=0.05)
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.05e-3


def test_cosine_falls_along_half_a_period(training):
    rates = training.go(scheduler="cosine").column("learning_rate")
    assert rates == pytest.approx([1e-3 * (1 + math.cos(math.pi * step / 9)) / 2 for step in range(9)])


def test_exponential_falls_by_one_factor_per_step_to_a_hundredth(training):
    rates = training.go(scheduler="exponential").column("learning_rate")
    assert rates == pytest.approx([1e-3 * 0.01 ** (step / 9) for step in range(9)])


def test_plateau_waits_and_then_takes_a_tenth(training):
    # A metric that never changes: the stage, once the likelihood is all there is.
    training.go(
        scheduler="plateau", physics_schedule="off", checkpoint_monitor="training_stage", max_epochs=8, n_groups=4
    )
    assert training.column("learning_rate") == pytest.approx([1e-3] * 7 + [1e-4])


def test_the_optimizer_is_the_one_that_was_asked_for(training, other):
    (adam,) = training.go(optimizer="adam", max_epochs=1).last["optimizer_states"]
    (adamw,) = other.go(optimizer="adamw", max_epochs=1).last["optimizer_states"]
    assert {group["weight_decay"] for group in adam["param_groups"]} == {0}
    assert all(group["decoupled_weight_decay"] for group in adamw["param_groups"])


def test_accumulated_batches_make_one_step(training):
    training.go(accumulate_grad_batches=3, n_groups=12, batch_size=1, max_epochs=1)
    assert training.last["global_step"] == 4
    assert training.all(RunStarted)[0].steps_per_epoch == 4
    assert [event.step for event in training.all(BatchDone)] == [0, 1, 2, 3]


def test_the_gradient_is_clipped_after_it_was_logged(training):
    training.go(gradient_clip_val=1e-3, max_epochs=1, n_groups=4, batch_size=4)
    (norm,) = training.column("grad_norm")
    assert norm > 0.01
    state = training.last["optimizer_states"][0]["state"]
    after_one_step = torch.cat([one["exp_avg"].flatten() for one in state.values()])
    assert float(after_one_step.norm()) == pytest.approx(0.1 * 1e-3, rel=1e-2)  # Adam's mean takes a tenth of it


@pytest.mark.parametrize(("loss", "weight"), [("mae", 0), ("poisson", 1)])
def test_the_loss_is_what_the_network_descends_and_what_ranks(training, loss, weight):
    training.go(loss=loss, physics_schedule="off", max_epochs=1)
    assert set(training.column("physics_weight")) == {weight}
    assert training.checkpoints[0].startswith(f"epoch=01-{loss}_val_loss=")


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        ("off", [1, 1, 1, 1, 1, 1]),
        ("linear", [0, 0.25, 0.5, 0.75, 1, 1]),
        ("cosine", [(1 - math.cos(math.pi * min(1, step / 4))) / 2 for step in range(6)]),
    ],
)
def test_the_loss_goes_over_to_the_likelihood_on_schedule(training, schedule, weights):
    training.go(physics_schedule=schedule, physics_warmup=2 / 3, max_epochs=2)
    assert training.column("physics_weight") == pytest.approx(weights)
    stages = [0 if weight == 0 else 2 if weight == 1 else 1 for weight in weights]
    assert training.column("training_stage") == stages


def test_groups_have_gridsize_squared_patterns(training, other, batches_seen):
    training.go(gridsize=1, max_epochs=2)
    assert min(batch.amplitude.shape[1] for batch in batches_seen) == 1
    batches_seen.clear()
    other.go(gridsize=3, max_epochs=2)
    assert min(batch.amplitude.shape[1] for batch in batches_seen) == 9


def test_a_larger_neighbor_count_takes_members_from_farther_away(training, other, batches_seen):
    def spread(run, **settings):
        batches_seen.clear()
        run.go(gridsize=2, max_epochs=4, **settings)
        single = [batch.positions for batch in batches_seen if batch.positions.shape[1] == 4]
        return float(np.mean([float((each.amax(1) - each.amin(1)).mean()) for each in single]))

    assert spread(training, neighbor_count=4) < 0.8 * spread(other, neighbor_count=20)


def test_light_is_gathered_anew_after_the_last_step_of_an_epoch(training, monkeypatch):
    left, end = [], DirectModel.on_train_epoch_end

    def noted(self):
        left.append(self.light.object)
        end(self)

    monkeypatch.setattr(DirectModel, "on_train_epoch_end", noted)
    training.go(
        engine="direct", batch_size=20, accumulate_grad_batches=2, max_epochs=6, positions="off", intensity="off"
    )
    assert left == [0.0] * 6
