"""Steps as JSON and as text, the files that they name, and how commands and resumed runs apply them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from ptycho_core import cli
from ptycho_core.base.errors import InputError
from ptycho_core.cli import arguments
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.preprocessing.array_files import read_array
from ptycho_core.runs.recorded_scan import open_recorded, record_scan
from ptycho_core.scan.steps import (
    STEPS,
    Bin,
    Centre,
    Crop,
    DropDead,
    Every,
    FromFile,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Orient,
    Region,
)
from ptycho_core.scan.steps_json import (
    flag_name,
    read_steps,
    step_from_text,
    steps_from_dict,
    steps_to_dict,
    steps_to_flags,
)
from tests.helpers.run_folders import through_json

STAR = [
    Centre("given", 3, 4),
    Crop(64),
    Orient("-x+y"),
    MaskPolygon("1,2 3,4.5 6,1", outside=True),
    MaskBrush("5,5 6,9", 2.5),
    MaskThreshold(below=0.5),
    Region(-1.5, 0, 3, 4, "um"),
    MaskFile("/data/mask.npy", invert=True),
    DropDead(),
]


def test_steps_are_the_same_after_json():
    body = json.loads(json.dumps(steps_to_dict(STAR)))
    assert body["version"] == 1
    assert steps_from_dict(body, "it") == tuple(STAR)


def test_a_file_of_steps_may_leave_out_defaults_and_names_files_beside_itself(tmp_path):
    steps = [{"step": "bin", "factor": 2}, {"step": "hot_pixels"}, {"step": "mask", "file": "bad.npy"}]
    path = tmp_path / "steps.json"
    path.write_text(json.dumps({"version": 1, "steps": steps}))
    assert read_steps(path) == (Bin(2), HotPixels(10.0), MaskFile(str(tmp_path / "bad.npy")))


BAD = {
    "must be a JSON object": [{"step": "crop", "size": 8}],
    "steps must be a list": {"version": 1, "steps": {"step": "crop", "size": 8}},
    "version 2; this program reads version 1": {"version": 2, "steps": []},
    "lacks steps": {"version": 1},
    "unknown name 'stops'; did you mean steps": {"version": 1, "steps": [], "stops": []},
    "step 1 has the unknown name 'corp'; did you mean crop": {"version": 1, "steps": [{"step": "corp"}]},
    "step 2 .crop. has the unknown name 'width'; there are size": {
        "version": 1,
        "steps": [{"step": "bin", "factor": 2}, {"step": "crop", "width": 8}],
    },
    "step 1 .crop. lacks size": {"version": 1, "steps": [{"step": "crop"}]},
    "a JSON object that names its 'step'": {"version": 1, "steps": ["crop"]},
    "step 1 .crop.: size must be a whole number of at least 8": {
        "version": 1,
        "steps": [{"step": "crop", "size": "64"}],
    },
    "step 1 .mask.: file must be": {"version": 1, "steps": [{"step": "mask", "file": 3}]},
    "step 1 .orient.: orientation must be": {"version": 1, "steps": [{"step": "orient", "orientation": "left"}]},
}


@pytest.mark.parametrize("sentence", BAD)
def test_steps_that_are_wrong_are_refused_by_their_place(sentence):
    with pytest.raises(InputError, match=sentence):
        steps_from_dict(BAD[sentence], "steps.json")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Crop(7), "crop: size must be a whole number of at least 8"),
        (lambda: Centre("given"), "y and x must be set where how is given, and only there"),
        (lambda: Centre("mass", 3, 3), "y and x must be set where how is given, and only there"),
        (lambda: MaskRectangle(5, 0, 5, 3), r"bottom must be above top \(5\)"),
        (lambda: Region(0, 3, 1, 2), r"right must be above left \(3\)"),
        (lambda: MaskThreshold(), "above, below or both must be set"),
        (lambda: MaskPolygon("1,2 3,4"), "three corners or more"),
        (lambda: MaskPolygon("1,2 3,4 x,5"), "y,x pairs with spaces between"),
        (lambda: MaskPolygon("1,2 3,4 nan,5"), "y,x pairs with spaces between"),
        (lambda: MaskBrush("", 2), "one point or more"),
    ],
)
def test_a_step_that_makes_no_sense_cannot_be_made(make, sentence):
    with pytest.raises(InputError, match=sentence):
        make()


def test_unreadable_files_of_steps_are_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the file of steps .*none\.json: No such file"):
        read_steps(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("crop 64")
    with pytest.raises(InputError, match=r"text\.json is not JSON"):
        read_steps(tmp_path / "text.json")


@pytest.mark.parametrize(
    ("kind", "text", "step"),
    [
        ("crop", "64", Crop(64)),
        ("centre", "", Centre()),
        ("centre", "given,3,4", Centre("given", 3, 4)),
        ("mask_threshold", "none,2", MaskThreshold(None, 2)),
        ("region", "-1,-2,3,4,um", Region(-1, -2, 3, 4, "um")),
        ("every", "3", Every(3)),
        ("mask", "/m.npy,true", MaskFile("/m.npy", True)),
    ],
)
def test_a_flag_takes_settings_in_their_order_and_fills_in_the_rest(kind, text, step):
    assert step_from_text(STEPS[kind], text) == step


@pytest.mark.parametrize("text", ["", "1,2,3"])
def test_a_flag_with_too_few_or_too_many_settings_says_which_it_takes(text):
    with pytest.raises(InputError, match=r"--every takes K,START, of which start may be left out"):
        step_from_text(Every, text)


def test_a_relative_file_is_where_the_command_ran_whatever_happens_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert MaskFile("m.h5::entry/mask").file == f"{tmp_path}/m.h5::entry/mask"


IMAGE = np.arange(12, dtype=np.uint16).reshape(3, 4)


def write_array(path, kind):
    if kind == "npy":
        np.save(path / "a.npy", IMAGE)
    elif kind == "npz":
        np.savez_compressed(path / "a.npz", other=np.zeros(3), image=IMAGE)
    elif kind == "tif":
        tifffile.imwrite(path / "a.tif", IMAGE)
    else:
        with h5py.File(path / "a.h5", "w") as file:
            file["entry/image"] = IMAGE[None]
            file["entry/more"] = IMAGE + 1
    return f"{path}/a.{kind}" + ("::/entry/image" if kind == "h5" else "")


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "h5"])
def test_an_array_is_read_from_any_kind_of_file_whatever_its_name(tmp_path, kind):
    file = write_array(tmp_path, kind)
    np.testing.assert_array_equal(read_array(file, 2), IMAGE)
    _, _, key = file.partition("::")
    renamed = (tmp_path / f"a.{kind}").rename(tmp_path / "data")
    np.testing.assert_array_equal(read_array(f"{renamed}::{key}" if key else str(renamed), 2), IMAGE)


def test_files_that_hold_no_single_array_of_numbers_are_refused(tmp_path):
    h5 = write_array(tmp_path, "h5")
    with pytest.raises(InputError, match=r"holds .*entry/image.*; say which with a\.h5::KEY"):
        read_array(h5.partition("::")[0], 2)
    with pytest.raises(InputError, match="has no key 'nothing'"):
        read_array(f"{tmp_path}/a.h5::nothing", 2)
    np.save(tmp_path / "text.npy", np.array(["a"]))
    with pytest.raises(InputError, match="it must hold real numbers"):
        read_array(f"{tmp_path}/text.npy", 1)
    np.save(tmp_path / "code.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InputError, match="the array cannot be read"):
        read_array(f"{tmp_path}/code.npy", 1)
    with pytest.raises(InputError, match=r"cannot read .*gone\.npy: No such file"):
        read_array(f"{tmp_path}/gone.npy", 2)


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "h5"])
def test_a_damaged_array_file_is_one_sentence(tmp_path, kind):
    file = write_array(tmp_path, kind)
    path = tmp_path / f"a.{kind}"
    whole = path.read_bytes()
    refused = 0
    for end in range(8, len(whole), max(1, len(whole) // 20)):
        path.write_bytes(whole[:end])
        try:
            read_array(file, 2)
        except InputError:
            refused += 1
    assert refused > 10


def test_files_of_the_wrong_shape_say_what_would_be_right(tmp_path, scan_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    scan = read_scan(scan_path)
    for name, words in (("mask", "a mask for these patterns is"), ("dark", "a dark frame for these patterns is")):
        with pytest.raises(InputError, match=rf"a\.npy holds .* {words} \(16, 16\)"):
            preprocess(scan, [STEPS[name](str(tmp_path / "a.npy"))])
    with pytest.raises(InputError, match="12 readings, and there are 36 patterns"):
        preprocess(scan, [STEPS["monitor"](str(tmp_path / "a.npy"))])
    np.save(tmp_path / "zero.npy", np.arange(36))
    with pytest.raises(InputError, match=r"1 readings are not above 0 \(the first is that of pattern 0\)"):
        preprocess(scan, [STEPS["monitor"](str(tmp_path / "zero.npy"))])


def test_steps_as_flags_mean_the_same_steps():
    steps = [step for step in STAR if "points" not in step.knobs()]
    flags = steps_to_flags(steps)
    assert flags[:2] == ["--centre=given,3,4", "--crop=64"]
    assert flags[-1] == "--drop-dead=0.1"
    assert cli.parse(["inspect", *flags, "scan.npz"]).steps == tuple(steps)


@pytest.mark.parametrize("step", [MaskPolygon("1,2 3,4.5 6,1"), MaskFile("/data/a,b.npy")])
def test_steps_that_hold_commas_have_no_flags(step):
    with pytest.raises(InputError, match="save the steps and give their file with --steps"):
        steps_to_flags([step])


@pytest.mark.parametrize("command", ["train", "reconstruct", "inspect", "convert", "orient"])
def test_every_command_that_reads_a_scan_takes_steps_in_the_order_given(command, tmp_path):
    (tmp_path / "steps.json").write_text(json.dumps(steps_to_dict([Crop(32), Bin(2)])))
    words = {"train": [], "convert": ["scan.npz", "scan.cxi"]}.get(command, ["scan.npz"])
    flags = ["--bin", "2", "--steps", str(tmp_path / "steps.json"), "--orient", "-y+x", "--region", "-3,-1,5,9"]
    args = cli.parse([command, *words, *flags, "--drop_dead", "--every=3,1"])
    assert args.steps == (Bin(2), Crop(32), Bin(2), Orient("-y+x"), Region(-3, -1, 5, 9), DropDead(), Every(3, 1))


def test_all_steps_but_drawings_have_a_flag_whose_help_is_the_step_s(capsys):
    with pytest.raises(SystemExit):
        cli.main(["inspect", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    for kind in STEPS.values():
        assert ("".join(kind.help().split()) in shown) == ("points" not in kind.knobs())
        assert (f"--{flag_name(kind)}" in shown) == ("points" not in kind.knobs())


def test_a_scan_is_read_and_preprocessed_as_the_flags_say(scan_path):
    args = cli.parse(["inspect", str(scan_path), "--crop", "12", "--every", "2", "--set", "energy_ev=9000"])
    scan = open_scan(arguments.given_source(args, scan_path))
    assert scan.patterns.shape == (18, 12, 12)
    assert scan.source.steps == (Crop(12), Every(2))
    assert scan.geometry.energy_ev == 9000


def test_a_converted_scan_keeps_what_the_steps_made_of_it_and_its_history(scan_path, tmp_path):
    assert cli.main(["convert", str(scan_path), str(tmp_path / "b.npz"), "--bin", "2", "--orient", "-y+x"]) == 0
    scan, expected = read_scan(tmp_path / "b.npz"), preprocess(read_scan(scan_path), [Bin(2), Orient("-y+x")])
    np.testing.assert_array_equal(scan.patterns[:], expected.patterns[:])
    np.testing.assert_allclose(scan.probe, expected.probe)
    assert scan.pixel_size_m == pytest.approx(expected.pixel_size_m)
    with np.load(tmp_path / "b.npz") as file:
        assert "summed blocks of 2 x 2" in str(file["_metadata"])


def test_resuming_takes_no_steps(capsys):
    assert cli.main(["train", "--resume", "out", "--crop", "64"]) == 2
    assert "leave out the other flags" in capsys.readouterr().err


@pytest.fixture
def recorded(scan_path, tmp_path):
    good = np.ones((16, 16), bool)
    good[0] = False
    np.save(tmp_path / "good.npy", good)
    steps = [MaskFile(str(tmp_path / "good.npy")), Centre("given", 8, 9), Crop(12), Every(2)]
    scan = preprocess(read_scan(scan_path), steps)
    return scan, through_json(record_scan(scan))


def test_a_run_s_scan_is_preprocessed_again_as_before(recorded):
    scan, info = recorded
    again = open_recorded(info)
    np.testing.assert_array_equal(again.patterns[:], scan.patterns[:])
    np.testing.assert_array_equal(again.mask, scan.mask)
    np.testing.assert_array_equal(again.positions, scan.positions)
    np.testing.assert_array_equal(again.probe, scan.probe)
    assert again.source.steps == scan.source.steps


def test_a_run_s_scan_is_refused_where_a_file_that_a_step_takes_has_changed(recorded, tmp_path):
    _, info = recorded
    np.save(tmp_path / "good.npy", np.eye(16) == 0)
    with pytest.raises(InputError, match=r"cannot be made from .*, because of: masked 16 more pixels as .*good\.npy"):
        open_recorded(info)
    (tmp_path / "good.npy").unlink()
    with pytest.raises(InputError, match=r"cannot read .*good\.npy"):
        open_recorded(info)


def test_declarations_of_steps_load_no_numpy():
    code = "import sys; from ptycho_core.scan import steps_json; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_every_step_from_a_file_says_which_files_it_takes():
    kinds = [kind for kind in STEPS.values() if issubclass(kind, FromFile)]
    assert {kind.name for kind in kinds} == {"dark", "monitor", "mask"}
    assert all("FILE::KEY" in kind.knobs()["file"].help for kind in kinds)


def test_the_description_of_formats_names_every_step():
    text = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert [name for name in STEPS if f"`{name}`" not in text] == []
