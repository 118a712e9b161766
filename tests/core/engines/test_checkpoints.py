"""Checkpoints: found, loaded as data that execute nothing, exported."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile

import pytest
import torch

from ptycho_core.base.errors import InputError
from ptycho_core.engines.checkpoints import export_checkpoint, find_checkpoint, load_checkpoint
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from tests.helpers.training_runs import SCAN, Training


@pytest.fixture(scope="module", params=["pinn", "direct"])
def trained(request, tmp_path_factory):
    return Training(tmp_path_factory.mktemp("run") / "out").go(engine=request.param, probe_modes=2, max_epochs=2)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return Training(tmp_path_factory.mktemp("run") / "out").go(max_epochs=2)


@pytest.fixture
def last(network, tmp_path):
    """A copy of a checkpoint, to spoil."""
    return shutil.copy(network.folder / "checkpoints/last.ckpt", tmp_path / "last.ckpt")


def test_a_checkpoint_gives_the_trained_model_ready_to_use(trained):
    checkpoint = load_checkpoint(trained.folder / "checkpoints/last.ckpt")
    assert checkpoint.config == trained.info.config
    assert checkpoint.scan["patterns"] == len(SCAN)
    model = checkpoint.model()
    assert isinstance(model, PinnModel if checkpoint.config.engine == "pinn" else DirectModel)
    assert not model.training
    saved = trained.last["state_dict"]
    assert model.state_dict().keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())


def test_a_bundle_gives_the_same_model_as_the_checkpoint_that_it_was_made_of(trained, tmp_path):
    source = trained.info.best_checkpoint
    bundle = load_checkpoint(export_checkpoint(source, tmp_path / "model.zip"))
    checkpoint = load_checkpoint(source)
    assert bundle.config == checkpoint.config
    assert bundle.scan == checkpoint.scan
    expected = checkpoint.model().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in bundle.model().state_dict().items())


def test_a_bundle_tells_the_figures_and_the_command_of_its_run(network, tmp_path):
    export_checkpoint(network.info.best_checkpoint, tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as bundle:
        assert f'"poisson_val_loss": {network.info.checkpoints[0].value}' in bundle.read("metrics.json").decode()
        assert "torch" in bundle.read("environment.json").decode()


def test_a_checkpoint_is_copied_as_it_is(last, tmp_path):
    assert export_checkpoint(last, tmp_path / "copy.ckpt").read_bytes() == last.read_bytes()


@pytest.mark.parametrize("target", ["model.pt", "model"])
def test_a_target_of_another_kind_is_refused(last, tmp_path, target):
    with pytest.raises(InputError, match=r"must end in \.zip for a bundle, or in \.ckpt"):
        export_checkpoint(last, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_best_and_last_are_found_by_name(network):
    assert find_checkpoint(network.folder, "best") == network.info.best_checkpoint
    assert find_checkpoint(network.folder, "last") == network.folder / "checkpoints/last.ckpt"
    assert find_checkpoint(None, str(network.info.best_checkpoint)) == network.info.best_checkpoint


def test_where_nothing_is_monitored_the_last_is_the_best(tmp_path):
    run = Training(tmp_path / "out").go(max_epochs=1, checkpoint_save_top_k=0)
    assert find_checkpoint(run.folder, "best").name == "last.ckpt"


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(tmp_path):
    run = Training(tmp_path / "out").go(max_epochs=1)
    run.info.best_checkpoint.unlink()
    with pytest.raises(InputError, match=r"has no best checkpoint \(there is last.ckpt\)"):
        find_checkpoint(run.folder, "best")
    with pytest.raises(InputError, match=r"there is no checkpoint gone\.ckpt"):
        find_checkpoint(run.folder, "gone.ckpt")
    with pytest.raises(InputError, match="of which run"):
        find_checkpoint(None, "last")


def test_a_checkpoint_of_another_version_is_refused(last, tmp_path):
    body = torch.load(last, weights_only=True)
    body["ptycho"]["version"] = 2
    torch.save(body, tmp_path / "later.ckpt")
    with pytest.raises(InputError, match=r"later\.ckpt is a checkpoint of version 2; this program reads version 1"):
        load_checkpoint(tmp_path / "later.ckpt")


class Malice:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_is_not_a_program(last, tmp_path, monkeypatch, inside, zipped):
    monkeypatch.chdir(tmp_path)
    body = {**torch.load(last, weights_only=True), "callbacks": Malice()} if inside else Malice()
    if zipped:
        torch.save(body, last)
    else:
        last.write_bytes(pickle.dumps(body, protocol=2))
    with pytest.raises(InputError, match="is not a checkpoint of this program, or is damaged"):
        load_checkpoint(last)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_checkpoint_cut_short_is_one_sentence(last, part):
    whole = last.read_bytes()
    last.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=r"last\.ckpt is not a checkpoint of this program, or is damaged"):
        load_checkpoint(last)


def test_a_flipped_byte_anywhere_is_an_input_error_or_does_no_harm(last):
    whole = bytearray(last.read_bytes())
    for place in range(7, len(whole), max(1, len(whole) // 30)):
        spoiled = bytearray(whole)
        spoiled[place] ^= 0xFF
        last.write_bytes(spoiled)
        try:
            load_checkpoint(last)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "body", [{}, {"state_dict": {}}, [1], {"ptycho": {"config": {}, "scan": {}}}, {"ptycho": None, "state_dict": {}}]
)
def test_a_checkpoint_of_another_program_is_refused(last, body):
    torch.save(body, last)
    with pytest.raises(InputError, match="is not a checkpoint of this program"):
        load_checkpoint(last)


def test_settings_that_this_version_does_not_know_are_named(last):
    body = torch.load(last, weights_only=True)
    body["ptycho"]["config"]["colour"] = "blue"
    torch.save(body, last)
    with pytest.raises(InputError, match=r"last\.ckpt has the unknown name 'colour'"):
        load_checkpoint(last)


def test_tensors_of_another_model_are_refused(last):
    body = torch.load(last, weights_only=True)
    body["ptycho"]["config"]["model_width"] = 4
    torch.save(body, last)
    with pytest.raises(InputError, match="does not hold a model of this program"):
        load_checkpoint(last).model()


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_checkpoint(tmp_path / "gone.ckpt")
