"""The pictures that a run keeps of its course."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest
from PIL import Image

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import PREVIEWS_KEPT, PreviewReady, RunFinished, Stage, Status
from ptycho_core.cli import main
from ptycho_core.quality.animation import write_animation
from ptycho_core.runs import previews
from ptycho_core.runs.previews import PreviewKeeper, kept_previews, read_previews
from ptycho_core.runs.record import find_runs
from tests.helpers.reconstructions import preview
from tests.helpers.run_folders import start
from tests.helpers.training_runs import Training


def small(step: int) -> PreviewReady:
    return PreviewReady(1 + step // 2, step, np.full((4, 5), step, np.complex64), np.ones((3, 3), np.complex64))


def keep_all(folder, count):
    keeper = PreviewKeeper(folder)
    for step in range(count):
        keeper.keep(small(step))
        keeper.finish()


def test_what_is_kept_reads_back_the_same(tmp_path):
    picture, probe = 1j * np.ones((4, 5), np.complex64), np.ones((3, 3), np.complex64)
    made = PreviewReady(3, 17, picture, probe, 2, Stage.WARMING_UP, (2e-8, 1e-8))
    keeper = PreviewKeeper(tmp_path)
    keeper.keep(made)
    keeper.finish()
    (back,) = read_previews(tmp_path)
    assert (back.epoch, back.step, back.binning, back.stage) == (3, 17, 2, Stage.WARMING_UP)
    assert back.pixel_size_m == made.pixel_size_m
    np.testing.assert_array_equal(back.object, made.object)
    np.testing.assert_array_equal(back.probe, made.probe)
    assert back.moment == "warming up the probe"


def test_of_too_many_the_first_the_last_and_evenly_spread_ones_are_kept(tmp_path):
    keep_all(tmp_path, 5 * PREVIEWS_KEPT)
    steps = [each.step for each in read_previews(tmp_path)]
    assert len(steps) == PREVIEWS_KEPT
    assert (steps[0], steps[-1]) == (0, 5 * PREVIEWS_KEPT - 1)
    assert max(np.diff(steps)) <= 2 * 5


def test_a_run_that_goes_on_adds_to_what_was_kept(tmp_path):
    keep_all(tmp_path, 2)
    keep_all(tmp_path, 3)
    assert [each.step for each in read_previews(tmp_path)] == [0, 1, 0, 1, 2]


def test_training_waits_for_no_disk_and_the_newest_takes_the_place_of_what_waits(tmp_path, monkeypatch):
    written, taken, free = [], threading.Event(), threading.Event()

    def slow(folder, made):
        taken.set()
        free.wait(60)
        written.append(made.step)

    monkeypatch.setattr(previews, "_keep", slow)
    keeper = PreviewKeeper(tmp_path)
    keeper.keep(small(0))
    assert taken.wait(60)
    for step in range(1, 5):
        keeper.keep(small(step))
    assert written == []
    free.set()
    keeper.finish()
    assert written == [0, 4]


def test_a_disk_that_takes_none_is_told_once_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "previews").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        keep_all(tmp_path, 3)
    assert [record.message.partition(":")[0] for record in caplog.records] == ["pictures of this run are not kept"]
    assert read_previews(tmp_path) == []


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_a_damaged_picture_is_left_out(tmp_path, damage):
    keep_all(tmp_path, 3)
    path = tmp_path / "previews/000001.npz"
    if damage is None:
        np.savez(path, object=np.ones(3), probe=np.ones((3, 3)), place=np.array([0, 0, 1]), stage=np.array("training"))
    else:
        path.write_bytes(damage)
    assert [each.step for each in read_previews(tmp_path)] == [0, 2]


def test_the_pictures_are_there_when_a_run_is_over_and_move_with_it(tmp_path):
    run = start(tmp_path / "out")
    run.record(small(7))
    run.record(RunFinished(str(run.info.folder), Status.FINISHED, "all epochs done", None, {}))
    assert [each.step for each in read_previews(tmp_path / "out")] == [7]
    start(tmp_path / "out")
    assert read_previews(tmp_path / "out") == []
    assert [each.step for each in read_previews(tmp_path / "out/previous/version_0")] == [7]
    assert len(find_runs(tmp_path)) == 2


def test_a_real_run_keeps_its_course_and_none_where_it_makes_no_pictures(tmp_path):
    told = Training(tmp_path / "run").go(preview_seconds=1e-6, warm_start_epochs=1)
    kept = read_previews(tmp_path / "run")
    assert {each.stage for each in kept} <= {Stage.WARMING_UP, Stage.TRAINING}
    np.testing.assert_array_equal(kept[-1].object, told.all(PreviewReady)[-1].object)
    assert len(kept) > 1
    assert kept[-1].moment == "epoch 3"
    assert told.info.scan.pixel_size_m is None or len(told.info.scan.pixel_size_m) == 2
    Training(tmp_path / "other").go(preview_seconds=0)
    assert read_previews(tmp_path / "other") == []


def test_pictures_that_are_made_of_a_run_later_are_kept_with_its_own_and_of_no_run_nowhere(tmp_path):
    run = start(tmp_path / "out")
    keep_all(run.info.folder, 1)
    heard = []
    for folder in (run.info.folder, tmp_path):
        with kept_previews(folder, heard.append) as observer:
            observer(small(7))
            observer(RunFinished(str(folder), Status.FINISHED, "all epochs done", None, {}))
    assert [each.step for each in read_previews(run.info.folder)] == [0, 7]
    assert not (tmp_path / "previews").exists()
    assert len(heard) == 4


@pytest.mark.parametrize("ending", ["gif", "png"])
def test_the_course_of_a_run_is_exported_as_a_moving_picture(tmp_path, ending, capsys):
    run = start(tmp_path / "out")
    keeper = PreviewKeeper(run.info.folder)
    for step, factor in enumerate((0.2, 0.6, 1)):
        keeper.keep(preview(step, step, factor))
        keeper.finish()
    target = tmp_path / f"course.{ending}"
    assert main(["export", str(run.info.folder), str(target), "--format", "animation"]) == 0
    with Image.open(target) as image:
        assert image.n_frames >= 3
        assert image.size == (800, 460)
        first = np.asarray(image.convert("L"), float)
        image.seek(image.n_frames - 1)
        assert abs(np.asarray(image.convert("L"), float) - first).max() > 50
    assert main(["export", str(run.info.folder), str(target), "--format", "animation"]) == 2
    assert main(["export", str(run.info.folder), str(tmp_path / "course.mp4"), "--format", "animation"]) == 2
    assert "must end in .gif or .png" in capsys.readouterr().err


def test_a_run_without_pictures_says_so(tmp_path):
    with pytest.raises(InputError, match="no pictures were kept while this run went on"):
        write_animation([], tmp_path / "course.gif", name="out")
    assert not (tmp_path / "course.gif").exists()
