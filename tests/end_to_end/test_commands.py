"""The commands, from a scan file to an exported checkpoint, on a scan small enough for seconds."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from pathlib import Path

import pytest

from ptycho_core.runs.record import read_metrics, read_run
from tests.helpers.commands import at_step, call

pytestmark = pytest.mark.usefixtures("quick_endings")

SMALL = "--model-width 2 --warm-start-epochs 1 --batch-size 4 --n_images 12 --accelerator cpu --no-probe-search"
COLUMNS = (
    "epoch step learning_rate poisson_train_loss_step poisson_train_loss_epoch poisson_val_loss mae_train_loss "
    "mae_val_loss physics_weight training_stage grad_norm patterns_per_second"
)


def test_the_command_of_the_contract_leaves_what_the_contract_says(here):
    assert (
        call(
            "train --train_data_file scan.npz --test_data_file scan.npz --output_dir out --n_images 64 --gridsize 2 "
            "--max_epochs 6 --batch_size 4 --accelerator auto --deterministic --num-workers 0 --logger csv "
            "--checkpoint-save-top-k 2 --early-stop-patience 5 --model-width 2"
        )
        == 0
    )
    logs = here / "out/lightning_logs/version_0"
    assert (logs / "hparams.yaml").is_file()
    with open(logs / "metrics.csv", newline="") as file:
        assert set(COLUMNS.split()) <= set(next(csv.reader(file)))
    names = {path.name for path in (here / "out/checkpoints").iterdir()}
    assert "last.ckpt" in names
    assert len(names) <= 3
    assert all(re.fullmatch(r"epoch=\d\d-poisson_val_loss=\d+\.\d{4}\.ckpt", name) for name in names - {"last.ckpt"})
    info = read_run(here / "out")
    assert (info.status, info.epochs_done) == ("finished", 6)
    assert info.best_checkpoint.is_file()
    assert info.scan.path == here / "scan.npz"


def test_three_commands_go_from_a_scan_to_an_exported_checkpoint_that_works_elsewhere(here, capsys):
    assert call(f"train --train_data_file scan.npz --output_dir out --gridsize 2 --max-epochs 2 {SMALL}") == 0
    assert call("reconstruct --checkpoint best --scan scan.npz out") == 0
    assert call("export --checkpoint best out model.zip") == 0
    capsys.readouterr()
    assert call("reconstruct --checkpoint model.zip --scan scan.npz elsewhere --json") == 0
    elsewhere = json.loads(capsys.readouterr().out)
    assert call("reconstruct --checkpoint last out --quiet") == 0
    earlier = here / "out/reconstruction/previous/version_0"
    assert f"the reconstruction before it is now in {earlier.relative_to(here)}" in capsys.readouterr().err
    here_metrics = json.loads((earlier / "metrics.json").read_text())
    assert elsewhere["metrics"]["misfit"] == pytest.approx(here_metrics["misfit"], rel=1e-4)
    assert all(Path(path).is_file() for path in elsewhere["files"].values())
    for name, target in (
        ("product", "a.h5"),
        ("cxi", "a.cxi"),
        ("npz", "a.npz"),
        ("tiff", "pictures"),
        ("png", "b"),
        ("page", "a.pdf"),
    ):
        assert call(f"export --format {name} out {target}") == 0
        assert (here / target).exists()


def test_a_second_run_in_a_folder_overwrites_nothing(here):
    for seed in (1, 2):
        line = f"train --train_data_file scan.npz --output_dir out --max-epochs 1 --seed {seed} {SMALL}"
        assert call(line) == 0
    earlier, newest = read_run(here / "out/previous/version_0"), read_run(here / "out")
    assert (earlier.config.seed, newest.config.seed) == (1, 2)
    assert earlier.last_checkpoint.is_file()
    assert newest.last_checkpoint.is_file()
    assert len(read_metrics(earlier.folder)["epoch"]) > 0
    assert len(read_metrics(newest.folder)["epoch"]) > 0


def test_ctrl_c_saves_and_prints_the_command_that_resumes(here, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 7, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert call(f"train --train_data_file scan.npz --output_dir out --max-epochs 3000 {SMALL}") == 130
    shown = capsys.readouterr().err
    stopped = read_run(here / "out")
    assert (stopped.status, stopped.reason) == ("stopped", "stopped by Ctrl-C")
    (command,) = re.findall(r"resume with: ptycho (.*)", shown)
    assert call(f"{command} --max-epochs {stopped.epochs_done + 2}") == 0
    resumed = read_run(here / "out")
    assert (resumed.status, resumed.epochs_done) == ("finished", stopped.epochs_done + 2)
    assert (resumed.log_version, resumed.started) == (stopped.log_version, stopped.started)
    assert resumed.free_indexes == stopped.free_indexes
    epochs = read_metrics(here / "out")["epoch"]
    assert set(epochs) == set(range(1, resumed.epochs_done + 1))
