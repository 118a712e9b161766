from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QLabel

from ptycho_core.quality.picture import Pictures
from ptycho_gui.kit.plots.lengths import length_text
from ptycho_gui.result.object_panel import ObjectPanel
from tests.helpers.reconstructions import GEOMETRY, preview, reconstruction, tilted

PIXEL = reconstruction().pixel_size_m


@pytest.fixture
def panel(qtbot):
    panel = ObjectPanel()
    qtbot.addWidget(panel)
    panel.resize(1100, 480)  # all buttons in one row
    with qtbot.waitExposed(panel):
        panel.show()
    yield panel
    panel.shut_down()


@pytest.fixture
def settle(qtbot, qapp, panel):
    def settle(title: str) -> None:
        qtbot.waitUntil(lambda: title in panel.title.text() and not panel.jobs.busy and not panel._beside.isActive())
        qapp.processEvents()  # what became visible gets its size

    return settle


@pytest.fixture
def compared(panel, settle):
    panel.compare(("run 1", reconstruction()), ("run 2", tilted(reconstruction())))
    settle("A and B agree")
    return panel


def shown(panel) -> Pictures:
    return panel.ready.pictures[0]


def view_range(panel) -> list[float]:
    return [end for axis in panel.view.panes[0].view.viewRange() for end in axis]


def shows_all(panel) -> bool:
    """Whether what got light fills the picture, and is whole; of whatever size the picture is."""
    x, y, width, height = shown(panel).object.box
    left, right, top, bottom = view_range(panel)
    whole = left <= x < x + width <= right and top <= y < y + height <= bottom
    return whole and min((right - left) / width, (bottom - top) / height) < 1.1


def zoom_by_hand(panel) -> None:
    view = panel.view.panes[0].view
    view.scaleBy((0.25, 0.25))
    view.sigRangeChangedManually.emit([True, True])


def test_a_preview_says_that_it_is_live_and_counts_epochs_from_one(panel, settle):
    panel.show_preview(preview(epoch=11), PIXEL)
    settle("Live, epoch 12")


def test_of_previews_that_come_too_fast_the_last_is_shown(panel, settle):
    for epoch in range(5):
        panel.show_preview(preview(epoch=epoch, step=epoch), PIXEL)
    settle("Live, epoch 5")


def test_the_first_preview_is_shown_as_far_as_there_was_light(panel, settle):
    panel.show_preview(preview(), PIXEL)
    settle("Live")
    assert shows_all(panel)


def test_the_right_picture_comes_once_the_left_one_had_time_to_be_painted(panel, qtbot):
    panel.show_preview(preview(), PIXEL)
    left, right = panel.view.panes
    with qtbot.waitSignal(panel.jobs.succeeded):
        pass
    assert left.image.pyramid is not None
    assert right.image.pyramid is None
    qtbot.waitUntil(lambda: right.image.pyramid is not None)


def test_zoom_and_pan_stay_from_preview_to_preview_and_to_the_reconstruction(panel, settle):
    panel.show_preview(preview(), PIXEL)
    settle("epoch 1")
    zoom_by_hand(panel)
    before = view_range(panel)
    panel.show_preview(preview(1, 1), PIXEL)
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
    bar = panel.view.panes[0].bar
    panel.show_preview(preview(), PIXEL)
    settle("epoch 1")
    first = bar.levels()
    panel.show_preview(preview(1, 1, factor=3), PIXEL)
    settle("epoch 2")
    assert bar.levels()[1] == pytest.approx(3 * first[1], rel=0.01)
    panel.lock.click()
    locked = bar.levels()
    panel.show_preview(preview(2, 2, factor=1), PIXEL)
    settle("epoch 3")
    assert bar.levels() == locked
    panel.lock.click()
    assert bar.levels() == pytest.approx(first)


def test_dragging_a_colour_bar_locks_the_levels(panel, settle):
    panel.show_preview(preview(), PIXEL)
    settle("epoch 1")
    bar = panel.view.panes[0].bar
    bar.region.setRegion((63, 220))
    chosen = bar.levels()
    assert panel.lock.isChecked()
    panel.show_preview(preview(1, 1, factor=3), PIXEL)
    settle("epoch 2")
    assert bar.levels() == pytest.approx(chosen, rel=0.02)


