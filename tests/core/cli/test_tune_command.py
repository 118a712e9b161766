"""`ptycho tune`: what it prints of a search, and the command that it proposes."""

from __future__ import annotations

import json
import shlex

import pytest

from ptycho_core import cli
from ptycho_core.base.build_config import read_settings
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.scan.steps import Every
from tests.helpers.training_runs import SCAN

FAST = ["--engine", "direct", "--accelerator", "cpu", "--no-probe-search", "--preview-seconds", "0", "--quiet"]


@pytest.fixture
def scan(tmp_path):
    return write_scan(SCAN, tmp_path / "scan.npz", "ptychopinn")


def test_the_command_of_the_best_trial_reads_the_scan_as_the_trials_did(scan, tmp_path, capsys):
    out = tmp_path / "search"
    words = ["tune", str(scan), "--output-dir", str(out), "--vary", "max_epochs=1,3", "--every=1,2", *FAST]
    assert cli.main([*words, "--set", "energy_ev=8500", "--json"]) == 0
    told = capsys.readouterr()
    rows = json.loads(told.out)
    assert [(row["settings"], row["status"]) for row in rows] == [
        ({"max_epochs": 1}, "finished"),
        ({"max_epochs": 3}, "finished"),
    ]
    (line,) = (line for line in told.err.splitlines() if line.startswith("best: "))
    best = min(rows, key=lambda row: row["deviance"])
    assert line.startswith(f"best: max_epochs {best['settings']['max_epochs']}; for a run of it: ptycho train ")
    args = cli.parse(shlex.split(line.partition("ptycho ")[2]))
    assert (args.steps, args.set) == ((Every(1, 2),), ["energy_ev=8500"])
    assert read_settings(args.config)["max_epochs"] == best["settings"]["max_epochs"]


def test_a_field_that_is_named_is_that_in_which_the_scan_is_read(scan, tmp_path, capsys):
    words = ["tune", str(scan), "--output-dir", str(tmp_path / "out"), "--vary", "max_epochs=1,2", *FAST]
    assert cli.main([*words, "--propagator", "near"]) == 2
    said = capsys.readouterr().err
    assert "leave the setting at auto" not in said
    assert not (tmp_path / "out").exists()


def test_steps_that_need_a_file_have_one_beside_the_search(scan, tmp_path, capsys):
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps({"version": 1, "steps": [{"step": "mask_polygon", "points": "1,1 4,1 1,4"}]}))
    out = tmp_path / "search"
    words = ["tune", str(scan), "--output-dir", str(out), "--vary", "max_epochs=1", "--steps", str(steps), *FAST]
    assert cli.main(words) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("best: "))
    steps.unlink()
    args = cli.parse(shlex.split(line.partition("ptycho ")[2]))
    assert [step.name for step in args.steps] == ["mask_polygon"]
