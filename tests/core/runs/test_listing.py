"""What a list of runs shows beside runs, and when it has to be read again."""

from __future__ import annotations

import dataclasses
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import encode
from ptycho_core.base.process import ProcessMark
from ptycho_core.cli import main
from ptycho_core.runs.job import Job
from ptycho_core.runs.listing import Kind, find_listed, info_of, kind_of, stamp_of
from ptycho_core.runs.note import Note, write_note


@pytest.fixture
def root(tmp_path, trained):
    """A run with an earlier version, a trial, and a run whose job has ended before it began."""
    for name in ("out", "out/previous/version_0", "scan-search/trial-002"):
        shutil.copytree(trained.folder, tmp_path / name)
    (tmp_path / "night/job").mkdir(parents=True)
    gone = ProcessMark(os.getpid(), ProcessMark.current().host, "long ago", "")
    write_json(tmp_path / "night/job/job.json", encode(Job("7", ("sh",), datetime.now(UTC), process=gone)))
    return tmp_path


def test_runs_are_told_from_their_parts_and_jobs_without_a_run_come_first(root):
    listed = {str(found.folder.relative_to(root)): kind_of(found.folder) for found in find_listed(root)}
    assert listed == {
        "night": Kind.RUN,
        "out": Kind.RUN,
        "out/previous/version_0": Kind.EARLIER,
        "scan-search/trial-002": Kind.TRIAL,
    }
    first = find_listed(root)[0]
    assert first.status == "failed"
    assert first.reason.startswith("job 7 has ended before its run began: ended; ")


def test_a_folder_that_may_not_be_read_keeps_no_other_run_from_the_list(root, monkeypatch):
    shut, stat = root / "night", os.stat

    def refusing(path, *args, **options):
        if isinstance(path, str | os.PathLike) and shut in Path(path).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refusing)
    assert {found.folder.name for found in find_listed(root)} == {"out", "version_0", "trial-002"}


def test_a_run_with_which_a_job_waits_to_go_on_has_one_row_that_says_so(root, capsys):
    elsewhere = dataclasses.replace(ProcessMark.current(), host="node17")
    (root / "out/job").mkdir()
    write_json(root / "out/job/job.json", encode(Job("8", ("sh",), datetime.now(UTC), 0, elsewhere)))
    found = {each.folder.name: each for each in find_listed(root) if each.folder.parent == root}
    assert found["out"].status == "waiting"
    assert info_of(found["out"]).status == "finished"
    assert main(["runs", str(root)]) == 0
    (row,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"{root / 'out'} ")]
    assert " waiting " in row
    assert "3/3; job 8, submitted " in row


def test_the_command_prints_parts_in_tables_of_their_own(root, capsys):
    assert main(["runs", str(root)]) == 0
    printed = capsys.readouterr().err
    runs, trials, earlier = (
        printed.index("night"),
        printed.index("Trials of searches"),
        printed.index("Earlier versions"),
    )
    assert runs < trials < printed.index("trial-002") < earlier < printed.index("version_0")


def test_the_stamp_of_a_folder_is_another_when_something_is_recorded_and_the_same_else(root):
    before = stamp_of(root)
    assert stamp_of(root) == before
    write_note(root / "out", Note("Ni foil"))
    noted = stamp_of(root)
    assert noted != before
    shutil.rmtree(root / "scan-search")
    assert stamp_of(root) != noted