def test_levels_can_be_typed_and_made_automatic_again(panel, settle):
    panel.show_preview(preview(), PIXEL)
    settle("epoch 1")
    pane = panel.view.panes[1]
    automatic = pane.bar.levels()
    pane.levels.low.setValue(-1.5)
    assert pane.bar.levels()[0] == pytest.approx(-1.5)
    assert panel.lock.isChecked()
    pane.levels.automatic.click()
    assert not panel.lock.isChecked()
    assert pane.bar.levels() == pytest.approx(automatic)


def test_the_title_says_how_good_a_reconstruction_is(panel, settle):
    metrics = {"free_deviance": 0.4913, "free_misfit": 1.0842, "half_scans_resolution_px": 2.5}
    panel.show_reconstruction("epoch 30", reconstruction(metrics=metrics))
    settle("epoch 30: half scans agree down to ")
    assert panel.title.text().endswith(" nm, free misfit 1.0842, free deviance 0.4913, 225 patterns")


def test_the_title_says_why_half_scans_are_not_compared(panel, settle):
    panel.show_reconstruction("few", reconstruction(metrics={"half_scans_reason": "20 patterns are too few"}))
    settle("few: 225 patterns, half scans are not compared: 20 patterns are too few")


def test_figures_without_patterns_to_take_them_from_are_dashes(panel, settle):
    panel.show_reconstruction("all", reconstruction(metrics={"free_deviance": math.nan, "free_misfit": None}))
    settle("all: free misfit –, free deviance –, 225 patterns")


@pytest.mark.parametrize("metrics", [{}, {"r": 0.15, "r_free": 0.16}], ids=["foreign", "of version 0.1"])
def test_figures_that_a_reconstruction_does_not_have_are_left_out(panel, settle, metrics):
    panel.show_reconstruction("other", reconstruction(metrics=metrics))
    settle("other: 225 patterns")


def test_previews_do_not_push_aside_what_was_asked_for(panel, settle):
    panel.show_preview(preview(0, 5), PIXEL)
    settle("Live")
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.show_preview(preview(7, 6), PIXEL)
    settle("best")
    assert panel.live.isVisible()
    panel.live.click()
    settle("Live, epoch 8")
    assert not panel.live.isVisible()


def test_the_first_preview_of_a_new_run_is_shown(panel, settle):
    panel.show_preview(preview(9, 500), PIXEL)
    settle("Live")
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.show_preview(preview(0, 3), PIXEL)
    settle("Live, epoch 1")


def test_what_is_done_for_display_only_is_written_onto_the_phase(panel, settle, qtbot):
    panel.show_reconstruction("tilted", tilted(reconstruction()))
    settle("tilted")
    panel.ramp.click()
    note = panel.view.panes[1].note
    qtbot.waitUntil(lambda: "display only: ramp removed" in note.toPlainText())
    panel.unwrap.click()
    qtbot.waitUntil(lambda: "ramp removed, unwrapped" in note.toPlainText())
    assert panel.view.panes[0].note.toPlainText() == ""
    panel.ramp.click()
    panel.unwrap.click()
    qtbot.waitUntil(lambda: note.toPlainText() == "")


