"""What the settings of probe, modes, width and prior do to what is fitted."""

from __future__ import annotations

import pytest
import torch

from ptycho_core.base.events import ModesChosen, RunStarted, StageChanged
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.mode_count import ModeCount
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.start import starting_probe
from tests.helpers.training_runs import SCAN, CountsBatches


def probe(training):
    parts = training.last["state_dict"]
    return torch.view_as_complex(parts["probe_parts"]) * parts["probe_scale"]


def test_the_probe_is_left_alone_or_learned(training, other):
    start = starting_probe(SCAN, 1)
    assert torch.allclose(probe(training.go(engine="direct", probe_trainable=False)), start)
    assert not torch.allclose(probe(other.go(engine="direct", probe_trainable=True)), start, rtol=1e-4)


def test_a_warm_start_improves_the_probe_before_the_network_trains(training, other):
    training.go(probe_trainable=False, warm_start_epochs=2, max_epochs=1)
    assert not torch.allclose(probe(training), starting_probe(SCAN, 1), rtol=1e-2)
    assert "warming up the probe" in {event.stage for event in training.all(StageChanged)}
    found = load_checkpoint(training.folder / "warm_start.ckpt")
    kept = found.model()
    assert found.epoch == 2
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
