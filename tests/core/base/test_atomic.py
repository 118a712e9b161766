from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.atomic import atomic_write, write_json
from ptycho_core.base.errors import PtychoError


def test_the_new_content_replaces_the_old(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_write(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_interruption_in_the_middle_leaves_the_old_file_alone(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted():
        with atomic_write(target) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_process_leaves_the_old_file_under_its_name(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    child = os.fork()
    if child == 0:
        with atomic_write(target) as temporary:
            temporary.write_text("half of the n")
            os._exit(9)
    os.waitpid(child, 0)
    assert target.read_text() == "old"
    assert not [name for name in os.listdir(tmp_path) if not name.startswith(".") and name != "a.txt"]


def test_content_that_does_not_read_back_is_not_kept(tmp_path):
    target = tmp_path / "a.json"
    unreadable = pytest.raises(PtychoError, match=r"cannot write .*a\.json: what was written does not read back")
    with unreadable, atomic_write(target, check=lambda path: json.loads(path.read_text())) as temporary:
        temporary.write_text("{")
    assert os.listdir(tmp_path) == []


def test_data_and_then_the_folder_are_flushed_to_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}"))))
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert flushed == [temporary, tmp_path]


def test_a_disk_that_is_full_at_the_flush_is_one_sentence(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = tmp_path / "a.txt"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PtychoError) as caught, atomic_write(target) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == (
        f"cannot write {target}: No space left on device; make room there, or write to another folder"
    )
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_missing_folder_is_named(tmp_path):
    target = tmp_path / "none" / "a.txt"
    with pytest.raises(PtychoError) as caught, atomic_write(target) as temporary:
        temporary.write_text("new")
    assert str(caught.value) == f"cannot write {target}: the folder {target.parent} does not exist"


def test_no_permission_is_one_sentence(tmp_path, monkeypatch):
    def forbidden(source, destination):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", forbidden)  # the tests may run as root, who may do everything
    refused = pytest.raises(PtychoError, match=r"cannot write .*a\.txt: Permission denied")
    with refused, atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == []


def test_json_has_null_for_what_is_not_finite_and_no_foreign_types(tmp_path):
    value = {
        "nan": float("nan"),
        "infinity": np.float32("-inf"),
        "array": np.array([[1, 2]]),
        "scalars": (np.int64(3), np.bool_(True), 0.1),
        "path": Path("a/b"),
        "text": "µm",
        5: None,
    }
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "nan": None,
        "infinity": None,
        "array": [[1, 2]],
        "scalars": [3, True, 0.1],
        "path": "a/b",
        "text": "µm",
        "5": None,
    }
    assert text.endswith("}\n")
