"""A run from its beginning to its end: what it leaves, what it tells, how it fails."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ptycho_core.base.atomic import write_json
from ptycho_core.base.choices import METRICS, STEP_METRICS
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError, TrainingError
from ptycho_core.base.events import (
    BatchDone,
    CheckpointRemoved,
    CheckpointSaved,
    EpochDone,
    Judged,
    RefinementChecked,
    RunFailed,
    RunStarted,
    StageChanged,
    to_json,
)
from ptycho_core.engines import data
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import read_run
from tests.helpers.training_runs import SCAN, CountsBatches, Training


@pytest.fixture(scope="module")
def improving(tmp_path_factory):
    """A run whose monitored value improves in every epoch."""
    settings = {"checkpoint_monitor": "learning_rate", "scheduler": "cosine"}
    return Training(tmp_path_factory.mktemp("improving") / "out").go(checkpoint_save_top_k=2, max_epochs=4, **settings)


def failing_at(step, error):
    """Return a training step that raises."""
    whole = Model.training_step

    def training_step(self, batch, number):
        if self.trainer.global_step == step:
            raise error
        return whole(self, batch, number)

    return training_step


def test_the_metrics_are_those_of_the_contract_and_no_others(improving):
    assert set(improving.rows[0]) == {"epoch", "step", *METRICS}
    for name in METRICS:
        assert all(math.isfinite(value) for value in improving.column(name))
        assert len(improving.column(name)) in (4, 12)  # epochs, steps


def test_the_settings_are_kept_beside_the_metrics(improving):
    kept = yaml.safe_load((improving.folder / "lightning_logs/version_0/hparams.yaml").read_text())
    assert Config.from_dict(kept) == improving.info.config


def test_when_every_epoch_is_better_the_two_best_and_the_last_are_left(improving):
    assert len(improving.checkpoints) == 3
    first, second, last = improving.checkpoints
    assert first.startswith("epoch=03-learning_rate=0.000")
    assert second.startswith("epoch=04-learning_rate=0.000")
    assert last == "last.ckpt"
    removed = [os.path.basename(event.path)[:8] for event in improving.all(CheckpointRemoved)]
    assert removed == ["epoch=01", "epoch=02"]


def test_a_checkpoint_is_named_for_its_epoch_and_value(training):
    training.go(max_epochs=1)
    (value,) = training.column("poisson_val_loss")
    assert training.checkpoints == [f"epoch=01-poisson_val_loss={value:.4f}.ckpt", "last.ckpt"]


def test_last_is_the_last_epoch_also_when_it_is_not_the_best(training):
    training.go(checkpoint_monitor="learning_rate", scheduler="cosine", checkpoint_mode="max", checkpoint_save_top_k=1)
    assert training.last["epoch"] == 2
    assert training.info.best_checkpoint.name.startswith("epoch=01")
    best = torch.load(training.info.best_checkpoint, weights_only=True)
    assert best["epoch"] == 0
    assert not torch.equal(best["state_dict"]["network.last.bias"], training.last["state_dict"]["network.last.bias"])


def test_a_value_that_is_not_finite_is_never_best(training, monkeypatch):
    validation_step = Model.validation_step

    def spoil(self, batch, number):
        validation_step(self, batch, number)
        if self.trainer.current_epoch != 1:
            self.validation_sums += math.nan

    monkeypatch.setattr(Model, "validation_step", spoil)
    training.go()
    best = [saved.epoch for saved in training.all(CheckpointSaved) if saved.rank]
    assert best == [2]
    assert training.last["epoch"] == 2


def test_a_saved_checkpoint_tells_the_size_and_the_time_of_its_file(improving):
    assert len(improving.info.checkpoints) == 3
    for saved in improving.info.checkpoints:
        found = Path(saved.path).stat()
        assert saved.size_bytes == found.st_size
        assert datetime.fromisoformat(saved.time).timestamp() == int(found.st_mtime)


def test_the_record_says_what_the_run_was(improving):
    body = json.loads((improving.folder / "run.json").read_text())
    assert body["status"] == "finished"
    assert body["reason"] == "all 4 epochs are done"
    assert body["seed"] == body["config"]["seed"] == 42
    assert body["device"].startswith("CPU (")
    assert body["device"].endswith("as asked for")
    assert body["epochs_done"] == 4
    assert body["best_checkpoint"] == f"checkpoints/{improving.checkpoints[1]}"
    assert body["metrics"]["poisson_val_loss"] == improving.column("poisson_val_loss")[-1]
    assert {"torch", "lightning", "ptycho"} <= set(body["versions"])
    assert body["started"] < body["ended"]
    assert [saved["rank"] for saved in body["checkpoints"]] == [1, 2, 0]


def test_a_scan_in_a_file_is_known_again_by_its_fingerprint(training, tmp_path):
    write_scan(SCAN, tmp_path / "scan.npz", "ptychopinn")
    training.go(scan=read_scan(tmp_path / "scan.npz"), max_epochs=1)
    body = json.loads((training.folder / "run.json").read_text())
    assert body["scan"]["path"] == str(tmp_path / "scan.npz")
    assert body["scan"]["size"] == (tmp_path / "scan.npz").stat().st_size
    assert len(body["scan"]["sha256"]) == 64


def test_a_second_run_in_a_folder_overwrites_nothing(training):
    training.go(max_epochs=1)
    before = {path: path.read_bytes() for path in training.folder.rglob("*") if path.suffix in (".csv", ".ckpt")}
    training.go(max_epochs=1, seed=7)
    after = {path.read_bytes() for path in training.folder.rglob("*") if path.is_file()}
    assert len(before) == 3
    assert set(before.values()) <= after
    assert (training.folder / "lightning_logs/version_1/metrics.csv").is_file()


def test_events_come_in_order_and_are_in_the_folder(improving):
    kinds = [type(event) for event in improving.events if not isinstance(event, RefinementChecked | Judged)]
    epoch = [StageChanged, BatchDone, BatchDone, BatchDone, StageChanged, EpochDone, CheckpointSaved]
    assert kinds[:2] == [StageChanged, RunStarted]
    assert kinds[2:10] == [*epoch, CheckpointSaved]
    assert kinds[-9:-2] == [*epoch[1:], CheckpointRemoved]
    assert len(improving.ends) == 1
    lines = (improving.folder / "events.jsonl").read_text().splitlines()
    assert lines == [to_json(event) for event in improving.events]


def test_what_is_told_of_a_step_is_its_row_of_the_metrics(improving):
    steps = improving.all(BatchDone)
    assert [event.step for event in steps] == [int(row["step"]) for row in improving.rows if row["grad_norm"]]
    for name in STEP_METRICS:
        assert [event.metrics[name] for event in steps] == improving.column(name)


def test_another_scan_validates(training):
    training.go(test_scan=SCAN, val_fraction=0, max_epochs=1)
    assert training.column("poisson_val_loss")
    assert training.info.test_scan.shape == (36, 16, 16)
    assert training.info.validation_indexes == ()


def test_training_works_outside_the_main_thread(training):
    def work():
        training.go(max_epochs=1, warm_start_epochs=1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert training.info.status == "finished"


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_running_and_no_global_setting_is_changed(training, monkeypatch, fails):
    def state():
        return {
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "fill": torch.utils.deterministic.fill_uninitialized_memory,
            "benchmark": torch.backends.cudnn.benchmark,
            "dtype": torch.get_default_dtype(),
            "torch threads": torch.get_num_threads(),
            "gradients": torch.is_grad_enabled(),
            "warnings": list(warnings.filters),
            "torch random": torch.get_rng_state().tolist(),
            "numpy random": np.random.get_state()[1].tolist(),  # noqa: NPY002
        }

    before, threads = state(), set(threading.enumerate())
    if fails:
        monkeypatch.setattr(Model, "training_step", failing_at(4, ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError):
            training.go()
    else:
        training.go()
    assert state() == before
    assert set(threading.enumerate()) <= threads


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "ran out of memory; .* Try a smaller batch_size, gridsize"),
        (MemoryError(), "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), "ran out of memory"),
        (OSError(errno.EIO, "Input/output error", "/data/scan.h5"), r"Input/output error \(/data/scan.h5\)"),
        (InputError("scan.h5: 'data' cannot be read"), "scan.h5: 'data' cannot be read"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "Try num_workers 0"),
        (RuntimeError("[tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:34701"), "another of the processes"),
    ],
)
def test_a_failure_is_one_sentence_and_keeps_what_was_saved(training, monkeypatch, error, sentence):
    monkeypatch.setattr(Model, "training_step", failing_at(4, error))
    with pytest.raises(TrainingError, match=sentence) as raised:
        training.go()
    (end,) = training.ends
    assert end == RunFailed(str(training.folder), str(raised.value))
    assert "\n" not in end.message
    assert raised.value.exit_code == 3
    info = read_run(training.folder)
    assert (info.status, info.reason) == ("failed", end.message)
    assert training.last["epoch"] == 0


def test_a_defect_of_our_own_is_recorded_in_one_line_and_passed_on(training, monkeypatch):
    monkeypatch.setattr(Model, "training_step", failing_at(4, ZeroDivisionError("two\nlines")))
    with pytest.raises(ZeroDivisionError):
        training.go()
    assert read_run(training.folder).reason == "internal error: ZeroDivisionError: two lines"


def test_a_full_disk_ends_the_run_and_leaves_no_part_of_a_file(training, monkeypatch):
    write = Path.write_bytes

    def fill(path, data):
        if "epoch=02" in path.name:
            write(path, b"some")
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(TrainingError, match=r"cannot write .*epoch=02.*: No space left on device"):
        training.go()
    assert read_run(training.folder).status == "failed"
    assert [name[:8] for name in training.checkpoints] == ["epoch=01", "last.ckp"]
    assert training.last["epoch"] == 0


def test_a_run_whose_end_cannot_be_written_down_has_failed_all_the_same_and_goes_on(training, monkeypatch):
    def fill(path, value):
        if (training.folder / "checkpoints/last.ckpt").exists():
            raise PtychoError("no room")
        write_json(path, value)

    with monkeypatch.context() as patch:
        patch.setattr("ptycho_core.runs.run.write_json", fill)
        with pytest.raises(PtychoError, match="no room"):
            training.go()
        info = read_run(training.folder)
        assert (info.status, info.reason, info.epochs_done) == ("failed", "no room", 1)
    training.go(resume=True)
    assert read_run(training.folder).status == "finished"


def test_a_checkpoint_that_does_not_read_back_never_replaces_a_good_one(training, monkeypatch):
    save = torch.save

    def cut(body, file):
        save(body, file)
        if body["epoch"] == 1:
            file.truncate(1000)

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(TrainingError, match="what was written does not read back"):
        training.go(checkpoint_save_top_k=0)
    assert training.last["epoch"] == 0


def test_a_scan_that_is_damaged_while_another_process_reads_it_is_named(training, tmp_path, monkeypatch):
    path = tmp_path / "scan.cxi"
    write_scan(SCAN, path, "cxi")
    scan = read_scan(path)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)

    def damage(event):
        if isinstance(event, RunStarted):
            os.truncate(path, 2000)

    with pytest.raises(TrainingError, match=r"^\S*scan.cxi is truncated"):
        training.go(scan=scan, on=damage, num_workers=1)
    (end,) = training.ends
    assert "\n" not in end.message
    assert read_run(training.folder).status == "failed"


def test_an_interrupt_is_recorded_and_passed_on(training, monkeypatch):
    monkeypatch.setattr(Model, "training_step", failing_at(4, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        training.go()
    (end,) = training.ends
    assert end.status == read_run(training.folder).status == "interrupted"


def test_what_is_wrong_is_said_before_anything_is_begun(training, tmp_path):
    reaching = SCAN.replace(positions=SCAN.positions + 50)
    for settings, sentence in [
        ({"gridsize": 7}, "gridsize 7 groups 49 patterns"),
        ({"engine": "direct", "test_scan": reaching}, "the test scan reaches beyond it"),
    ]:
        with pytest.raises(InputError, match=sentence):
            training.go(**settings)
    assert not training.folder.exists()
    assert training.events == []


def test_a_callback_of_the_caller_is_called_like_our_own(training):
    counting = CountsBatches()
    training.go(callbacks=[counting])
    assert counting.batches == list(range(1, 10))


def test_a_stop_by_a_callback_of_the_caller_is_obeyed_after_the_same_batch(training):
    counting = CountsBatches(stop_after=2)
    training.go(callbacks=[counting], stop=counting.stop)
    assert counting.batches == [1, 2]
    assert (training.info.status, training.info.reason) == ("stopped", "enough")


def test_a_handler_that_fails_ends_the_run_as_failed(training):
    def fail(event):
        if isinstance(event, EpochDone):
            raise LookupError("nobody listens")

    with pytest.raises(LookupError):
        training.go(on=fail)
    assert read_run(training.folder).status == "failed"
    assert len(training.ends) == 1


def test_a_model_that_ends_by_itself_says_why(training, monkeypatch):
    def enough(self):
        if self.current_epoch == 1:
            self.ended, self.trainer.should_stop = "two epochs are enough", True

    monkeypatch.setattr(DirectModel, "on_train_epoch_end", enough)
    info = training.go(engine="direct", max_epochs=5).info
    assert (info.status, info.reason, info.epochs_done) == ("finished", "two epochs are enough", 2)
