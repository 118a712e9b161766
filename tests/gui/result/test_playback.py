"""The course of a run, played back in the object panel."""

from __future__ import annotations

import pytest

from ptycho_core.runs.previews import PreviewKeeper
from tests.helpers.reconstructions import preview, reconstruction

EPOCHS = 4


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "night-3"
    folder.mkdir()
    keeper = PreviewKeeper(folder)
    for epoch in range(1, EPOCHS + 1):
        keeper.keep(preview(epoch, 10 * epoch, epoch))
        keeper.finish()
    return folder


def amplitude(panel):
    return panel.pictures.ready.subjects[0][0].object.__abs__().max()


def test_the_slider_leads_through_the_course_of_a_run_and_back_to_what_was_shown(panel, folder, settle):
    panel.set_run(folder)
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    strong = amplitude(panel)
    panel.tools.course.click()
    settle("night-3, epoch 4")
    assert amplitude(panel) == pytest.approx(4 * strong)
    assert panel.playback.moment.text() == "epoch 4 (picture 4 of 4)"
    panel.playback.slider.setValue(1)
    settle("night-3, epoch 2")
    assert amplitude(panel) == pytest.approx(2 * strong)
    assert not panel.tools.export.isEnabled()
    panel.tools.course.click()
    settle("best")
    assert panel.playback.isHidden()
    assert panel.tools.export.isEnabled()


def test_playing_shows_one_after_the_other_and_ends_at_the_last(panel, folder, settle, qtbot):
    shown = []
    panel.playback.chosen.connect(lambda _, made: shown.append(made.epoch))
    panel.set_run(folder)
    panel.tools.course.click()
    settle("night-3, epoch 4")
    panel.playback.play.click()
    qtbot.waitUntil(lambda: not panel.playback.play.isChecked())
    settle("night-3, epoch 4")
    assert shown == [4, 1, 2, 3, 4]


def test_a_run_without_pictures_says_so_and_nothing_can_be_played(panel, tmp_path, qtbot):
    assert not panel.tools.course.isEnabled()
    panel.set_run(tmp_path)
    panel.tools.course.click()
    qtbot.waitUntil(lambda: "kept no pictures" in panel.playback.moment.text())
    for control in (panel.playback.play, panel.playback.slider, panel.playback.export):
        assert not control.isEnabled()


def test_a_result_or_another_run_ends_the_playback(panel, folder, settle):
    panel.set_run(folder)
    for ends in (lambda: panel.show_reconstruction("best", reconstruction()), lambda: panel.set_run(folder)):
        panel.tools.course.click()
        settle("night-3, epoch 4")
        ends()
        assert not panel.tools.course.isChecked()
        assert panel.playback.isHidden()


def test_a_run_that_goes_on_is_shown_again_when_the_playback_ends(panel, folder, settle):
    panel.set_run(folder)
    panel.show_preview(preview(8, 70))
    settle("Live, epoch 8")
    panel.tools.course.click()
    settle("night-3, epoch 4")
    panel.show_preview(preview(9, 80))
    settle("night-3, epoch 4")
    panel.tools.course.click()
    settle("Live, epoch 9")


def test_the_course_is_handed_on_to_be_exported(panel, folder, settle, qtbot):
    panel.set_run(folder)
    panel.tools.course.click()
    settle("night-3, epoch 4")
    with qtbot.waitSignal(panel.playback.animation_requested) as asked:
        panel.playback.export.click()
    course = asked.args[0]
    assert (course.name, len(course.previews)) == ("night-3", EPOCHS)
    assert {one.pixel_size_m for one in course.previews} == {reconstruction().pixel_size_m}
