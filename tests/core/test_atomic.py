from __future__ import annotations

import errno
import json
import os
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.atomic import atomic_write, json_ready, write_json
from ptycho_core.errors import PtychoError


@pytest.fixture
def small_disk():
    """A disk that is full after 64 kB of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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
    with pytest.raises(error), atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        raise error
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
    with pytest.raises(PtychoError, match=r"cannot write .*a\.json: what was written does not read back"):
        with atomic_write(target, check=lambda path: json.loads(path.read_text())) as temporary:
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
    assert str(caught.value) == f"cannot write {target}: No space left on device"
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_hdf5_on_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, small_disk):
    target = tmp_path / "a.h5"
    with pytest.raises(PtychoError) as caught, atomic_write(target) as temporary, h5py.File(temporary, "w") as file:
        file["x"] = np.zeros(100_000)
    assert str(caught.value) == f"cannot write {target}: File too large"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("opened", [lambda path: h5py.File(path, "w"), lambda path: open(path, "w")])
def test_a_missing_folder_is_named(tmp_path, opened):
    target = tmp_path / "none" / "a.h5"
    with pytest.raises(PtychoError) as caught, atomic_write(target) as temporary, opened(temporary):
        pass
    assert str(caught.value) == f"cannot write {target}: the folder {target.parent} does not exist"


def test_no_permission_is_one_sentence(tmp_path, monkeypatch):
    def forbidden(source, destination):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", forbidden)  # the tests may run as root, who may do everything
    with pytest.raises(PtychoError, match=r"cannot write .*a\.txt: Permission denied"):
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
    assert os.listdir(tmp_path) == []


def test_a_fault_of_the_program_is_not_blamed_on_the_disk(tmp_path):
    with pytest.raises(RuntimeError, match="^shapes differ$"), atomic_write(tmp_path / "a.txt"):
        raise RuntimeError("shapes differ")


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


def test_what_json_cannot_say_is_an_error_and_not_a_guess(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        json_ready({"a": [1j]})
