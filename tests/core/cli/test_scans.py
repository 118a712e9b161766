"""Several scans on the command line: files, folders, lists, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.cli import main
from ptycho_core.runs.named_scans import named_scans
from ptycho_core.runs.record import read_run
from ptycho_core.runs.results import find_results, free_misfit_of_checkpoints, read_newest
from ptycho_core.simulation import simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers import specs

FAST = "--max_epochs 1 --warm_start_epochs 0 --no-probe-search --model_width 2 --preview_seconds 0 --quiet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scans with their truths, and what is no scan."""
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(("a.npz", "b.npz")):
        write_simulation(simulate(dataclasses.replace(specs.SMALL, seed=seed)), folder / name)
    (folder / "notes.txt").write_text("beam was low")
    (folder / "list.txt").write_text("# of tonight\na.npz\n\nb.npz  # the better one\n")
    return folder


def test_a_folder_and_a_list_stand_for_the_scans_in_them(folder):
    both = [folder / "a.npz", folder / "b.npz"]
    assert named_scans([folder], []) == both
    assert named_scans([], [folder / "list.txt"]) == both
    assert named_scans([folder / "b.npz", folder / "a.npz"], []) == both[::-1]


@pytest.mark.parametrize("given", ["--train_data_file {0}/a.npz --train_data_file {0}/b.npz", "--scans {0}/list.txt"])
def test_one_network_is_trained_on_all_that_are_named(folder, tmp_path, given, capsys):
    words = f"{given.format(folder)} --output_dir {tmp_path / 'out'} {FAST}".split()
    assert main(["train", *words]) == 0
    assert read_run(tmp_path / "out").scan_names == ["a.npz", "b.npz"]
    assert "b.npz" in capsys.readouterr().err
    assert main(["runs", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["further_scans"] == [str(folder / "b.npz")]


def test_such_a_run_goes_on_and_each_scan_is_reconstructed_as_it_was_read_into_a_place_of_its_own(
    folder, tmp_path, capsys
):
    out = tmp_path / "out"
    words = ["train", "--train_data_file", str(folder), "--output_dir", str(out), "--crop", "12", *FAST.split()]
    assert main(words) == 0
    assert main(["train", "--resume", str(out), "--max_epochs", "2"]) == 0
    assert read_run(out).epochs_done == 2
    fast = ["--polish", "0", "--no-halves", "--no-final-pass", "--json"]
    assert main(["reconstruct", str(out), *fast]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["metrics"]["same_scan"] for one in (told, *told["further_scans"])] == [True, True]
    assert main(["reconstruct", str(out), "--scan", str(folder / "b.npz"), *fast]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["same_scan"]
    first, second = out, out / "scans" / "2-b"
    assert [len(find_results(place)) for place in (first, second)] == [1, 2]
    assert read_newest(second).probe.shape[-1] == 12
    moved = read_run(out.rename(tmp_path / "moved"))
    for place in (0, 1):
        assert list(free_misfit_of_checkpoints(moved, place)) == [moved.best_checkpoint]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("--train_data_file {0}/a.npz --train_data_file {0}/../{1}/a.npz", "is named twice (as"),
        ("--train_data_file {0}/a.npz --scans {0}/list.txt", "list.txt, line 2: {0}/a.npz is named twice"),
        ("--scans {0}/angles.csv", "angles.csv, line 2: there is no {0}/b.npz,45: write one file or folder on each"),
        ("--scans {0}/hollow.txt", "hollow.txt, line 1: there is no scan in the folder {0}/empty"),
        ("--train_data_file {0}/empty", "there is no scan in the folder"),
        ("--scans {0}/nothing.txt", "names none: write a file or a folder on each line"),
        ("--scans {0}/gone.txt", "cannot read the list of scans"),
        ("--scans {0}/a.npz", "must be a text file with a scan on each line"),
        ("--train_data_file {0}/a.npz --train_data_file {0}/broken.npz", "broken.npz"),
        (
            "--train_data_file {0} --positions {0}/list.txt",
            "do not tell which file has the positions of b.npz",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_one_sentence_before_a_run_begins(
    folder, tmp_path, given, sentence, capsys
):
    here = tmp_path / folder.name
    here.mkdir()
    for path in folder.iterdir():
        (here / path.name).symlink_to(path)
    (here / "empty").mkdir()
    (here / "nothing.txt").write_text("# nothing yet\n")
    (here / "angles.csv").write_text("a.npz\nb.npz,45\n")
    (here / "hollow.txt").write_text("empty\n")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 cut short")
    words = given.format(here, here.name).replace(f"{here}/broken.npz", str(broken)).split()
    assert main(["train", *words, "--output_dir", str(tmp_path / "out"), *FAST.split()]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    assert sentence.format(here) in said
    assert not (tmp_path / "out").exists()


def test_scans_of_another_size_are_named_with_both_sizes(folder, tmp_path, capsys):
    other = dataclasses.replace(specs.SMALL, size=32)
    write_simulation(simulate(other), tmp_path / "wide.npz")
    words = ["--train_data_file", str(folder / "a.npz"), "--train_data_file", str(tmp_path / "wide.npz")]
    assert main(["train", *words, "--output_dir", str(tmp_path / "out"), *FAST.split()]) == 2
    assert "wide.npz: its patterns have 32 pixels a side, those of a.npz 16" in capsys.readouterr().err


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot read the folder .*: Permission denied"):
        named_scans([tmp_path], [])
