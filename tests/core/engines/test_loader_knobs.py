"""How batches are read: by whom, and from where."""

from __future__ import annotations

import psutil
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.scan_data import ScanData
from tests.helpers.measurements import measured
from tests.helpers.training_runs import SCAN, Training, apart_from_speed


def test_workers_read_the_same_batches_and_stay_between_epochs(tmp_path):
    def workers():
        return {each.pid for each in psutil.Process().children() if "spawn_main" in " ".join(each.cmdline())}

    def run(name, **settings):
        seen = {}
        run = Training(tmp_path / name).go(
            max_epochs=2,
            on=lambda event: seen.setdefault(event.epoch, workers()) if isinstance(event, BatchDone) else None,
            **settings,
        )
        return apart_from_speed(run.rows), seen[1], seen[2]

    alone, *none = run("alone")
    assert none == [set(), set()]
    rows, first, second = run("kept", num_workers=1, prefetch_factor=1, pin_memory=True)
    assert rows == alone
    assert len(first) == 1
    assert first == second
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
