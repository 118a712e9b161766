"""Training that goes on from another scan's network."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from ptycho_core.base.build_config import build_config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import ProbeSearched
from ptycho_core.engines.checkpoints import export_checkpoint, load_checkpoint
from ptycho_core.engines.training import resume, train
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import read_metrics
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers import specs

FAST = {
    "max_epochs": 1,
    "max_steps": 1,
    "model_width": 2,
    "warm_start_epochs": 1,
    "probe_search": False,
    "accelerator": "cpu",
    "preview_seconds": 0,
    "quiet": True,
    "scheduler": "constant",
    "learning_rate": 1e-9,
}
"""So short and slow a run that the network stays what it was."""


def spec(seed):
    return SimulationSpec(size=16, n_patterns=36, step_px=2, jitter_px=0.5, seed=seed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    scan = simulate(spec(1)).scan
    run = train(build_config({**FAST, "max_epochs": 2, "max_steps": None, "learning_rate": 1e-3}), scan, folder / "out")
    return export_checkpoint(run.last_checkpoint, folder / "model.zip")


def network(path):
    return {name: tensor for name, tensor in load_checkpoint(path).tensors.items() if name.startswith("network.")}


def apart(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def scan():
    return simulate(spec(2)).scan


def test_the_network_is_the_other_one_and_the_probe_is_the_scans_own(trained, scan, tmp_path):
    tuned = train(build_config({**FAST, "init": str(trained)}), scan, tmp_path / "tuned")
    anew = train(build_config(FAST), scan, tmp_path / "anew")
    assert apart(network(tuned.last_checkpoint), network(trained)) < 1e-6
    assert apart(network(anew.last_checkpoint), network(trained)) > 1e-3
    probes = [load_checkpoint(run.last_checkpoint).tensors["probe_parts"] for run in (tuned, anew)]
    assert torch.equal(*probes)
    assert tuned.config.init == str(trained)


def test_the_beam_of_the_model_is_begun_with_where_it_explains_the_scan_better(tmp_path):
    right = simulate(specs.KNOWN_PROBE).scan
    known = train(build_config({**FAST, "warm_start_epochs": 0}), right, tmp_path / "known")
    wrong = simulate(dataclasses.replace(specs.KNOWN_PROBE, seed=2, guess_defocus_error_m=-1.5e-3)).scan
    heard = []
    settings = {**FAST, "probe_search": True, "init": str(known.last_checkpoint)}
    train(build_config(settings), wrong, tmp_path / "tuned", events=heard.append)
    found, *_ = [event for event in heard if isinstance(event, ProbeSearched)]
    assert found.why.startswith("kept the beam of the model to go on from")
    assert found.changed
    assert found.own_left


def test_a_fine_tuned_run_is_gone_on_with_also_when_the_model_is_gone(trained, scan, tmp_path):
    model, path = shutil.copy(trained, tmp_path / "model.zip"), tmp_path / "scan.npz"
    write_scan(scan, path)
    tuned = train(build_config({**FAST, "init": str(model)}), read_scan(path), tmp_path / "tuned")
    Path(model).unlink()
    assert resume(tuned.folder, max_epochs=2, max_steps=40).reason == "all 2 epochs are done"


@pytest.mark.parametrize("engine", ["pinn", "direct"])
def test_a_run_that_a_limit_of_steps_ended_within_an_epoch_goes_on(engine, scan, tmp_path):
    write_scan(scan, tmp_path / "scan.npz")
    config = build_config({**FAST, "engine": engine, "max_epochs": 2})
    ended = train(config, read_scan(tmp_path / "scan.npz"), tmp_path / "out")
    assert resume(ended.folder, max_steps=40).reason == "all 2 epochs are done"


def test_what_cannot_be_gone_on_from_is_refused_before_a_run_begins(trained, scan, tmp_path):
    direct = train(build_config({**FAST, "engine": "direct"}), scan, tmp_path / "direct")
    for settings, sentence in (
        ({"init": str(tmp_path / "gone.zip")}, "there is no file"),
        ({"init": str(trained), "model_width": 4}, "has a width of 2: set model_width to that"),
        ({"init": str(direct.last_checkpoint)}, "it is of the direct engine"),
    ):
        with pytest.raises(InputError, match=sentence):
            train(build_config({**FAST, **settings}), scan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_goes_on_gently_and_with_the_likelihood(trained, scan, tmp_path):
    settings = {**FAST, "learning_rate": 1e-3, "scheduler": "one_cycle", "max_steps": 2}
    tuned = train(build_config({**settings, "init": str(trained)}), scan, tmp_path / "tuned")
    anew = train(build_config(settings), scan, tmp_path / "anew")
    gently, whole = (read_metrics(run.folder) for run in (tuned, anew))
    assert gently["learning_rate"][0] == pytest.approx(6e-4)
    assert gently["learning_rate"][1] < gently["learning_rate"][0]  # it falls, where another one rises first
    assert whole["learning_rate"][1] > whole["learning_rate"][0]
    assert (gently["physics_weight"][0], whole["physics_weight"][0]) == (1.0, 0.0)