def test_both_pictures_pan_and_zoom_together(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.view.panes[0].view.setRange(xRange=(20, 40), yRange=(30, 50), padding=0)
    left, right = (pane.view.viewRect().center() for pane in panel.view.panes)
    assert (left.x(), left.y()) == pytest.approx((right.x(), right.y()), abs=0.5)


def test_the_crosshair_reads_out_amplitude_phase_and_place(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.view.panes[0].hovered.emit((30.0, 40.0))
    amplitude, phase = (pane.header.readout.text() for pane in panel.view.panes)
    assert float(amplitude) == pytest.approx(abs(reconstruction().object[40, 30]), rel=1e-3)
    assert phase.endswith(" rad")
    assert panel.place.text() == f"x {30 * PIXEL[1] * 1e6:.3f} µm, y {40 * PIXEL[0] * 1e6:.3f} µm"
    panel.view.panes[1].hovered.emit(None)
    assert panel.place.text() == ""


def test_lengths_are_pixels_where_the_pixel_size_is_not_known(panel, settle):
    panel.show_reconstruction("best", reconstruction(geometry=dataclasses.replace(GEOMETRY, distance_m=None)))
    settle("best")
    panel.view.panes[0].hovered.emit((30.0, 40.0))
    assert panel.place.text() == "x 30, y 40 px"


def test_positions_are_marked_where_they_are_known(panel, settle):
    panel.show_preview(preview(), PIXEL)
    settle("Live")
    assert not panel.positions.isEnabled()
    assert "Previews carry no positions" in panel.positions.toolTip()
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.positions.click()
    assert len(panel.view.dots[0].getData()[0]) == 225


def test_a_profile_is_taken_along_a_line_that_is_dragged(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.view.profiles_changed):
        panel.line.click()
    first = panel.profile.readout.text()
    assert first.startswith("Line ")
    with qtbot.waitSignal(panel.view.profiles_changed) as heard:
        panel.view.roi.movePoint(panel.view.roi.endpoints[0], (10, 10))
    assert heard.args[0]["best"].distance[-1] > 0
    assert panel.profile.readout.text() != first
    panel.line.click()
    assert panel.view.line is None


def test_the_marks_of_a_profile_measure_what_is_between_them(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.view.profiles_changed):
        panel.line.click()
    before = panel.profile.readout.text()
    region = panel.profile.regions["phase"]
    low, high = region.getRegion()
    region.setRegion((low, low + 0.1 * (high - low)))
    assert panel.profile.readout.text() != before
    assert panel.profile.regions["amplitude"].getRegion() == pytest.approx(region.getRegion())


def test_two_objects_are_compared_without_ramp_and_shift_between_them(compared):
    first, second = (each.object.images["phase"].levels[0][12:-12, 12:-12] for each in compared.ready.pictures)
    assert abs(first - second).mean() < 0.02


def test_a_comparison_tells_resolution_and_what_it_is_of(compared):
    compared.rings.click()
    assert compared.frc.isVisible()
    assert compared.frc.sentence.text().startswith("A and B agree down to ")
    assert "It is the resolution only if they come from different patterns" in compared.frc.sentence.text()
    assert "A: run 1" in compared.comparison.names.text()
    assert "free misfit" in compared.title.text()


def test_pictures_of_one_run_are_called_similar_by_the_size_of_details(panel, settle):
    of = reconstruction()
    pair = [dataclasses.replace(of, metrics={**of.metrics, "checkpoint": f"/run/checkpoints/{n}.ckpt"}) for n in "ab"]
    panel.compare(("Epoch 1", pair[0]), ("Epoch 2", pair[1]))
    settle("A and B agree")
    panel.rings.click()
    assert "this is how similar they are, and no resolution" in panel.frc.sentence.text()
    axis = panel.frc.plot.plot_item.getAxis("bottom")
    assert axis.labelText == "Size of details"
    assert "(x" not in axis.labelString()  # the ticks have their units
    assert axis.tickStrings([0.0, 0.25], 1, 0.25) == ["", length_text(2 * max(PIXEL), True)]


def test_a_correlation_needs_two_objects_and_says_so(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    assert not panel.rings.isEnabled()
    assert "two reconstructions" in panel.rings.toolTip()


def test_side_by_side_the_same_quantity_of_both_is_shown_in_the_same_levels(compared):
    left, right = compared.view.panes
    assert left.header.title.text() == "<b>A: Phase (rad)</b>"
    assert right.header.title.text() == "<b>B: Phase (rad)</b>"
    assert left.bar.levels() == right.bar.levels()
    left.bar.region.setRegion((63, 220))
    assert right.bar.levels() == pytest.approx(left.bar.levels(), rel=0.02)
    compared.comparison.quantity.setCurrentIndex(0)
    assert left.header.title.text() == "<b>A: Amplitude</b>"


def test_blinking_shows_both_in_turn_at_the_chosen_interval(compared, qtbot):
    heard = []
    compared.comparison.interval.setValue(0.1)
    compared.comparison.blink.click()
    compared.comparison.arranged.connect(lambda slots: heard.append(slots[0][0]))
    qtbot.waitUntil(lambda: len(heard) >= 3)
    assert heard[:3] in ([1, 0, 1], [0, 1, 0])


def test_a_key_flips_and_by_hand_nothing_else_does(compared, qtbot):
    compared.comparison.interval.setValue(0)
    compared.comparison.blink.click()
    assert not compared.comparison.blinking
    pane = compared.view.panes[0]
    assert pane.header.title.text() == "<b>A: Amplitude</b>"
    pane.plot.setFocus()
    qtbot.keyClick(pane.plot, Qt.Key.Key_I)
    assert pane.header.title.text() == "<b>B: Amplitude</b>"
    assert "B" in pane.note.toPlainText()


def test_no_time_runs_while_the_panel_is_hidden(compared):
    compared.comparison.blink.click()
    assert compared.comparison.blinking
    compared.hide()
    assert not compared.comparison.blinking
    compared.show()
    assert compared.comparison.blinking


def test_a_comparison_that_is_not_possible_says_why(panel, qtbot):
    other = reconstruction(geometry=dataclasses.replace(GEOMETRY, distance_m=4.0))
    panel.compare(("run 1", reconstruction()), ("run 2", other))
    qtbot.waitUntil(lambda: "pixels of different sizes" in panel.nothing.text())
    assert not panel.export.isEnabled()


def test_after_a_comparison_one_object_is_shown_as_before(compared, settle):
    compared.show_reconstruction("best", reconstruction())
    settle("best: free misfit")
    assert compared.comparison.isHidden()
    assert [pane.header.title.text() for pane in compared.view.panes] == ["<b>Amplitude</b>", "<b>Phase (rad)</b>"]


def test_keys_work_while_the_focus_is_in_the_panel(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.view.panes[1].plot.setFocus()
    qtbot.keyClick(panel.view.panes[1].plot, Qt.Key.Key_M)
    assert not panel.dim.isChecked()
    assert not panel.view.panes[0].dark.isVisible()


def test_every_mnemonic_is_unique_and_every_tool_tip_names_its_key(panel):
    widgets = [*panel.findChildren(QAbstractButton), *panel.findChildren(QLabel)]
    texts = [each.text() for each in widgets if each.window() is panel]  # a menu has its own
    letters = [found[1].lower() for text in texts if (found := re.search("&([^&])", text))]
    assert len(letters) == len(set(letters))
    assert "(R)" in panel.ramp.toolTip()


def test_without_an_object_every_button_says_why_it_is_disabled(panel):
    for button in (panel.fit, panel.lock, panel.ramp, panel.positions, panel.line, panel.export):
        assert not button.isEnabled()
        assert "There is no object yet" in button.toolTip()


def test_a_reconstruction_can_be_exported_and_a_preview_not_yet(panel, settle, qtbot):
    panel.show_preview(preview(), PIXEL)
    settle("Live")
    assert not panel.export.isEnabled()
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.export_requested):
        panel.export.click()


def test_after_clearing_the_next_preview_is_ranged_anew(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    zoom_by_hand(panel)
    assert not shows_all(panel)
    panel.clear()
    assert "No object yet" in panel.nothing.text()
    panel.show_preview(preview(), PIXEL)
    settle("Live")
    assert shows_all(panel)


def test_what_was_cleared_while_it_was_prepared_is_not_shown(panel, qtbot):
    panel.show_reconstruction("best", reconstruction())
    with qtbot.waitSignal(panel.jobs.ended):
        panel.clear()
    assert "No object yet" in panel.nothing.text()
    assert not panel.export.isEnabled()


def test_the_panel_can_be_shut_down_while_it_prepares(panel):
    panel.show_reconstruction("best", reconstruction())
    panel.shut_down()
    assert panel.ready is None


def test_the_probe_is_shown_beside_the_object_and_can_be_put_away(panel, settle):
    two = np.concatenate([reconstruction().probe, 0.5 * reconstruction().probe])
    panel.show_reconstruction("best", reconstruction(probe=two))
    settle("best")
    assert panel.probe.mode.count() == 2
    panel.with_probe.click()
    assert panel.probe.isHidden()


def test_what_refinement_moved_is_drawn_as_arrows_and_counted(panel, settle):
    plain = reconstruction()
    panel.show_reconstruction("plain", plain)
    settle("plain")
    assert not panel.moves.isEnabled()
    recorded = plain.positions_px + np.random.default_rng(4).normal(0, 1, plain.positions_px.shape)
    panel.show_reconstruction("moved", dataclasses.replace(plain, recorded_positions_px=recorded))
    settle("moved")
    panel.moves.click()
    view = panel.displaced
    assert view.isVisible()
    assert "stretched" in view.sentence.text()
    assert "Arrows are" in view.legend.text()
    x, _ = view._lines.getData()
    assert len(x) == 6 * len(recorded)
    _, counts = view._steps.getData()
    assert counts.sum() == len(recorded)
    after = view.places.positions
    view.before.click()
    np.testing.assert_array_equal(view.places.positions, recorded)
    assert np.abs(after - recorded).max() > 1
    panel.show_reconstruction("plain", plain)
    settle("plain")
    assert view.isHidden()
