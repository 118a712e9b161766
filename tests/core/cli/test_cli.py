"""The command line: its flags, how settings are layered, what it prints and how it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptycho_core import __version__, cli
from ptycho_core.base import events
from ptycho_core.base.build_config import build_config
from ptycho_core.base.choices import PRESETS
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, InputError, Problem
from ptycho_core.cli import arguments, output, parser, train
from ptycho_core.runs import run as runs
from tests.helpers.commands import PTYCHO, ptycho
from tests.helpers.run_folders import start

TRAIN = ["train", "--train_data_file", "scan.npz", "--output_dir", "out"]


def config_of(*words):
    return build_config(train.settings(cli.parse([*TRAIN, *words])))


def test_version():
    done = ptycho("--version")
    assert (done.returncode, done.stdout) == (0, f"ptycho {__version__}\n")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "--gridsize", "nine"]])
def test_help_and_wrong_flags_of_training_load_nothing_heavy(words):
    code = f"""
import sys
from ptycho_core.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print(sorted({{"numpy", "scipy", "h5py", "torch", "lightning", "rich"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: ptycho {command}" in capsys.readouterr().out


def test_the_help_tells_of_every_setting_what_it_does_is_valid_and_its_default(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    for name, setting in KNOBS.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert "".join(setting.help.split()) in shown
        assert "".join(setting.valid().split()) in shown
    assert "default0.001" in shown
    assert "defaultauto" in shown
    assert "defaultcsv" in shown


OTHER = {int: "3", float: "0.25"}


@pytest.mark.parametrize("name", KNOBS)
@pytest.mark.parametrize("joint", ["-", "_"])
@pytest.mark.parametrize("equals", [True, False])
def test_every_setting_is_a_flag_with_dashes_and_underscores(name, joint, equals):
    setting = KNOBS[name]
    text = OTHER.get(setting.kind) or ("false" if setting.kind is bool else (setting.choices or ("text",))[-1])
    flag = "--" + name.replace("_", joint)
    words = [f"{flag}={text}"] if equals else [flag, text]
    assert train.settings(cli.parse([*TRAIN, *words])) == {name: setting.parse(name, text)}


def test_flags_that_are_not_given_set_nothing():
    assert train.settings(cli.parse(TRAIN)) == {}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--deterministic"], True),
        (["--no-deterministic"], False),
        (["--no_deterministic"], False),
        (["--deterministic=false"], False),
        (["--deterministic", "--num-workers", "0"], True),
    ],
)
def test_switches_are_said_in_several_ways(words, value):
    assert train.settings(cli.parse([*TRAIN, *words]))["deterministic"] is value


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--neighbor-count", "auto"], "neighbor_count", None),
        (["--n_images", "all"], "n_groups", None),
        (["--n-images", "64"], "n_groups", 64),
        (["--gradient-clip-val=none"], "gradient_clip_val", None),
        (["--pin-memory"], "pin_memory", True),
        (["--pin-memory", "auto"], "pin_memory", None),
        (["--devices", "auto"], "devices", "auto"),
        (["--logger", "csv,tensorboard"], "logger", ("csv", "tensorboard")),
        (["--checkpoint-save-top-k", "-1"], "checkpoint_save_top_k", -1),
    ],
)
def test_words_other_names_and_lists_are_understood(words, name, value):
    assert train.settings(cli.parse([*TRAIN, *words])) == {name: value}


def test_flags_win_over_the_file_which_wins_over_the_preset(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"version": 1, "preset": "best", "gridsize": 5, "batch_size": 4}))
    config = config_of("--config", str(file), "--batch-size", "8")
    assert config == Config(
        **{**vars(build_config({"preset": "best"})), "gridsize": 5, "batch_size": 8},
    )
    assert config.model_width == PRESETS["best"]["model_width"] != Config().model_width
    assert (
        config_of("--config", str(file), "--preset", "quick", "--gridsize", "2").max_epochs
        == PRESETS["quick"]["max_epochs"]
    )


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


def test_an_error_shows_its_traceback_only_to_those_who_debug(tmp_path):
    plain, debugged = ptycho("runs", tmp_path / "gone"), ptycho("runs", tmp_path / "gone", "--debug")
    assert (plain.returncode, debugged.returncode) == (2, 2)
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debugged.stderr
    assert debugged.stderr.endswith(plain.stderr)


def test_a_defect_of_our_own_is_one_sentence_and_exit_code_3(tmp_path, monkeypatch, capsys):
    def fail(root):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(runs, "find_runs", fail)
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
    monkeypatch.setattr(runs, "find_runs", lambda root: os.kill(os.getpid(), signal.SIGINT))
    assert cli.main(["runs", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "ptycho: interrupted\n"


def test_a_reader_that_has_left_is_no_error(tmp_path):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as nobody_listens:
        done = subprocess.run([*PTYCHO, "runs", "--json", tmp_path], stdout=nobody_listens, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_grouping_problems_come_one_per_line_with_the_flags_that_fix_them(scan_path, tmp_path):
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
    ("seconds", "text"), [(8.24, "8.2 s"), (65, "1 min 5 s"), (119.7, "2 min 0 s"), (11400, "3 h 10 min")]
)
def test_times_read_as_they_are_said(seconds, text):
    assert output.duration(seconds) == text


@pytest.fixture
def folder_of_runs(tmp_path):
    run = start(tmp_path / "one", preset="quick")
    run.record(events.EpochDone(4, 10, {"poisson_val_loss": 0.625}, 1.0))
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


def test_values_after_a_double_dash_are_left_as_they_are():
    assert parser.dashed(["--a_b=c_d", "e_f", "--", "--g_h"]) == ["--a-b=c_d", "e_f", "--", "--g_h"]


def test_set_takes_pairs_and_keeps_equals_signs_of_the_value():
    args = cli.parse([*TRAIN, "--set", "data=counts", "--set=entry=a=b"])
    assert arguments.given_source(args, args.train_data_file).settings == {"data": "counts", "entry": "a=b"}
    with pytest.raises(InputError):
        arguments.given_source(cli.parse([*TRAIN, "--set", "=3"]), Path("scan.npz"))
