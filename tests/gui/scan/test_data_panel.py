"""The scan in pictures, one pattern selected in all of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from ptycho_core.base.errors import Problem
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.scan import Masks, Patterns
from ptycho_core.scan.survey import survey
from ptycho_gui.scan.counts_plot import CountsPlot
from ptycho_gui.scan.pattern_browser import MAXIMUM, MEAN, SINGLE


@pytest.fixture
def looked(tiny_scan):
    mask = np.ones((32, 32), bool)
    mask[3, 4] = False
    stack = tiny_scan.patterns[:].copy()
    stack[7] = 0
    return inspect(tiny_scan.replace(patterns=Patterns(stack), mask=mask))


@pytest.fixture
def shown(qtbot, panel, looked):
    panel.show_scan(looked)
    wait_for(qtbot, panel, 0)
    return panel


def title(panel):
    return panel.browser.view.plot.header.title.text()


def wait_for(qtbot, panel, index):
    qtbot.waitUntil(lambda: title(panel) == f"<b>Pattern {index}</b>" and not panel.drawing)


def wait_until_drawn(qtbot, panel):
    qtbot.waitUntil(lambda: not panel.drawing)


def test_the_first_pattern_is_shown_at_first(shown, looked):
    np.testing.assert_array_equal(shown.browser.view.counts, looked.scan.patterns[0])


@pytest.mark.parametrize("way", ["map", "counts", "slider", "number", "next"])
def test_a_pattern_is_selected_in_any_view_and_shown_in_all(qtbot, shown, looked, way):
    browser = shown.browser
    if way == "next":
        shown.select(16)
    with qtbot.waitSignal(shown.selected) as selected:
        if way in ("map", "counts"):
            getattr(shown, way).clicked.emit(17)
        elif way == "next":
            browser.next.click()
        else:
            getattr(browser, way).setValue(17)
    assert selected.args == [17]
    wait_for(qtbot, shown, 17)
    np.testing.assert_array_equal(browser.view.counts, looked.scan.patterns[17])
    y, x = looked.scan.positions[17]
    assert [values.tolist() for values in shown.map.ring.getData()] == [[x], [y]]
    assert shown.counts.line.value() == 17
    assert browser.slider.value() == browser.number.value() == 17


def test_selecting_by_a_call_is_not_told_back(qtbot, shown):
    with qtbot.assertNotEmitted(shown.selected):
        shown.select(5)
        wait_for(qtbot, shown, 5)


def test_mean_and_maximum_are_those_of_all_patterns(shown, looked):
    shown.browser.what.setCurrentIndex(MEAN)
    np.testing.assert_allclose(shown.browser.view.counts, looked.seen.mean, rtol=1e-6)
    assert title(shown) == "<b>Mean of 60 patterns</b>"
    shown.browser.what.setCurrentIndex(MAXIMUM)
    np.testing.assert_array_equal(shown.browser.view.counts, looked.seen.highest)


def test_selecting_leaves_the_mean_for_the_pattern(qtbot, shown):
    shown.browser.what.setCurrentIndex(MEAN)
    shown.map.clicked.emit(4)
    wait_for(qtbot, shown, 4)
    assert shown.browser.what.currentIndex() == SINGLE


def test_levels_are_in_counts_on_either_scale(shown):
    view = shown.browser.view
    automatic = view.levels
    shown.browser.levels.chosen.emit((2.0, 200.0))
    assert view.plot.bar.levels() == pytest.approx((np.log10(2), np.log10(200)))
    shown.browser.logarithmic.setChecked(False)
    assert view.plot.bar.levels() == (2.0, 200.0)
    shown.browser.levels.automatic.click()
    assert view.levels == automatic


def test_dragging_the_colour_bar_sets_the_levels(shown):
    view = shown.browser.view
    view.plot.bar.setLevels((0.0, 1.0))
    view.plot.bar.sigLevelsChangeFinished.emit(view.plot.bar)
    assert view.levels == pytest.approx((1.0, 10.0))
    assert shown.browser.levels.high.value() == pytest.approx(10.0)
    assert not shown.browser.levels.automatic.isChecked()


def test_masked_pixels_are_marked_and_read_out(shown):
    view = shown.browser.view
    assert np.argwhere(view.marks.image[..., 3]).tolist() == [[3, 4]]
    view.plot.hovered.emit((3, 4))
    assert view.plot.header.readout.text().endswith("bad pixel")
    shown.browser.mark_bad.setChecked(False)
    assert view.marks.image is None


def test_hovering_reads_out_the_counts_under_the_mouse(shown, looked):
    plot = shown.browser.view.plot
    plot.plot.scene().sigMouseMoved.emit(plot.plot_item.getViewBox().mapViewToScene(QPointF(16.5, 14.5)))
    assert plot.header.readout.text() == f"row 14, column 16: {looked.scan.patterns[0][14, 16]:.5g}"


def test_playing_goes_through_the_patterns_until_it_is_paused(qtbot, shown):
    shown.browser.play.click()
    qtbot.waitUntil(lambda: shown.browser.index >= 2)
    shown.browser.play.click()
    assert not shown.browser.playing
    assert shown.browser.play.accessibleName() == "Play"


def test_an_empty_pattern_is_an_outlier_of_the_counts(shown):
    assert shown.counts.outlying.tolist() == [7]
    assert "1 outlier" in shown.counts.header.title.text()


def test_a_click_on_the_counts_selects_the_nearest_pattern(qtbot, shown, looked):
    view = shown.counts.plot_item.getViewBox()
    place = shown.counts.plot.mapFromScene(view.mapViewToScene(QPointF(30.2, looked.seen.sums.mean())))
    with qtbot.waitSignal(shown.selected) as selected:
        qtbot.mouseClick(shown.counts.plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert selected.args == [30]


def test_counts_of_a_sample_are_completed(qtbot, shown, looked, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey.LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr("ptycho_core.scan.survey.SAMPLE_BYTES", 6 * 32 * 32 * 4)
    shown.show_scan(dataclasses.replace(looked, seen=survey(looked.scan.patterns)))
    wait_until_drawn(qtbot, shown)
    assert np.count_nonzero(np.isfinite(shown.map.values)) == len(shown.counts.rows) == 6
    assert "6 of 60 counted" in shown.map.header.title.text()
    shown.show_scan(looked)
    wait_until_drawn(qtbot, shown)
    assert shown.map.header.title.text() == "<b>Positions</b>"
    np.testing.assert_array_equal(shown.map.values, looked.seen.sums)
    assert shown.counts.outlying.tolist() == [7]


def test_the_probe_shows_each_mode_with_its_power(qtbot, shown, looked):
    probe = np.concatenate([looked.probe, 0.5 * looked.probe[:, ::-1]])
    shown.show_scan(dataclasses.replace(looked, probe=probe))
    wait_until_drawn(qtbot, shown)
    assert [shown.probe.mode.itemText(i) for i in range(2)] == ["1 (80.0%)", "2 (20.0%)"]
    shown.probe.mode.setCurrentIndex(1)
    np.testing.assert_allclose(shown.probe.amplitude.image_item.image, abs(probe[1]))


def test_a_guessed_probe_is_called_a_guess(qtbot, shown, looked):
    assert "guess" not in shown.probe.header.title.text()
    shown.show_scan(dataclasses.replace(looked, scan=looked.scan.replace(probe=None)))
    wait_until_drawn(qtbot, shown)
    assert "guessed" in shown.probe.header.title.text()


def test_the_selected_pattern_stays_when_the_scan_is_read_again(qtbot, shown, looked, tiny_scan):
    shown.select(21)
    shown.show_scan(inspect(tiny_scan))
    wait_for(qtbot, shown, 21)
    shown.show_scan(inspect(tiny_scan.take(range(10))))
    wait_for(qtbot, shown, 9)


@pytest.mark.parametrize(("field", "what"), [("patterns", SINGLE), ("mask", MEAN)])
def test_a_problem_is_shown_where_it_can_be_seen(qtbot, shown, field, what):
    shown.select(3)
    shown.show_problem(Problem(field, "see"))
    assert shown.browser.what.currentIndex() == what
    assert shown.browser.index == (7 if field == "patterns" else 3)


def test_without_a_scan_there_is_nothing_to_select(qtbot, shown):
    shown.show_scan(None)
    shown.select(3)
    assert not shown.browser.isVisible()
    assert not shown.browser.slider.isEnabled()


def test_a_pattern_that_cannot_be_read_says_why(qtbot, panel, looked):
    class Gone:
        shape, dtype = (60, 32, 32), np.dtype(np.float32)

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    panel.show_scan(dataclasses.replace(looked, scan=looked.scan.replace(patterns=Patterns(Gone()))))
    qtbot.waitUntil(lambda: "the disk is gone" in panel.browser.view.plot.header.readout.text())


def test_all_counts_are_seen_however_far_one_had_zoomed_in(qtbot):
    plot = CountsPlot()
    qtbot.addWidget(plot)
    plot.show()
    plot.show_counts(np.arange(10), np.ones(10))
    plot.show_counts(np.arange(5000), np.random.default_rng(0).poisson(1e4, 5000).astype(float))
    for _ in range(2):
        left, right = plot.plot_item.getViewBox().viewRange()[0]
        assert left <= 0 < 4999 <= right
        plot.plot_item.getViewBox().setXRange(5, 6)
        qtbot.keyClick(plot.plot, Qt.Key.Key_Home)


def test_what_is_masked_in_one_pattern_is_marked_in_this_one(qtbot, panel, tiny_scan):
    good = np.ones((60, 32, 32), bool)
    good[:, 3, 4] = good[0, 5, 6] = good[1, 7, 8] = good[1, 9, 9] = False
    panel.show_scan(inspect(tiny_scan.replace(mask=Masks(good))))
    browser = panel.browser
    for index, n_bad in ((0, 2), (1, 3), (2, 1)):
        panel.select(index)
        wait_for(qtbot, panel, index)
        assert (browser.view.marks.image[..., 3] > 0).sum() == n_bad
        assert browser.mark_bad.text() == f"Bad pixels ({n_bad})"
    browser.what.setCurrentIndex(MEAN)
    assert np.argwhere(browser.view.marks.image[..., 3]).tolist() == [[3, 4]]
