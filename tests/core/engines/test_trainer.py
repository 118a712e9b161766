"""The choice of the device, and the Trainer that is built for it."""

from __future__ import annotations

import logging
import signal

import lightning as L
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.engines.data import split
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.trainer import build_trainer, choose_accelerator, device_of, quiet_lightning
from tests.helpers.measurements import measured
from tests.helpers.training_runs import SCAN

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture
def machine(monkeypatch):
    """Pretend that a machine has these devices beside its CPU."""

    def has(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA H100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return has


@pytest.mark.parametrize(
    ("there", "wanted", "name", "sentence"),
    [
        ((), "auto", "cpu", "there is no CUDA or MPS device"),
        (("mps",), "auto", "mps", "MPS, because it is the fastest of mps, cpu"),
        (("cuda",), "auto", "cuda", "CUDA (NVIDIA H100), because it is the fastest of cuda, cpu"),
        (("cuda",), "cpu", "cpu", "as asked for"),
        (("cuda",), "gpu", "cuda", "CUDA (NVIDIA H100), as asked for"),
        (("cuda",), "cuda", "cuda", "CUDA (NVIDIA H100), as asked for"),
    ],
)
def test_the_device_is_chosen_and_the_choice_explained(machine, there, wanted, name, sentence):
    machine(*there)
    chosen, why = choose_accelerator(wanted)
    assert chosen == name
    assert sentence in why
    assert device_of(wanted).type == name


@pytest.mark.parametrize(
    ("there", "wanted", "listed"), [((), "gpu", "cpu"), ((), "mps", "cpu"), (("mps",), "cuda", "mps, cpu")]
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(machine, there, wanted, listed):
    machine(*there)
    with pytest.raises(InputError, match=f"accelerator {wanted} is not available on this machine: there is {listed}$"):
        choose_accelerator(wanted)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_trainer_has_the_devices_of_the_config(devices):
    config = Config(accelerator="cpu", devices=devices, strategy="ddp")
    with quiet_lightning(config):
        assert build_trainer(config, callbacks=[]).world_size == devices


class Handlers(L.Callback):
    """Notes the handlers of signals while a fit goes on."""

    def on_train_batch_end(self, *args) -> None:
        self.found = [signal.getsignal(number) for number in SIGNALS]


def test_signals_are_left_to_the_program_while_it_trains():
    config = Config(accelerator="cpu", max_epochs=1, model_width=2, n_groups=4, preview_seconds=0, val_fraction=0)
    model, noted = PinnModel.from_scan(SCAN, config), Handlers()
    before = [signal.getsignal(number) for number in SIGNALS]
    with quiet_lightning(config):
        data = ScanData(model, [measured(SCAN, split(len(SCAN), config))])
        build_trainer(config, callbacks=[noted]).fit(model, data)
    assert noted.found == before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_shell_on_a_cluster_node_is_no_cluster_job(monkeypatch):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_NODEID": "0"}.items():
        monkeypatch.setenv(name, value)
    config = Config(accelerator="cpu")
    with quiet_lightning(config):
        assert build_trainer(config, callbacks=[]).world_size == 1


def test_lightnings_log_has_its_level_back_afterwards():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with quiet_lightning(Config()):
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.level == before


def test_the_seed_decides_what_is_drawn():
    def drawn(seed):
        with quiet_lightning(Config(seed=seed)):
            return torch.rand(3).tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize(("engine", "precision"), [("pinn", "bf16-mixed"), ("direct", "32-true")])
def test_arithmetic_is_the_configs_where_the_engine_has_any_but_float32(engine, precision):
    config = Config(engine=engine, accelerator="cpu", precision="bf16-mixed")
    with quiet_lightning(config):
        assert build_trainer(config, callbacks=[]).precision == precision
