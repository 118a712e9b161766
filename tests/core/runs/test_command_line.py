"""Runs as commands: what the command line reads from them is what they were made of, and scripts are sound."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base.atomic import write_json
from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import Config
from ptycho_core.base.errors import Fix, InputError
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION
from ptycho_core.cli import arguments, train
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.runs.command_line import JobLimits, Pictured, command_line, job_script, proposed_limits
from ptycho_core.runs.named_scans import named_scans
from ptycho_core.runs.reopening import open_alike
from ptycho_core.scan.mapping import Coordinate, Mapping, Positions
from ptycho_core.scan.steps import Centre, Crop, Every, HotPixels, MaskPolygon, Orient, Region
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation

SETTINGS = {
    "preset": "best",
    "gridsize": 3,
    "neighbor_count": 11,
    "learning_rate": 3e-7,
    "checkpoint_save_top_k": -1,
    "deterministic": False,
    "pin_memory": True,
    "logger": ("csv", "tensorboard"),
    "loss": "poisson",
    "max_time": 12.5,
}
FLAGS = (Centre(), Orient("-y+x"), Crop(12), HotPixels(7.5), Region(-50, -50, 50, 50), Every(2, 1))
POLYGON = MaskPolygon("1,2 3,4.5 6,1")


@pytest.fixture(scope="module")
def scan_path(tmp_path_factory):
    spec = SimulationSpec(size=16, n_patterns=30, step_px=2, jitter_px=0.5)
    return write_simulation(simulate(spec), tmp_path_factory.mktemp("night 3; it's") / "scan.npz")[0]


@pytest.fixture
def scan(scan_path):
    return read_scan(scan_path, settings={"probe": "ignore", "energy_ev": "8800"})


def read_back(command):
    """Return config, scan and folder as `ptycho train` has them."""
    program, *words = shlex.split(command)
    assert program == "ptycho"
    args = cli.parse(words)
    scan = open_scan(arguments.given_source(args, args.train_data_file[0], args.positions))
    return build_config(train.settings(args)), scan, args.output_dir


def same(one, other):
    return (
        (one.source, one.history) == (other.source, other.history)
        and np.array_equal(one.patterns[:], other.patterns[:])
        and np.array_equal(one.positions, other.positions)
    )


@pytest.mark.parametrize(
    ("fix", "changed"),
    [
        (Fix("refine positions", "positions", "refine"), {"positions": "refine"}),
        (Fix("more probe modes", "probe_modes", None), {"probe_modes": None}),
        (Fix("improve the probe", "probe_trainable", True), {"probe_trainable": True}),
        (Fix("slower", "learning_rate", 1e-4), {"learning_rate": 1e-4}),
    ],
)
def test_what_a_verdict_proposes_is_a_whole_command_with_the_settings_of_the_run(scan, tmp_path, fix, changed):
    config = build_config(SETTINGS, probe_trainable=False)
    made, read, folder = read_back(Pictured(config, [scan.source], tmp_path / "a run").line_of(fix))
    assert made == config.replace(**changed)
    assert read.source == scan.source
    assert folder == tmp_path / "a run"


def test_another_engine_is_proposed_without_the_settings_that_it_does_not_use(scan, tmp_path):
    config = build_config(engine="pinn", model_width=8, val_fraction=0.2)
    line = Pictured(config, [scan.source], tmp_path / "run").line_of(Fix("the direct engine", "engine", "direct"))
    assert read_back(line)[0] == build_config(engine="direct", val_fraction=0.2)


def test_a_step_and_an_answer_that_a_verdict_proposes_are_how_the_scan_is_read(scan, tmp_path):
    scan = preprocess(scan, [Every(2, 0)])
    pictured = Pictured(build_config(propagator="far"), [scan.source], tmp_path / "run")
    dropped = read_back(pictured.line_of(Fix("drop 2 patterns", "--drop-patterns", "3 7")))[1]
    assert len(dropped) == len(scan) - 2
    assert dropped.source.steps[:-1] == scan.source.steps
    words = shlex.split(pictured.line_of(Fix("near field", "propagator", "near")))
    assert "propagator=near" in words
    assert "--propagator" not in words


def test_polish_and_the_search_for_the_orientation_are_commands_of_their_own(scan, scan_path, tmp_path):
    pictured = Pictured(build_config(), [scan.source], tmp_path / "a run")
    polish = pictured.line_of(Fix("polish", POLISH, 10))
    assert shlex.split(polish) == ["ptycho", "reconstruct", str(tmp_path / "a run"), "--polish", "10"]
    orient = pictured.line_of(Fix("try all orientations", SEARCH_ORIENTATION, None))
    args = cli.parse(shlex.split(orient)[1:])
    assert args.scan == scan_path
    assert open_scan(arguments.given_source(args, args.scan, args.positions)).source == scan.source


def test_a_run_on_several_scans_is_proposed_on_all_of_them(scan, scan_path, tmp_path):
    other = dataclasses.replace(scan.source, path=tmp_path / "other.npz")
    pictured = Pictured(build_config(), [scan.source, other], tmp_path / "run", 1, tmp_path / "test.npz")
    args = cli.parse(shlex.split(pictured.line_of(Fix("refine positions", "positions", "refine")))[1:])
    assert args.train_data_file == [scan_path, other.path]
    assert args.test_data_file == tmp_path / "test.npz"
    orient = pictured.line_of(Fix("try all orientations", SEARCH_ORIENTATION, None))
    assert cli.parse(shlex.split(orient)[1:]).scan == other.path


@pytest.mark.parametrize(("field", "value"), [("engine", "direct"), ("--drop-patterns", "3 7")])
def test_what_is_for_one_scan_alone_is_proposed_on_the_one_that_is_pictured_in_a_folder_of_its_own(
    scan, tmp_path, field, value
):
    other = dataclasses.replace(scan.source, path=tmp_path / "other.npz")
    pictured = Pictured(build_config(), [scan.source, other], tmp_path / "run", 1)
    args = cli.parse(shlex.split(pictured.line_of(Fix("", field, value)))[1:])
    assert (args.train_data_file, args.output_dir) == ([other.path], tmp_path / "run-other")


@pytest.mark.parametrize("settings", [{}, {"preset": "quick"}, SETTINGS])
@pytest.mark.parametrize("steps", [(), FLAGS], ids=["as read", "preprocessed"])
def test_the_command_line_reads_the_same_config_and_scan(scan, settings, steps, tmp_path):
    scan = preprocess(scan, steps)
    folder = tmp_path / "out put"
    config, read, where = read_back(command_line(settings, scan.source, folder))
    assert config == build_config(settings)
    assert same(read, scan)
    assert where == folder
    assert list(tmp_path.iterdir()) == []


def test_steps_that_no_flag_can_say_go_by_a_file_beside_the_run(scan, tmp_path):
    scan = preprocess(scan, (Crop(12), POLYGON))
    folder = tmp_path / "out"
    ((path, body),) = scan.source.needed_files(folder).items()
    assert path == tmp_path / "out-steps.json"
    write_json(path, body)
    assert same(read_back(command_line({}, scan.source, folder))[1], scan)


def test_a_mapping_goes_by_a_file_beside_the_run(scan_path, tmp_path):
    with np.load(scan_path) as stored:
        patterns, y, x = np.square(stored["diff3d"]), stored["ycoords"], stored["xcoords"]
    np.savez(tmp_path / "own.npz", frames=patterns, down=y, right=x)
    mapping = Mapping("frames", Positions(Coordinate("down", "px"), Coordinate("right", "px")))
    scan = read_scan(tmp_path / "own.npz", mapping=mapping)
    folder = tmp_path / "out"
    ((path, body),) = scan.source.needed_files(folder).items()
    assert path == tmp_path / "out-mapping.json"
    write_json(path, body)
    assert same(read_back(command_line({}, scan.source, folder))[1], scan)


def test_no_file_is_needed_where_flags_do(scan, tmp_path):
    assert preprocess(scan, FLAGS).source.needed_files(tmp_path / "out") == {}


def test_positions_in_a_file_of_their_own_are_named(scan):
    words = shlex.split(
        command_line({}, dataclasses.replace(scan.source, positions_file=Path("positions.csv")), Path("out"))
    )
    assert cli.parse(words[1:]).positions == Path("positions.csv").absolute()


def test_further_scans_are_read_as_the_first_one(scan, scan_path, tmp_path):
    scan, twin = preprocess(scan, (Crop(12),)), tmp_path / "twin.npz"
    twin.write_bytes(scan_path.read_bytes())
    command = command_line({}, scan.source, tmp_path / "out", [twin])
    args = cli.parse(shlex.split(command)[1:])
    first, *further = named_scans(args.train_data_file, args.scans)
    scans = open_alike(arguments.given_source(args, first), further)
    assert same(scans.first, scan)
    (second,) = scans.further
    assert (second.source.path, second.source.settings, second.source.steps) == (
        twin,
        scan.source.settings,
        scan.source.steps,
    )
    apart = dataclasses.replace(scan.source, positions_file=Path("positions.csv"))
    with pytest.raises(InputError, match="do not tell which file has the positions of"):
        command_line({}, apart, tmp_path / "out", [twin])


def test_only_what_differs_from_preset_and_defaults_is_said(scan):
    command = command_line({"preset": "quick", "max_epochs": 20, "seed": 7}, scan.source, Path("out"))
    assert command.endswith("--preset quick --seed 7")


def test_paths_do_not_depend_on_the_working_folder(scan, tmp_path, monkeypatch):
    monkeypatch.chdir(scan.source.path.parent)
    command = command_line({}, read_scan("scan.npz").source, Path("out"))
    folder = scan.source.path.parent
    monkeypatch.chdir(tmp_path)
    _, read, where = read_back(command)
    assert (read.source.path, where) == (folder / "scan.npz", folder / "out")


def test_a_scan_in_memory_has_no_command(tiny_scan):
    with pytest.raises(InputError, match="not read from a file"):
        command_line({}, tiny_scan.source, Path("out"))


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(devices=4, num_nodes=2, strategy="ddp", max_time=90.5, num_workers=12),
        Config(accelerator="cpu"),
    ],
    ids=["one", "many", "cpu"],
)
def test_a_shell_takes_the_script_and_runs_the_command_once(scan, config, tmp_path):
    script = job_script(command_line({"seed": 7}, scan.source, tmp_path / "it's out"), config, JobLimits())
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    says = 'srun() { printf "%s\\n" "$@"; }\n'
    done = subprocess.run(["bash"], input=says + script, capture_output=True, text=True)
    words = shlex.split(command_line({"seed": 7}, scan.source, tmp_path / "it's out"))
    assert done.stdout.splitlines() == words


def asked_for(config, limits=None):
    script = job_script("ptycho train", config, limits or JobLimits())
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.MULTILINE))


def test_a_job_asks_for_a_task_and_a_gpu_for_each_device():
    asked = asked_for(Config(devices=4, num_nodes=2, num_workers=12))
    assert (asked["nodes"], asked["ntasks-per-node"], asked["gpus-per-node"]) == ("2", "4", "4")
    assert int(asked["cpus-per-task"]) == 13
    assert "gpus-per-node" not in asked_for(Config(accelerator="cpu", devices=4))


def test_a_job_lasts_longer_than_training_may_and_has_memory_to_spare():
    limits = proposed_limits(Config(max_time=90.5), 3_000_000_000)
    assert limits.minutes > 91
    assert limits.memory_gb > 4
    assert proposed_limits(Config(), 1).minutes is None


def test_a_job_asks_for_time_memory_and_partition_or_leaves_them_to_the_site():
    asked = asked_for(Config(), JobLimits(30, 7.5, "gpu"))
    assert (asked["time"], asked["mem"], asked["partition"]) == ("30", "7500M", "gpu")
    assert not {"time", "mem", "partition"} & set(asked_for(Config()))
    with pytest.raises(InputError, match="a partition is named by letters"):
        asked_for(Config(), JobLimits(partition="gpu\nrm -rf"))


def test_a_script_names_the_same_by_torchrun():
    one = job_script("ptycho train --seed 7", Config(devices=4), JobLimits())
    assert "# torchrun --standalone --nnodes=1 --nproc-per-node=4 --no-python ptycho train --seed 7\n" in one
    two = job_script("ptycho train", Config(devices=4, num_nodes=2), JobLimits())
    assert "--rdzv-endpoint=FIRST_NODE:29500 --nnodes=2 --nproc-per-node=4" in two


def test_a_job_needs_a_number_of_devices():
    with pytest.raises(InputError, match="set devices to one"):
        job_script("ptycho train", Config(devices="auto"), JobLimits())
