"""The operator's note on a run."""

from __future__ import annotations

import json

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.cli import main
from ptycho_core.runs.note import Note, read_note, write_note
from ptycho_core.runs.record import read_run
from tests.helpers.run_folders import finished_run, start


def test_a_note_survives_a_run_that_goes_on_and_moves_aside_with_it(tmp_path):
    run = start(tmp_path / "out")
    write_note(run.info.folder, Note("Ni foil", "beam was low\nat the end"))
    run.update(epochs_done=3)
    assert read_note(run.info.folder) == Note("Ni foil", "beam was low\nat the end")
    assert str(read_note(run.info.folder)) == "Ni foil: beam was low at the end"
    run.update(status="cancelled")
    assert read_note(start(tmp_path / "out").info.folder) == Note()
    assert read_note(tmp_path / "out/previous/version_0").sample == "Ni foil"


def test_a_note_is_written_to_a_run_or_a_reconstruction_alone(tmp_path):
    with pytest.raises(InputError, match="neither a run nor a reconstruction"):
        write_note(tmp_path, Note("Ni foil"))
    (tmp_path / "reconstruction").mkdir()
    write_note(tmp_path, Note("Ni foil"))
    assert read_note(tmp_path) == Note("Ni foil")


@pytest.mark.parametrize("text", ["{", '{"sample": 3}', "[]"])
def test_a_note_that_is_damaged_reads_as_none(tmp_path, text):
    (tmp_path / "note.json").write_text(text)
    assert read_note(tmp_path) == Note()


def test_the_command_writes_what_is_given_keeps_the_rest_and_the_list_of_runs_has_it(tmp_path, capsys):
    folder = finished_run(tmp_path / "out").info.folder
    assert main(["note", str(folder), "sharp", "--sample", "Ni_foil"]) == 0
    assert main(["note", str(folder), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"sample": "Ni_foil", "comment": "sharp"}
    assert told.err.splitlines()[-1] == "Ni_foil: sharp"
    assert main(["note", str(folder), ""]) == 0
    assert read_note(folder) == Note("Ni_foil")
    assert read_run(folder).status == "finished"
    capsys.readouterr()
    assert main(["runs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["note"] == {"sample": "Ni_foil", "comment": ""}
    assert main(["runs", str(tmp_path)]) == 0
    assert "Ni_foil" in capsys.readouterr().err
