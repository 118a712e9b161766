"""The flags of the command line, its help, and how settings are layered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ptycho_core import __version__, cli
from ptycho_core.base.build_config import build_config
from ptycho_core.base.choices import PRESETS
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError
from ptycho_core.cli import arguments, parser, train

TRAIN = ["train", "--train_data_file", "scan.npz", "--output_dir", "out"]


def config_of(*words):
    return build_config(train.settings(cli.parse([*TRAIN, *words])))


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"ptycho {__version__}\n")


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
    assert config.model_width == PRESETS["best"]["pinn"]["model_width"] != Config().model_width
    assert (
        config_of("--config", str(file), "--preset", "quick", "--gridsize", "2").max_epochs
        == PRESETS["quick"]["pinn"]["max_epochs"]
    )


def test_values_after_a_double_dash_are_left_as_they_are():
    assert parser.dashed(["--a_b=c_d", "e_f", "--", "--g_h"]) == ["--a-b=c_d", "e_f", "--", "--g_h"]


def test_set_takes_pairs_and_keeps_equals_signs_of_the_value():
    args = cli.parse([*TRAIN, "--set", "data=counts", "--set=entry=a=b"])
    assert arguments.given_source(args, args.train_data_file).settings == {"data": "counts", "entry": "a=b"}
    with pytest.raises(InputError):
        arguments.given_source(cli.parse([*TRAIN, "--set", "=3"]), Path("scan.npz"))
