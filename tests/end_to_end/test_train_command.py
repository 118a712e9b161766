"""`ptycho train` as a process among others: several of them, signals, sudden death, and what it prints."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptycho_core.engines.models.base import Model
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import read_metrics, read_run
from ptycho_core.simulation import simulate
from tests.helpers import specs
from tests.helpers.commands import at_step, call

SMALL = (
    "--model-width 2 --warm-start-epochs 1 --batch-size 4 --n-groups 16 --accelerator cpu --preview-seconds 0 "
    "--scheduler constant --physics-schedule off --no-probe-search"
)
OURS = ("warning: ", "loading", "warming up", "CPU (", "epoch ", "finished: ", "stopped: ", "best checkpoint: ")
OURS += (
    "Refined positions ",
    "One factor of brightness ",
    "A probe that differs ",
    "Patterns kept apart ",
    "The picture is bent ",
    "two halves of the scan ",
    "the network's picture ",
    "the solver's picture",
    "resume with: ",
    "reconstruct with: ",
    "error: ",
    "verdict: ",
    "  ",  # why
)
MAIN = "import sys\nfrom ptycho_core.cli import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"
DIES = """
import os, signal
from ptycho_core.base import events
from ptycho_core.engines import training

train = training.train


def die_at_step_6(*args, events, **options):
    def hear(event):
        events(event)
        if getattr(event, "step", None) == 6:
            os.kill(os.getpid(), signal.SIGKILL)

    return train(*args, events=hear, **options)


