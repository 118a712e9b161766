"""What part of the object is seen, and which values its colours have."""

from __future__ import annotations

import dataclasses

import pytest

from ptycho_core.quality.picture import Pictures
from tests.helpers.reconstructions import preview, reconstruction


def shown(panel) -> Pictures:
    return panel.pictures.ready.pictures[0]


def view_range(panel) -> list[float]:
    return [end for axis in panel.pictures.view.panes[0].view.viewRange() for end in axis]


def shows_all(panel) -> bool:
    """Whether what got light fills the picture, and is whole; of whatever size the picture is."""
    x, y, width, height = shown(panel).object.box
    left, right, top, bottom = view_range(panel)
    whole = left <= x < x + width <= right and top <= y < y + height <= bottom
    return whole and min((right - left) / width, (bottom - top) / height) < 1.1


def zoom_by_hand(panel) -> None:
    view = panel.pictures.view.panes[0].view
    view.scaleBy((0.25, 0.25))
    view.sigRangeChangedManually.emit([True, True])


def test_the_first_preview_is_shown_as_far_as_there_was_light(panel, settle):
    panel.show_preview(preview())
    settle("Live")
    assert shows_all(panel)


def test_zoom_and_pan_stay_from_preview_to_preview_and_to_the_reconstruction(panel, settle):
    panel.show_preview(preview())
    settle("epoch 1")
    zoom_by_hand(panel)
    before = view_range(panel)
    panel.show_preview(preview(2, 1))
    settle("epoch 2")
    assert view_range(panel) == pytest.approx(before)
    panel.show_reconstruction("best", reconstruction())
    settle("best: free misfit")
    assert view_range(panel) == pytest.approx(before)


def test_a_picture_that_nobody_has_moved_fills_the_panel_at_any_size(panel, settle, qapp):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    for size in ((1700, 1000), (700, 900), (860, 480)):
        panel.resize(*size)
        qapp.processEvents()
        assert shows_all(panel)


def test_another_canvas_is_shown_whole(panel, settle):
    panel.show_reconstruction("one", reconstruction())
    settle("one: free misfit")
    zoom_by_hand(panel)
    small = dataclasses.replace(
        reconstruction(), object=reconstruction().object[:60, :60], coverage=reconstruction().coverage[:60, :60]
    )
    panel.show_reconstruction("two", small)
    settle("two: free misfit")
    left, right, _, _ = view_range(panel)
    assert right - left > 52


def test_levels_follow_the_previews_until_they_are_locked(panel, settle):
    bar = panel.pictures.view.panes[0].bar
    panel.show_preview(preview())
    settle("epoch 1")
    first = bar.levels()
    panel.show_preview(preview(2, 1, factor=3))
    settle("epoch 2")
    assert bar.levels()[1] == pytest.approx(3 * first[1], rel=0.01)
    panel.tools.lock.click()
    locked = bar.levels()
    panel.show_preview(preview(3, 2, factor=1))
    settle("epoch 3")
    assert bar.levels() == locked
    panel.tools.lock.click()
    assert bar.levels() == pytest.approx(first)


def test_dragging_a_colour_bar_locks_the_levels(panel, settle):
    panel.show_preview(preview())
    settle("epoch 1")
    bar = panel.pictures.view.panes[0].bar
    bar.region.setRegion((63, 220))
    chosen = bar.levels()
    assert panel.tools.lock.isChecked()
    panel.show_preview(preview(2, 1, factor=3))
    settle("epoch 2")
    assert bar.levels() == pytest.approx(chosen, rel=0.02)


def test_levels_can_be_typed_and_made_automatic_again(panel, settle):
    panel.show_preview(preview())
    settle("epoch 1")
    pane = panel.pictures.view.panes[1]
    automatic = pane.bar.levels()
    pane.levels.low.setValue(-1.5)
    assert pane.bar.levels()[0] == pytest.approx(-1.5)
    assert panel.tools.lock.isChecked()
    pane.levels.automatic.click()
    assert not panel.tools.lock.isChecked()
    assert pane.bar.levels() == pytest.approx(automatic)


def test_both_pictures_pan_and_zoom_together(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.pictures.view.panes[0].view.setRange(xRange=(20, 40), yRange=(30, 50), padding=0)
    left, right = (pane.view.viewRect().center() for pane in panel.pictures.view.panes)
    assert (left.x(), left.y()) == pytest.approx((right.x(), right.y()), abs=0.5)


def test_after_clearing_the_next_preview_is_ranged_anew(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    zoom_by_hand(panel)
    assert not shows_all(panel)
    panel.clear()
    assert "No object yet" in panel.nothing.text()
    panel.show_preview(preview())
    settle("Live")
    assert shows_all(panel)
