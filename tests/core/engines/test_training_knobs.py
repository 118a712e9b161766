"""What each setting does to a run."""

from __future__ import annotations

import math

import numpy as np
import psutil
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import BatchDone, EpochDone, ModesChosen, PreviewReady, RunStarted, StageChanged
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.mode_count import ModeCount
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.engines.scan_data import ScanData
from tests.helpers.measurements import measured
from tests.helpers.training_runs import SCAN, CountsBatches, Training, apart_from_speed


@pytest.fixture
def training(tmp_path):
    return Training(tmp_path / "out")


@pytest.fixture
def other(tmp_path):
    return Training(tmp_path / "other")


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


def probe(training):
    parts = training.last["state_dict"]
    return torch.view_as_complex(parts["probe_parts"]) * parts["probe_scale"]


def test_max_epochs_batch_size_and_n_groups_count_epochs_and_steps(training, other):
    training.go(max_epochs=2, n_groups=12, batch_size=4)
    assert [(event.epoch, event.step) for event in training.all(EpochDone)] == [(0, 3), (1, 6)]
    assert training.all(RunStarted)[0].steps_per_epoch == 3
    other.go(max_epochs=1, n_groups=20, batch_size=2)
    assert [(event.epoch, event.step) for event in other.all(EpochDone)] == [(0, 10)]


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
    assert training.checkpoints[0].startswith(f"epoch=00-{loss}_val_loss=")


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


def test_the_probe_is_left_alone_or_learned(training, other):
    start = starting_probe(SCAN, 1)
    assert torch.allclose(probe(training.go(engine="direct", probe_trainable=False)), start)
    assert not torch.allclose(probe(other.go(engine="direct", probe_trainable=True)), start, rtol=1e-4)


def test_a_warm_start_improves_the_probe_before_the_network_trains(training, other):
    training.go(probe_trainable=False, warm_start_epochs=2, max_epochs=1)
    assert not torch.allclose(probe(training), starting_probe(SCAN, 1), rtol=1e-2)
    assert "warming up the probe" in {event.stage for event in training.all(StageChanged)}
    kept = load_checkpoint(training.folder / "warm_start.ckpt").model()
    assert isinstance(kept, DirectModel)
    assert torch.equal(kept.probe, probe(training))
    other.go(warm_start_epochs=0, max_epochs=1)
    assert not (other.folder / "warm_start.ckpt").exists()
    assert "warming up the probe" not in {event.stage for event in other.all(StageChanged)}


def test_modes_width_and_background_shape_the_model(training, other):
    state = training.go(probe_modes=3, model_width=8, background=True, warm_start_epochs=4, max_epochs=1).last
    assert len(probe(training)) == 3
    assert float(state["state_dict"]["background_root"]) != pytest.approx(
        0.1, abs=1e-6
    )  # the warm start has learned it
    plain = other.go(model_width=4, max_epochs=1).last["state_dict"]
    assert float(plain["background_root"]) == 0
    assert training.all(RunStarted)[0].parameters > 1.5 * other.all(RunStarted)[0].parameters


def test_a_checkpoint_has_the_prior_that_its_object_was_fitted_with_and_resumes_with_the_next(training):
    stops = CountsBatches(stop_after=1)
    direct = {"engine": "direct", "prior": 30, "n_groups": 4, "max_epochs": 3, "positions": "off", "intensity": "off"}
    training.go(callbacks=[stops], stop=stops.stop, **direct)
    assert (float(training.last["state_dict"]["prior"]), training.last["next_prior"] > 0) == (0.0, True)
    asked = training.last["next_prior"]
    training.go(resume=True, **{**direct, "max_epochs": 2})
    assert float(training.last["state_dict"]["prior"]) == pytest.approx(asked)


@pytest.mark.parametrize("engine", ["direct", "pinn"])
def test_the_number_of_modes_is_chosen_once_and_stays_when_the_run_goes_on(training, monkeypatch, engine):
    told = ModesChosen(2, "chose 2 probe modes")
    chosen = ModeCount(SCAN.probe, told)
    monkeypatch.setattr("ptycho_core.engines.beginning.choose_modes", lambda *args: chosen)
    settings = {"engine": engine, "probe_modes": None, "warm_start_epochs": 1}
    training.go(**settings, max_epochs=1)
    assert len(probe(training)) == 2
    assert training.all(ModesChosen) == [told]
    assert "choosing the number of probe modes" in {event.stage for event in training.all(StageChanged)}
    assert (training.info.modes_chosen, training.info.config.probe_modes) == (told.why, None)
    training.go(**settings, max_epochs=2, resume=True)
    assert len(probe(training)) == 2
    assert training.all(ModesChosen) == [told]
    assert training.info.epochs_done == 2


def test_a_prior_smooths_the_direct_engines_object(training, other):
    def roughness(run):
        return float(run.last["state_dict"]["object_parts"].diff(dim=0).square().mean())

    rough = roughness(training.go(engine="direct", prior=0, max_epochs=5))
    assert roughness(other.go(engine="direct", prior=30, max_epochs=5)) < rough / 2


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


@pytest.mark.parametrize(("mode", "epoch"), [("min", "02"), ("max", "00")])
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


def test_workers_read_the_same_batches_and_stay_between_epochs_unless_told_not_to(tmp_path):
    def workers():
        return {each.pid for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())}

    def run(name, **settings):
        seen = {}
        run = Training(tmp_path / name).go(
            max_epochs=2,
            on=lambda event: seen.setdefault(event.epoch, workers()) if isinstance(event, BatchDone) else None,
            **settings,
        )
        return apart_from_speed(run.rows), seen[0], seen[1]

    alone, *none = run("alone")
    assert none == [set(), set()]
    rows, first, second = run("kept", num_workers=1, prefetch_factor=1, pin_memory=True)
    assert rows == alone
    assert len(first) == 1
    assert first == second
    rows, first, second = run("renewed", num_workers=1, persistent_workers=False)
    assert rows == alone
    assert len(first) == len(second) == 1
    assert first != second
    assert workers() == set()


@pytest.mark.parametrize(
    ("settings", "home", "expected"),
    [
        ({"num_workers": 0}, None, (0, None, False, False)),
        ({"num_workers": 2}, None, (2, 2, True, False)),
        ({"num_workers": 2, "prefetch_factor": 5, "persistent_workers": False}, None, (2, 5, False, False)),
        ({"pin_memory": True}, None, (0, None, False, True)),
        ({"pin_memory": True, "num_workers": 2}, torch.device("cpu"), (0, None, False, False)),
    ],
)
def test_reading_ahead_staying_and_pinning_are_left_to_the_loader_of_batches(settings, home, expected):
    config = Config(accelerator="cpu", **settings)
    model = PinnModel.from_scan(SCAN, config)
    loader = ScanData(model, [measured(SCAN, amplitudes=Amplitudes(SCAN, home))]).train_dataloader()
    assert (loader.num_workers, loader.prefetch_factor, loader.persistent_workers, loader.pin_memory) == expected


def test_patterns_that_stay_on_a_device_train_the_direct_engine_alike(training, other, monkeypatch):
    direct = {"engine": "direct", "positions": "refine"}
    training.go(**direct)
    monkeypatch.setattr("ptycho_core.engines.training.home_of_patterns", lambda *given: torch.device("cpu"))
    other.go(num_workers=1, **direct)  # none are asked: they could not read what lies there
    assert apart_from_speed(other.rows) == apart_from_speed(training.rows)


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