training.train = die_at_step_6
"""


def start(script, line):
    """Start the command in a process of its own, as an installed one would be: from a file."""
    with open("ptycho.py", "w") as file:
        file.write(script)
    return subprocess.Popen(
        [sys.executable, "ptycho.py", *shlex.split(line)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def rows(folder):
    with open(folder / "lightning_logs/version_0/metrics.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "patterns_per_second"} for row in csv.DictReader(file)]


def test_two_processes_learn_what_one_does_resume_and_stop_together(here, capfd):
    # Two processes step on the mean of two batches, as one does that accumulates them.
    line = f"train --train_data_file scan.npz {SMALL} --max-epochs 2"
    assert call(f"{line} --output_dir one --accumulate-grad-batches 2") == 0
    with start(MAIN, f"{line} --output_dir two --devices 2 --strategy ddp") as together:
        shown = together.stderr.read()
    assert together.returncode == 0
    assert [line for line in shown.splitlines() if not line.startswith(OURS)] == []
    assert len(shown.splitlines()) == len(set(shown.splitlines()))  # the second process repeats nothing
    for name in ("poisson_val_loss", "mae_val_loss", "poisson_train_loss_epoch"):
        one, two = (read_metrics(here / folder)[name] for folder in ("one", "two"))
        assert two[two == two].tolist() == pytest.approx(one[one == one].tolist(), rel=1e-4)

    with start(MAIN, "train --resume two --max-epochs 3000") as together:
        for told in together.stderr:
            if told.startswith("epoch 4/"):
                os.killpg(together.pid, signal.SIGINT)  # as a terminal does
        together.wait()
    assert together.returncode == 130
    info = read_run(here / "two")
    assert (info.status, info.reason) == ("stopped", "stopped by Ctrl-C")
    epochs = read_metrics(here / "two")["epoch"]
    assert sorted(set(epochs)) == list(range(1, info.epochs_done + 1))


def test_two_processes_of_torchrun_learn_of_several_scans_what_one_does(here):
    # Three scans: the processes cannot share these evenly when they validate.
    for seed in (1, 2):
        scan = simulate(dataclasses.replace(specs.SMALL, seed=seed)).scan
        write_scan(scan, here / f"more-{seed}.npz", "ptychopinn")
    scans = "--train_data_file scan.npz --train_data_file more-1.npz --train_data_file more-2.npz"
    line = f"train {scans} {SMALL} --max-epochs 2"
    assert call(f"{line} --output_dir one --accumulate-grad-batches 2") == 0
    (here / "ptycho.py").write_text(MAIN)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "ptycho.py"]
    words = shlex.split(f"{line} --output_dir two --devices 2 --strategy ddp")
    done = subprocess.run([*torchrun, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = (read_run(here / folder) for folder in ("one", "two"))
    assert two.scan_names == one.scan_names
    for name in ("poisson_val_loss", *(f"poisson_val_loss_{place}" for place in (1, 2, 3)), "mae_val_loss"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-4), name


def test_a_run_that_is_killed_in_an_epoch_is_interrupted_and_ends_like_one_that_is_not(here, capsys):
    line = f"train --train_data_file scan.npz {SMALL} --max-epochs 3"
    assert call(f"{line} --output_dir whole") == 0
    with start(DIES + MAIN, f"{line} --output_dir killed") as killed:
        killed.stderr.read()
    assert killed.returncode == -signal.SIGKILL
    assert read_run(here / "killed").status == "interrupted"
    assert call("train --resume killed --gridsize 3") == 2
    assert "gridsize cannot change when a run is resumed" in capsys.readouterr().err
    assert call("train --resume killed --json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "finished"
    assert Path(result["best_checkpoint"]).is_file()
    assert rows(here / "killed") == rows(here / "whole")
    names = [sorted(path.name for path in (here / run / "checkpoints").iterdir()) for run in ("killed", "whole")]
    assert names[0] == names[1]


def test_sigterm_ends_in_good_order(here, monkeypatch, capfd):
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert call(f"train --train_data_file scan.npz --output_dir out {SMALL} --max-epochs 9") == 130
    info = read_run(here / "out")
    assert (info.status, info.reason, info.epochs_done) == ("stopped", "stopped by SIGTERM", 2)
    assert info.checkpoints[-1].step == 6
    assert "resume with: ptycho train --resume" in capfd.readouterr().err


def test_the_second_ctrl_c_leaves_at_once_and_the_third_at_any_price(here, monkeypatch, capfd):
    for count, status in ((2, "cancelled"), (3, "interrupted")):
        with monkeypatch.context() as patch:
            at_step(patch, 5, lambda count=count: [os.kill(os.getpid(), signal.SIGINT) for _ in range(count)])
            assert call(f"train --train_data_file scan.npz --output_dir out {SMALL} --max-epochs 9") == 130
        info = read_run(here / "out")
        assert info.status == status
        assert info.checkpoints[-1].step == 4
    assert capfd.readouterr().err.endswith("ptycho: interrupted\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_is_followed_and_ended_by_another_process_through_its_folder(here, capfd):
    assert call("follow out") == 2
    assert "there is no run in" in capfd.readouterr().err
    with start(
        MAIN, f"train --train_data_file scan.npz --output_dir out {SMALL} --max-epochs 3000 --quiet"
    ) as training:
        while not (here / "out" / "run.json").exists() or not read_run(here / "out").epochs_done:
            assert training.poll() is None
            time.sleep(0.05)
        assert call("stop out") == 0
        assert "was asked to stop" in capfd.readouterr().err
        assert call("follow out --json") == 0
        training.communicate()  # which says what came of it after its record does
    shown = capfd.readouterr()
    result = json.loads(shown.out)
    assert result["status"] == "stopped"
    assert result["reason"].startswith("stopped by the operator on ")
    assert f"epoch {result['epochs']}/3000" in shown.err
    assert training.returncode == 130
    assert call("stop out --now") == 2
    assert "does not go on: it is stopped" in capfd.readouterr().err


def test_a_training_that_diverges_exits_with_3_and_says_what_to_try(here, monkeypatch, capsys):
    whole = Model.training_step
    monkeypatch.setattr(Model, "training_step", lambda *given: whole(*given) * float("nan"))
    line = f"train --train_data_file scan.npz --output_dir out {SMALL} --warm-start-epochs 0 --quiet"
    assert call(line) == 3
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1
    assert said[0].startswith(
        "error: training diverged: the loss is not a number in epoch 1, step 3, also at a hundred"
    )
    assert read_run(here / "out").status == "failed"


def test_an_accelerator_that_is_not_there_exits_with_2_before_anything_is_made(here, capsys):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has the accelerator that the test wants to be missing")
    assert call(f"train --train_data_file scan.npz --output_dir out {SMALL} --accelerator mps") == 2
    assert "accelerator mps is not available on this machine: there is " in capsys.readouterr().err
    assert not (here / "out").exists()


def test_quiet_prints_results_alone_and_json_is_all_of_standard_output(here, capfd):
    line = f"train --train_data_file scan.npz --output_dir out {SMALL} --max-epochs 1 --quiet --json"
    assert call(line) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["epochs"] == 1
    assert not any(said.startswith(("loading", "epoch ", "CPU (")) for said in shown.err.splitlines())
