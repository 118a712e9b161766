"""Two objects in the object panel: side by side, in turn, and how far they agree."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt

from ptycho_gui.kit.plots.lengths import length_text
from tests.helpers.reconstructions import GEOMETRY, reconstruction, tilted

PIXEL = reconstruction().pixel_size_m


@pytest.fixture
def compared(panel, settle):
    panel.compare(("run 1", reconstruction()), ("run 2", tilted(reconstruction())))
    settle("A and B agree")
    return panel


def test_two_objects_are_compared_without_ramp_and_shift_between_them(compared):
    first, second = (each.object.images["phase"].levels[0][12:-12, 12:-12] for each in compared.pictures.ready.pictures)
    assert abs(first - second).mean() < 0.02


def test_a_comparison_tells_resolution_and_what_it_is_of(compared):
    compared.tools.rings.click()
    assert compared.pictures.frc.isVisible()
    assert compared.pictures.frc.sentence.text().startswith("A and B agree down to ")
    assert "It is the resolution only if they come from different patterns" in compared.pictures.frc.sentence.text()
    assert "A: run 1" in compared.comparison.names.text()
    assert "free misfit" in compared.title.text()


def test_pictures_of_one_run_are_called_similar_by_the_size_of_details(panel, settle):
    of = reconstruction()
    pair = [dataclasses.replace(of, metrics={**of.metrics, "checkpoint": f"/run/checkpoints/{n}.ckpt"}) for n in "ab"]
    panel.compare(("Epoch 1", pair[0]), ("Epoch 2", pair[1]))
    settle("A and B agree")
    panel.tools.rings.click()
    assert "this is how similar they are, and no resolution" in panel.pictures.frc.sentence.text()
    axis = panel.pictures.frc.plot.plot_item.getAxis("bottom")
    assert axis.labelText == "Size of details"
    assert "(x" not in axis.labelString()  # the ticks have their units
    assert axis.tickStrings([0.0, 0.25], 1, 0.25) == ["", length_text(2 * max(PIXEL), True)]


def test_a_correlation_needs_two_objects_and_says_so(panel, settle):
    panel.show_reconstruction("best", reconstruction())
    settle("best")
    assert not panel.tools.rings.isEnabled()
    assert "two reconstructions" in panel.tools.rings.toolTip()


def test_side_by_side_the_same_quantity_of_both_is_shown_in_the_same_levels(compared):
    left, right = compared.pictures.view.panes
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
    pane = compared.pictures.view.panes[0]
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
    assert not panel.tools.export.isEnabled()


def test_after_a_comparison_one_object_is_shown_as_before(compared, settle):
    compared.show_reconstruction("best", reconstruction())
    settle("best: free misfit")
    assert compared.comparison.isHidden()
    assert [pane.header.title.text() for pane in compared.pictures.view.panes] == [
        "<b>Amplitude</b>",
        "<b>Phase (rad)</b>",
    ]
