"""Checkpoints that are deleted, and runs set apart to be deleted."""

from __future__ import annotations

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import RunFinished
from ptycho_core.runs.record import find_runs, read_run
from ptycho_core.runs.removal import remove_checkpoint, set_apart
from tests.helpers.run_folders import finished_run, saved, start


@pytest.fixture
def over(tmp_path):
    run = start(tmp_path / "out")
    for name, epoch, value in (("a", 1, 0.5), ("b", 2, 0.4), ("c", 3, 0.6)):
        run.record(saved(run.info.folder, f"{name}.ckpt", epoch, value))
    run.record(saved(run.info.folder, "last.ckpt", 3, None, rank=0))
    best = str(run.info.best_checkpoint)
    run.record(RunFinished(str(run.info.folder), "stopped", "by the operator", best, {}))
    return run.info


def test_a_deleted_checkpoint_leaves_the_disk_and_the_record_and_the_next_is_best(over):
    remove_checkpoint(over.folder / "checkpoints/b.ckpt")
    info = read_run(over.folder)
    assert not (over.folder / "checkpoints/b.ckpt").exists()
    assert [(c.path.rpartition("/")[2], c.rank) for c in info.checkpoints] == [
        ("a.ckpt", 1),
        ("c.ckpt", 2),
        ("last.ckpt", 0),
    ]
    assert info.best_checkpoint == over.folder / "checkpoints/a.ckpt"
    assert (info.status, info.reason, info.ended) == ("stopped", "by the operator", over.ended)


def test_a_checkpoint_whose_file_is_gone_can_be_struck_from_the_record(over):
    path = over.folder / "checkpoints/a.ckpt"
    path.unlink()
    assert str(path) not in [saved.path for saved in remove_checkpoint(path).checkpoints]


def test_a_file_that_is_no_checkpoint_of_the_run_is_not_deleted(over):
    stranger = over.folder / "checkpoints/mine.txt"
    stranger.write_text("mine")
    with pytest.raises(InputError, match=r"mine\.txt is no checkpoint of the run"):
        remove_checkpoint(stranger)
    assert stranger.read_text() == "mine"


def test_a_living_run_keeps_its_checkpoints_and_its_folder(tmp_path):
    run = start(tmp_path)
    last = saved(tmp_path, "last.ckpt", 1, None, rank=0)
    run.record(last)
    with pytest.raises(InputError, match="still training"):
        remove_checkpoint(tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(InputError, match="still training"):
        set_apart(tmp_path)
    assert (tmp_path / "checkpoints/last.ckpt").is_file()


def test_a_folder_that_holds_one_run_alone_is_set_apart_already(tmp_path):
    finished_run(tmp_path / "out")
    assert set_apart(tmp_path / "out") == tmp_path / "out"


@pytest.mark.parametrize(
    "stranger", ["scan.npz", "previous/version_7/run.json", "lightning_logs/version_9/metrics.csv"]
)
def test_a_run_is_set_apart_from_whatever_else_is_in_its_folder(tmp_path, stranger):
    out = tmp_path / "out"
    finished_run(out)
    other = out / stranger
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("another's")
    apart = set_apart(out)
    assert apart == out / "previous/version_0"
    assert other.read_text() == "another's"
    info = read_run(apart)
    assert (info.status, info.logs) == ("finished", out / "lightning_logs/version_0")
    assert apart in [run.folder for run in find_runs(tmp_path)]


def test_an_earlier_run_is_set_apart_where_it_is(tmp_path):
    finished_run(tmp_path)
    finished_run(tmp_path)
    assert set_apart(tmp_path / "previous/version_0") == tmp_path / "previous/version_0"
