"""The object panel: what it shows when, what it says of it, and what can be done with it."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from PySide6.QtCore import Qt

from ptycho_gui.kit.keyed_button import KeyedButton
from tests.helpers.reconstructions import GEOMETRY, preview, reconstruction, tilted

PIXEL = reconstruction().pixel_size_m


def test_a_preview_says_that_it_is_live_and_of_which_epoch(panel, settle):
    panel.show_preview(preview(epoch=12))
    settle("Live, epoch 12")


def test_of_previews_that_come_too_fast_the_last_is_shown(panel, settle):
    for epoch in range(1, 6):
        panel.show_preview(preview(epoch=epoch, step=epoch))
    settle("Live, epoch 5")


def test_the_title_says_how_good_a_reconstruction_is(panel, settle):
    metrics = {"free_deviance": 0.4913, "free_misfit": 1.0842, "half_scans_resolution_px": 2.5}
    panel.show_reconstruction("epoch 30", reconstruction(metrics=metrics))
    settle("epoch 30: half scans agree down to ")
    assert panel.title.text().endswith(" nm, free misfit 1.0842, free deviance 0.4913, 225 patterns")


def test_the_title_says_that_figures_are_from_before_the_final_pass(panel, settle):
    metrics = {"free_misfit": 1.0842, "final_pass": "all 225 patterns, 8 epochs; scores are from before it"}
    panel.show_reconstruction("epoch 30", reconstruction(metrics=metrics))
    settle("epoch 30: free misfit 1.0842 before the final pass")


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


def test_the_right_picture_comes_once_the_left_one_had_time_to_be_painted(panel, qtbot):
    left, right = (pane.image for pane in panel.pictures.view.panes)
    at_first = []
    panel.jobs.succeeded.connect(lambda ready: at_first.append((left.pyramid is None, right.pyramid is None)))
    panel.show_preview(preview())
    qtbot.waitUntil(lambda: right.pyramid is not None)
    assert at_first == [(False, True)]


def test_previews_do_not_push_aside_what_was_asked_for(panel, settle):
    panel.show_preview(preview(1, 5))
    settle("Live")
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.show_preview(preview(8, 6))
    settle("best")
    assert panel.live.isVisible()
    panel.live.click()
    settle("Live, epoch 8")
    assert not panel.live.isVisible()


def test_the_first_preview_of_a_new_run_is_shown(panel, settle):
    panel.show_preview(preview(10, 500))
    settle("Live")
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.show_preview(preview(1, 3))
    settle("Live, epoch 1")


def test_what_is_done_for_display_only_is_written_onto_the_phase(panel, settle, qtbot):
    panel.show_reconstruction("tilted", tilted(reconstruction()))
    settle("tilted")
    panel.tools.ramp.click()
    note = panel.pictures.view.panes[1].note
    qtbot.waitUntil(lambda: "display only: ramp removed" in note.toPlainText())
    panel.tools.unwrap.click()
    qtbot.waitUntil(lambda: "ramp removed, unwrapped" in note.toPlainText())
    assert panel.pictures.view.panes[0].note.toPlainText() == ""
    panel.tools.ramp.click()
    panel.tools.unwrap.click()
    qtbot.waitUntil(lambda: note.toPlainText() == "")


def test_the_crosshair_reads_out_amplitude_phase_and_place(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.pictures.view.panes[0].hovered.emit((30.0, 40.0))
    amplitude, phase = (pane.header.readout.text() for pane in panel.pictures.view.panes)
    assert float(amplitude) == pytest.approx(abs(reconstruction().object[40, 30]), rel=1e-3)
    assert phase.endswith(" rad")
    assert panel.place.text() == f"x {30 * PIXEL[1] * 1e6:.3f} µm, y {40 * PIXEL[0] * 1e6:.3f} µm"
    panel.pictures.view.panes[1].hovered.emit(None)
    assert panel.place.text() == ""


def test_lengths_are_pixels_where_the_pixel_size_is_not_known(panel, settle):
    panel.show_reconstruction("best", reconstruction(geometry=dataclasses.replace(GEOMETRY, distance_m=None)))
    settle("best")
    panel.pictures.view.panes[0].hovered.emit((30.0, 40.0))
    assert panel.place.text() == "x 30, y 40 px"


def test_positions_are_marked_where_they_are_known(panel, settle):
    panel.show_preview(preview())
    settle("Live")
    assert not panel.tools.positions.isEnabled()
    assert "Previews carry no positions" in panel.tools.positions.toolTip()
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.tools.positions.click()
    assert len(panel.pictures.view.dots[0].getData()[0]) == 225


def test_a_profile_is_taken_along_a_line_that_is_dragged(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.pictures.view.profiles_changed):
        panel.tools.line.click()
    first = panel.pictures.profile.readout.text()
    assert first.startswith("Line ")
    with qtbot.waitSignal(panel.pictures.view.profiles_changed) as heard:
        panel.pictures.view.roi.movePoint(panel.pictures.view.roi.endpoints[0], (10, 10))
    assert heard.args[0]["best"].distance[-1] > 0
    assert panel.pictures.profile.readout.text() != first
    panel.tools.line.click()
    assert panel.pictures.view.line is None


def test_the_marks_of_a_profile_measure_what_is_between_them(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.pictures.view.profiles_changed):
        panel.tools.line.click()
    before = panel.pictures.profile.readout.text()
    region = panel.pictures.profile.regions["phase"]
    low, high = region.getRegion()
    region.setRegion((low, low + 0.1 * (high - low)))
    assert panel.pictures.profile.readout.text() != before
    assert panel.pictures.profile.regions["amplitude"].getRegion() == pytest.approx(region.getRegion())


def test_keys_work_while_the_focus_is_in_the_panel(panel, settle, qtbot):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    panel.pictures.view.panes[1].plot.setFocus()
    qtbot.keyClick(panel.pictures.view.panes[1].plot, Qt.Key.Key_M)
    assert not panel.tools.dim.isChecked()
    assert not panel.pictures.view.panes[0].dark.isVisible()


def test_every_tool_tip_names_its_key(panel):
    keyed = panel.findChildren(KeyedButton)
    assert len(keyed) > 10
    keys = [re.search(r"\((\w)\)", button.toolTip())[1] for button in keyed]
    assert len(keys) == len(set(keys))


def test_without_an_object_every_button_says_why_it_is_disabled(panel):
    for button in (
        panel.tools.fit,
        panel.tools.lock,
        panel.tools.ramp,
        panel.tools.positions,
        panel.tools.line,
        panel.tools.export,
    ):
        assert not button.isEnabled()
        assert "There is no object yet" in button.toolTip()


def test_a_reconstruction_can_be_exported_and_a_preview_not_yet(panel, settle, qtbot):
    panel.show_preview(preview())
    settle("Live")
    assert not panel.tools.export.isEnabled()
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    with qtbot.waitSignal(panel.export_requested):
        panel.tools.export.click()


def test_what_was_cleared_while_it_was_prepared_is_not_shown(panel, qtbot):
    panel.show_reconstruction("best", reconstruction())
    with qtbot.waitSignal(panel.jobs.ended):
        panel.clear()
    assert "No object yet" in panel.nothing.text()
    assert not panel.tools.export.isEnabled()


def test_the_panel_can_be_shut_down_while_it_prepares(panel):
    panel.show_reconstruction("best", reconstruction())
    panel.shut_down()
    assert panel.pictures.ready is None


def test_the_probe_is_shown_beside_the_object_and_can_be_put_away(panel, settle):
    two = np.concatenate([reconstruction().probe, 0.5 * reconstruction().probe])
    panel.show_reconstruction("best", reconstruction(probe=two))
    settle("best")
    assert panel.pictures.probe.mode.count() == 2
    panel.tools.probe.click()
    assert panel.pictures.probe.isHidden()


def test_what_refinement_moved_is_drawn_as_arrows_and_counted(panel, settle):
    plain = reconstruction()
    panel.show_reconstruction("plain", plain)
    settle("plain")
    assert not panel.tools.moves.isEnabled()
    recorded = plain.positions_px + np.random.default_rng(4).normal(0, 1, plain.positions_px.shape)
    panel.show_reconstruction("moved", dataclasses.replace(plain, recorded_positions_px=recorded))
    settle("moved")
    panel.tools.moves.click()
    view = panel.pictures.displaced
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
