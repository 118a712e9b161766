"""What commands that train nothing print, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base import events
from ptycho_core.cli import output
from tests.helpers.run_folders import start

TRAIN = ["train", "--train_data_file", "scan.npz", "--output_dir", "out"]


def test_a_scan_is_inspected_for_people_and_programs(scan_path, tmp_path, capsys):
    assert cli.main(["inspect", str(scan_path), "--plot", str(tmp_path / "scan.png")]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "36 of 16 x 16 pixels" in shown.err
    assert (tmp_path / "scan.png").is_file()
    assert cli.main(["inspect", str(scan_path), "--json", "--set", "energy_ev=9000"]) == 0
    assert json.loads(capsys.readouterr().out)["geometry"]["energy_ev"] == 9000


def test_inspecting_a_scan_that_cannot_be_reconstructed_exits_with_2(scan_path, tmp_path, capsys):
    with np.load(scan_path) as file:
        arrays = dict(file)
    np.savez(tmp_path / "still.npz", **(arrays | {"xcoords": np.zeros(36), "ycoords": np.zeros(36)}))
    assert cli.main(["inspect", str(tmp_path / "still.npz")]) == 2
    assert "all 36 positions are identical" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.24, "8.2 s"), (65, "1 min 5 s"), (119.7, "2 min 0 s"), (11400, "3 h 10 min")]
)
def test_times_read_as_they_are_said(seconds, text):
    assert output.duration(seconds) == text


@pytest.fixture
def folder_of_runs(tmp_path):
    run = start(tmp_path / "one", preset="quick")
    run.record(events.EpochDone(5, 10, {"poisson_val_loss": 0.625}, 1.0))
    run.record(events.RunFinished("", "stopped", "stopped by Ctrl-C", None, {"poisson_val_loss": 0.625}))
    (tmp_path / "two").mkdir()
    (tmp_path / "two/run.json").write_text("{")
    return tmp_path


def test_runs_are_listed_for_people(folder_of_runs, capsys):
    assert cli.main(["runs", str(folder_of_runs)]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    one, two = (line for line in shown.err.splitlines() if str(folder_of_runs) in line)
    for part in ("one", "stopped", "scan.npz", "quick", "5/50", "poisson_val_loss 0.6250"):
        assert part in one
    assert "broken" in two


def test_runs_are_listed_for_programs(folder_of_runs, capsys):
    assert cli.main(["runs", str(folder_of_runs), "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    one, two = json.loads(shown.out)
    assert one["folder"] == str(folder_of_runs / "one")
    assert (one["status"], one["epochs"], one["max_epochs"], one["best"]) == ("stopped", 5, 50, 0.625)
    assert two["status"] == "broken"


def test_reconstructions_of_other_scans_are_listed_beside_runs(tmp_path, capsys):
    place = tmp_path / "second/reconstruction"
    place.mkdir(parents=True)
    (place / "metrics.json").write_text('{"checkpoint": "/models/best.ckpt", "free_misfit": 1.25}')
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["folder"], row["status"], row["free_misfit"]) == (str(tmp_path / "second"), "applied", 1.25)
    assert cli.main(["runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().err
    for part in ("second", "applied", "of /models/best.ckpt", "free_misfit 1.2500"):
        assert part in shown


def test_a_scan_is_simulated_and_converted(tmp_path, capsys):
    spec = ["--size", "16", "--n-patterns=20", "--probe", "flat_top", "--no-photon-noise"]
    assert cli.main(["simulate", str(tmp_path / "scan.npz"), *spec, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["spec"]["probe"] == "flat_top"
    assert made["spec"]["photon_noise"] is False
    assert Path(made["truth"]).is_file()
    assert cli.main(["convert", made["scan"], str(tmp_path / "scan.cxi"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(tmp_path / "scan.cxi")]
    assert (tmp_path / "scan.cxi").is_file()
