"""How the command line tells of a mistake, a problem or a defect, and how it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ptycho_core import cli
from ptycho_core.base.errors import Fix, Problem
from ptycho_core.cli import output
from tests.helpers.commands import PTYCHO

TRAIN = ["train", "--train_data_file", "scan.npz", "--output_dir", "out"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "arguments are required: COMMAND"),
        (["tarin"], "invalid choice: 'tarin'"),
        ([*TRAIN, "--gridsiz", "3"], "does not know --gridsiz; did you mean --gridsize?"),
        ([*TRAIN, "--zzz"], "does not know --zzz; see ptycho train --help"),
        ([*TRAIN, "--gridsize"], "expected one argument"),
        ([*TRAIN, "--gridsize", "9"], "gridsize must be a whole number from 1 to 8"),
        ([*TRAIN, "--seed", "-1"], "seed must be a whole number from 0 to 4294967295"),
        ([*TRAIN, "--no-logger"], "did you mean --logger?"),
        ([*TRAIN, "--logger", "csv,none"], "logger none cannot be combined"),
        ([*TRAIN, "--config", "gone.json"], "cannot read the config file gone.json"),
        ([*TRAIN], "scan.npz"),
        ([*TRAIN, "--set", "data"], "--set needs KEY=VALUE (it is 'data')"),
        (["train", "--output_dir", "out"], "needs --train_data_file SCAN and --output_dir OUT"),
        (["train", "--resume", "gone"], "there is no run in"),
        (["train", "--resume", "out", "--output_dir", "out"], "leave out the other flags"),
        (["reconstruct", "gone"], "say which scan to reconstruct with --scan"),
        (["reconstruct", "gone", "--accelerator", "tpu"], "accelerator must be auto, cpu, gpu, cuda or mps"),
        (["export", "--format", "png", "gone", "x.png"], "there is no folder gone"),
        (["reconstruct", "gone", "--polish", "many"], "polish must be a whole number of at least 0 or auto"),
        (["reconstruct", "gone", "--polish", "-3"], "polish must be a whole number of at least 0 or auto"),
        (["convert", "gone.npz", "x.cxi"], "gone.npz"),
        (["convert", "gone.npz", "x.h5"], "x.h5 must end in .npz or .cxi"),
        (["simulate", "x.npz", "--n_patterns", "0"], "n_patterns must be a whole number from 1"),
        (["runs", "gone"], "there is no folder gone"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert sentence in shown.err
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_shows_its_traceback_only_to_those_who_debug(tmp_path, ptycho):
    command = [*PTYCHO, "runs", tmp_path / "gone", "--debug"]
    plain, debugged = ptycho("runs", tmp_path / "gone"), subprocess.run(command, capture_output=True, text=True)
    assert (plain.returncode, debugged.returncode) == (2, 2)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugged.stderr
    assert debugged.stderr.endswith(plain.stderr)


def test_a_defect_of_our_own_is_one_sentence_and_exit_code_3(tmp_path, monkeypatch, capsys):
    def fail(root):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("ptycho_core.runs.listing.find_listed", fail)
    assert cli.main(["runs", str(tmp_path)]) == 3
    assert capsys.readouterr().err == (
        "error: internal error: ZeroDivisionError: two lines; run again with --debug for its traceback\n"
    )


def test_a_flag_that_the_engine_does_not_use_is_warned_of(scan_path, tmp_path, capsys):
    words = ["train", "--train_data_file", str(scan_path), "--output_dir", str(tmp_path / "out")]
    refused = ["--val-fraction", "0"]  # so that nothing is trained
    assert cli.main([*words, "--engine", "direct", "--gridsize", "3", "--seed", "1", *refused]) == 2
    warned = [line for line in capsys.readouterr().err.splitlines() if "does not use" in line]
    assert warned == ["warning: gridsize changes nothing: the direct engine does not use it"]
    assert cli.main([*words, "--gridsize", "2", *refused]) == 2
    assert "does not use" not in capsys.readouterr().err


def test_an_interrupt_outside_of_training_leaves_with_130(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ptycho_core.runs.listing.find_listed", lambda root: os.kill(os.getpid(), signal.SIGINT))
    assert cli.main(["runs", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "ptycho: interrupted\n"


def test_a_reader_that_has_left_is_no_error(tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as nobody_listens:
        done = subprocess.run([*PTYCHO, "runs", "--json", tmp_path], stdout=nobody_listens, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_grouping_problems_come_one_per_line_with_the_flags_that_fix_them(scan_path, tmp_path, ptycho):
    done = ptycho(
        "train",
        "--train-data-file",
        scan_path,
        "--output-dir",
        tmp_path / "out",
        "--gridsize=3",
        "--neighbor_count=4",
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: gridsize 3 groups 9 patterns, so neighbor count must be at least 9 (it is 4) "
        "(put right by --neighbor-count 9 or --gridsize 2)"
    ]
    assert not (tmp_path / "out").exists()


def test_a_problem_of_the_scan_is_put_right_by_a_setting_for_its_reader():
    problem = Problem("positions", "hardly a step", fixes=(Fix("metres", "position_unit", "m"),))
    assert output.problem_line(problem) == "error: hardly a step (put right by --set position_unit=m)"


@pytest.mark.parametrize(
    ("field", "value", "flag"),
    [
        ("--region", "-1,0,9,9", "--region=-1,0,9,9"),
        ("--region", "", "--region"),
        ("distance_m", None, "--set distance_m=NUMBER"),
        ("propagator", None, "--propagator auto"),
        ("propagator", "far", "--set propagator=far"),
        ("logger", ("csv", "mlflow"), "--logger csv,mlflow"),
    ],
)
def test_a_problem_names_the_flag_that_puts_it_right_as_it_is_typed(field, value, flag):
    problem = Problem("positions", "far away", fixes=(Fix("do this", field, value),))
    assert output.problem_line(problem) == f"error: far away (put right by {flag})"


def test_each_problem_has_a_line_and_only_errors_prevent_the_run(capsys):
    warning = Problem("val_fraction", "nothing validates", "warning")
    error = Problem("gridsize", "too large", fixes=(Fix("gridsize 2", "gridsize", 2),))
    assert not output.report_problems([warning])
    assert output.report_problems([warning, error])
    assert capsys.readouterr().err.splitlines() == [
        "warning: nothing validates",
        "warning: nothing validates",
        "error: too large (put right by --gridsize 2)",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export nowhere model.zip", "there is no folder nowhere"),
        ("export nowhere picture.png --format png", "there is no folder nowhere"),
        ("export . model.zip", "there is no run in "),
        ("reconstruct nope", "there is no folder nope, so say which scan"),
        ("runs nope", "there is no folder nope"),
        ("runs --bogus", "ptycho runs does not know --bogus; see ptycho runs --help"),
        ("train --bogus 3", "ptycho train does not know --bogus; see ptycho train --help"),
        ("train --max-epoch 3", "ptycho train does not know --max-epoch; did you mean --max-epochs?"),
        # Said before the scan is read, which is not there either.
        ("train --train_data_file none.npz --output_dir taken", "taken is a file: name a folder for the run"),
        ("train --train_data_file none.npz --output_dir taken/run", "taken is a file: name a folder for the run"),
    ],
)
def test_what_is_missing_or_in_the_way_is_named(tmp_path, monkeypatch, capsys, line, said):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file")
    assert cli.main(line.split()) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert said in shown


def test_an_accelerator_that_is_not_there_is_told_before_the_scan_is_read(tmp_path, capsys):
    if sys.platform == "darwin":
        pytest.skip("this machine may have the accelerator that the test wants to be missing")
    line = ["train", "--train_data_file", str(tmp_path / "none.npz"), "--output_dir", str(tmp_path / "out")]
    assert cli.main([*line, "--accelerator", "mps"]) == 2
    assert "accelerator mps is not available" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["simulate {here}/a.npz --size 16 --n-patterns 12", "convert {scan} {here}/b.cxi"])
def test_files_are_written_over_only_where_that_is_asked_for(scan_path, tmp_path, capsys, line):
    words = line.format(here=tmp_path, scan=scan_path).split()
    assert cli.main(words) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert cli.main(words) == 2
    assert "there already: name another target, or add --overwrite" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert cli.main([*words, "--overwrite"]) == 0
