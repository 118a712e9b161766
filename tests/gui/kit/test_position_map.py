"""The position map."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from ptycho_gui.kit.plots.position_map import PositionMap

POSITIONS = np.array([[0.0, 0.0], [0.0, 40.0], [30.0, 0.0], [30.0, 40.0]])


@pytest.fixture
def map_(qtbot):
    made = PositionMap()
    qtbot.addWidget(made)
    made.resize(500, 400)
    made.show()
    made.show_positions(POSITIONS, np.arange(4.0))
    qtbot.waitUntil(lambda: made.plot_item.getViewBox().viewPixelSize()[0] < 1)
    return made


def on_screen(map_, y, x):
    return map_.plot.mapFromScene(map_.plot_item.getViewBox().mapViewToScene(QPointF(x, y)))


@pytest.mark.parametrize("index", range(4))
def test_a_click_near_a_place_tells_which_pattern_it_is(qtbot, map_, index):
    y, x = POSITIONS[index]
    with qtbot.waitSignal(map_.clicked) as clicked:
        qtbot.mouseClick(map_.plot.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(map_, y + 0.5, x - 0.5))
    assert clicked.args == [index]


def test_a_click_far_from_all_places_tells_nothing(qtbot, map_):
    with qtbot.assertNotEmitted(map_.clicked):
        qtbot.mouseClick(map_.plot.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(map_, 15, 20))


def test_y_points_down_and_x_to_the_right(map_):
    first, last = on_screen(map_, 0, 0), on_screen(map_, 30, 40)
    assert last.y() > first.y()
    assert last.x() > first.x()


def test_pan_and_zoom_are_kept_when_only_the_values_change(map_):
    view = map_.plot_item.getViewBox()
    view.setRange(xRange=(5, 10), yRange=(5, 10), padding=0)
    before = view.viewRange()
    map_.show_positions(POSITIONS.copy(), np.ones(4))
    assert view.viewRange() == before
    map_.show_positions(POSITIONS + 100, np.ones(4))
    assert view.viewRange() != before


def test_home_shows_everything_again(qtbot, map_):
    view = map_.plot_item.getViewBox()
    view.setRange(xRange=(5, 10), yRange=(5, 10), padding=0)
    qtbot.keyClick(map_.plot, Qt.Key.Key_Home)
    (left, right), (top, bottom) = view.viewRange()
    assert left <= 0 < 40 <= right
    assert top <= 0 < 30 <= bottom


def test_axes_are_in_metres_where_the_pixel_size_is_known_and_overlays_stay_in_pixels(map_):
    map_.show_positions(POSITIONS, np.arange(4.0), (2e-8, 2e-8))
    axis = map_.plot_item.getAxis("bottom")
    assert axis.scale == 2e-8
    assert "µm" in axis.labelString() or "nm" in axis.labelString()
    assert map_.plot_item.getViewBox().childrenBounds()[0][1] == pytest.approx(40, abs=12)


def test_the_colours_span_the_values_that_are_known(map_):
    map_.show_positions(POSITIONS, np.array([3.0, np.nan, 8.0, 5.0]))
    assert map_.bar.levels() == (3.0, 8.0)


@pytest.mark.parametrize("positions", [np.zeros((3, 2)), np.array([[1.0, 2.0]]), np.empty((0, 2))])
def test_places_without_extent_are_drawn(map_, positions):
    map_.show_positions(positions, np.ones(len(positions)))
    assert not map_.grab().isNull()


def test_the_marked_place_has_the_ring(map_):
    map_.mark(2)
    assert [values.tolist() for values in map_.ring.getData()] == [[0.0], [30.0]]
    map_.mark(None)
    assert len(map_.ring.getData()[0]) == 0


def test_hovering_reads_out_pattern_place_and_value(map_):
    map_.show_positions(POSITIONS, np.array([1.0, 2.0, 3.0, 4567.0]))
    map_.plot.scene().sigMouseMoved.emit(map_.plot_item.getViewBox().mapViewToScene(QPointF(40, 30)))
    assert map_.header.readout.text() == "pattern 3 at (40, 30) px: 4567"


def test_numbers_in_micrometres_have_as_many_places(map_):
    map_.show_positions(POSITIONS, np.arange(4.0), (64.58e-9, 64.58e-9))
    axis = map_.plot_item.getAxis("bottom")
    scale = axis.scale * axis.autoSIPrefixScale
    for length in (1, 2, 5):
        spacing = length / scale * (1 - 1e-15)
        assert axis.tickStrings([spacing, 2 * spacing], scale, spacing) == [str(length), str(2 * length)]
