"""The command line says of every bad file what is wrong, in one sentence, and exits with 2."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack

import pytest

from ptycho_core import cli
from tests.helpers.bad_files import BAD_FILES

REFUSED = [name for name, bad in BAD_FILES.items() if bad.fixes is None]
READ = [name for name, bad in BAD_FILES.items() if bad.fixes is not None]


@pytest.fixture
def make(tmp_path, monkeypatch):
    with ExitStack() as stack:
        yield lambda name: BAD_FILES[name].make(tmp_path, monkeypatch, stack)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("command", ["inspect", "train"])
def test_a_file_that_cannot_be_read_is_one_sentence_and_nothing_is_made(make, tmp_path, capsys, name, command):
    path, out = make(name), tmp_path / "out"
    words = ["inspect", path] if command == "inspect" else ["train", "--train_data_file", path, "--output_dir", out]
    assert cli.main([*map(str, words)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(rf"error: {re.escape(str(path))}.*\n", told.err)
    assert re.search(BAD_FILES[name].words, told.err)
    assert not out.exists()


@pytest.mark.parametrize("name", READ)
def test_what_is_wrong_with_a_scan_is_listed_with_the_settings_that_help(make, capsys, name):
    path, bad = make(name), BAD_FILES[name]
    assert cli.main(["inspect", str(path), "--json"]) == (2 if bad.severity == "error" else 0)
    problems = json.loads(capsys.readouterr().out)["problems"]
    (problem,) = [problem for problem in problems if re.search(bad.words, problem["message"])]
    assert problem["severity"] == bad.severity
    assert {(fix["field"], fix["value"]) for fix in problem["fixes"]} >= set(bad.fixes)
    for fix in problem["fixes"]:
        if fix["field"].startswith("--"):
            assert cli.main(["inspect", str(path), f"{fix['field']}={fix['value']}"]) == 0
            continue
        # With these pixels a step of 4 in the unit that is offered is one of 4 pixels.
        pixel = 1e-6 if fix["value"] == "nm" else 1e-9
        answers = [f"{fix['field']}={fix['value']}", f"object_pixel_m={pixel}"]
        assert cli.main(["inspect", str(path), *(word for answer in answers for word in ("--set", answer))]) == 0


@pytest.mark.parametrize("name", [name for name in READ if BAD_FILES[name].severity == "error"])
def test_a_scan_that_cannot_be_reconstructed_is_not_trained_on(make, tmp_path, capsys, name):
    path, out = make(name), tmp_path / "out"
    assert cli.main(["train", "--train_data_file", str(path), "--output_dir", str(out)]) == 2
    assert re.search(BAD_FILES[name].words, capsys.readouterr().err)
    assert not out.exists()
