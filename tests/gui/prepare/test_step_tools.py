"""Shapes drawn on a plot, and the preprocessing steps that they become."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QWidget

from ptycho_core.scan.steps import Centre, MaskBrush, MaskPolygon, MaskRectangle, Region
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Plot
from ptycho_gui.prepare.step_tools import REGION, StepTools, step_of
from ptycho_gui.prepare.threshold import Threshold

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def tools(qtbot):
    pattern, places = Plot(), Plot()
    for plot in (pattern, places):
        qtbot.addWidget(plot)
        plot.resize(400, 400)
        plot.plot_item.invertY(True)
        plot.plot_item.setRange(xRange=(-1, 33), yRange=(-1, 33), padding=0)
        plot.show()
    panel = QWidget()
    qtbot.addWidget(panel)
    tools = StepTools(panel, pattern, places)
    tools.set_size(32)
    tools.panel, tools.pattern, tools.places = panel, pattern, places
    tools.drawn = []
    tools.step_drawn.connect(tools.drawn.append)
    return tools


def at(plot, y, x):
    scene = plot.plot_item.getViewBox().mapViewToScene(QPointF(x, y))
    return plot.mapFromScene(scene)


def drag(qtbot, plot, *places):
    qtbot.mousePress(plot.viewport(), LEFT, pos=at(plot, *places[0]))
    for place in places[1:]:
        qtbot.mouseMove(plot.viewport(), at(plot, *place))
    qtbot.mouseRelease(plot.viewport(), LEFT, pos=at(plot, *places[-1]))


def test_a_dragged_rectangle_masks_the_pixels_that_it_touches(qtbot, tools):
    tools.buttons["rectangle"].click()
    drag(qtbot, tools.pattern, (20.5, 10.5), (15, 8), (4.5, 6.5))
    assert tools.drawn == [MaskRectangle(4, 6, 21, 11)]


def test_a_polygon_is_clicked_and_ends_with_enter(qtbot, tools):
    tools.buttons["polygon"].click()
    for place in ((5, 5), (5, 25), (25, 15)):
        qtbot.mouseClick(tools.pattern.viewport(), LEFT, pos=at(tools.pattern, *place))
    qtbot.keyClick(tools.pattern, Qt.Key.Key_Return)
    (step,) = tools.drawn
    assert isinstance(step, MaskPolygon)
    np.testing.assert_allclose(step.corners, [(4.5, 4.5), (4.5, 24.5), (24.5, 14.5)], atol=0.15)


def test_escape_gives_up_a_shape_that_was_begun(qtbot, tools):
    tools.buttons["polygon"].click()
    for place in ((5, 5), (5, 25), (25, 15)):
        qtbot.mouseClick(tools.pattern.viewport(), LEFT, pos=at(tools.pattern, *place))
    qtbot.keyClick(tools.pattern, Qt.Key.Key_Escape)
    qtbot.keyClick(tools.pattern, Qt.Key.Key_Return)
    assert tools.drawn == []


def test_a_brush_stroke_keeps_its_way_and_its_radius(qtbot, tools):
    tools.buttons["brush"].click()
    tools.radius.setValue(2.5)
    drag(qtbot, tools.pattern, (5, 5), (5, 15), (15, 15))
    (step,) = tools.drawn
    assert isinstance(step, MaskBrush)
    assert step.radius == 2.5
    np.testing.assert_allclose(step.stroke, [(4.5, 4.5), (4.5, 14.5), (14.5, 14.5)], atol=0.15)


def test_a_click_sets_the_centre_once(qtbot, tools):
    tools.buttons["centre"].click()
    qtbot.mouseClick(tools.pattern.viewport(), LEFT, pos=at(tools.pattern, 14.5, 17.5))
    assert tools.drawn == [Centre("given", 14, 17)]
    assert tools.tool == ""


def test_a_region_is_dragged_on_the_positions_only(qtbot, tools):
    tools.buttons[REGION].click()
    drag(qtbot, tools.pattern, (4, 6), (20, 10))
    assert tools.drawn == []
    drag(qtbot, tools.places, (20, 10), (4, 6))
    (step,) = tools.drawn
    assert isinstance(step, Region)
    np.testing.assert_allclose((step.top, step.left, step.bottom, step.right), (4, 6, 20, 10), atol=0.15)


def test_without_a_tool_the_mouse_pans(qtbot, tools):
    tools.buttons["rectangle"].click()
    tools.buttons["rectangle"].click()
    drag(qtbot, tools.pattern, (4, 6), (20, 10))
    assert tools.drawn == []


def test_one_tool_at_a_time_and_none_without_a_scan(tools):
    tools.buttons["polygon"].click()
    tools.buttons["brush"].click()
    assert tools.tool == "brush"
    tools.set_size(0)
    assert tools.tool == ""
    assert "Open a scan first" in tools.buttons["brush"].toolTip()
    assert not tools.buttons["brush"].isEnabled()


def test_the_buttons_follow_light_and_dark(qtbot, tools):
    tools.panel.show()
    button = tools.buttons["brush"]

    def lightness():
        return button.palette().button().color().lightness()

    try:
        theme.choose("dark")
        qtbot.waitUntil(lambda: lightness() < 128)
    finally:
        theme.choose("light")
    qtbot.waitUntil(lambda: lightness() > 128)
    theme.choose("system")


def test_what_is_drawn_beyond_the_edge_is_cut_off_or_nothing():
    box = np.array([[-5.0, 20.0], [10.0, 50.0]])
    assert step_of("rectangle", box, 32, 1.0) == MaskRectangle(0, 20, 10, 32)
    assert step_of("rectangle", box - 100, 32, 1.0) is None
    assert step_of("centre", np.array([[40.0, 3.0]]), 32, 1.0) is None
    assert step_of(REGION, np.array([[1.0, 1.0], [1.0, 9.0]]), 32, 1.0) is None


@pytest.fixture
def threshold(qtbot):
    threshold = Threshold()
    qtbot.addWidget(threshold)
    threshold.show_counts(np.array([0.2, 1.0, 5.0, 90.4]))
    return threshold


def test_limits_at_the_ends_of_the_histogram_mask_nothing(threshold):
    assert threshold.limits == (None, None)
    threshold.accepted.connect(pytest.fail)
    threshold.accept_button.click()


def test_a_limit_is_typed_or_its_line_is_dragged(qtbot, threshold):
    with qtbot.waitSignal(threshold.changed):
        threshold.high.setValue(50)
    assert threshold.limits == (None, 50)
    threshold.kept.setRegion((np.log10(1 + 0.5), np.log10(1 + 20)))
    assert threshold.limits == pytest.approx((0.5, 20), rel=1e-3)
    with qtbot.waitSignal(threshold.accepted):
        threshold.accept_button.click()
