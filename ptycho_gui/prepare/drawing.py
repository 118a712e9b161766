"""`Drawing`: shapes drawn on a plot with the mouse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Plot

POINT, RECTANGLE, POLYGON, STROKE = "point", "rectangle", "polygon", "stroke"
"""What can be drawn: a click; a drag from corner to corner; clicks, ended by a double click or Enter; a drag."""
_ENDS = {
    POINT: QEvent.Type.MouseButtonPress,
    RECTANGLE: QEvent.Type.MouseButtonRelease,
    POLYGON: QEvent.Type.MouseButtonDblClick,
    STROKE: QEvent.Type.MouseButtonRelease,
}
_CORNERS = 3
_OPACITY = 150


class Drawing(QObject):
    """While a shape is chosen, the left mouse button draws it in place of panning; Esc gives up a shape begun."""

    drawn = Signal(object)
    """Points (n, 2) in the plot's coordinates: (y, x); two opposite corners of a rectangle."""

    def __init__(self, plot: Plot) -> None:
        super().__init__(plot)
        self._plot = plot
        self._shape: str | None = None
        self._width = 0.0
        self._points: list[tuple[float, float]] = []
        self._trace = pg.PlotCurveItem()
        self._trace.setZValue(20)
        plot.plot_item.addItem(self._trace, ignoreBounds=True)
        for watched in (plot, plot.viewport()):
            watched.installEventFilter(self)
        plot.recoloured.connect(self._apply_colours)
        self._apply_colours()

    def choose(self, shape: str | None, width: float = 0.0) -> None:
        """Choose what to draw, None to pan again; ``width`` is that of a stroke in the plot's units."""
        self._shape, self._width = shape, width
        self._begin_again()
        self._apply_colours()
        if shape:
            self._plot.viewport().setCursor(Qt.CursorShape.CrossCursor)
        else:
            self._plot.viewport().unsetCursor()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: mouse and keys of the plot."""
        if self._shape is None:
            return False
        if isinstance(event, QMouseEvent) and watched is self._plot.viewport():
            return self._hear_mouse(self._shape, event)
        return isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._hear_key(event)

    def _hear_mouse(self, shape: str, event: QMouseEvent) -> bool:
        kind, left = event.type(), Qt.MouseButton.LeftButton
        place = self._place(event.position())
        if kind == QEvent.Type.MouseMove:
            if not self._points:
                return False
            self._move(shape, place)
            return True
        if event.button() != left:
            return False
        if kind == QEvent.Type.MouseButtonPress:
            self._plot.setFocus()
            self._points.append(place)
        if self._points and kind == _ENDS[shape]:
            self._finish()
        self._show()
        return True

    def _hear_key(self, event: QKeyEvent) -> bool:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._shape == POLYGON:
            self._finish()
            return True
        if event.key() == Qt.Key.Key_Escape and self._points:
            self._begin_again()
            return True
        return False

    def _move(self, shape: str, place: tuple[float, float]) -> None:
        if shape == RECTANGLE:
            self._points[1:] = [place]
        elif shape == STROKE:
            far = max(1.0, self._width / 8)
            if np.hypot(*np.subtract(place, self._points[-1])) >= far:
                self._points.append(place)
        self._show(place if shape == POLYGON else None)

    def _finish(self) -> None:
        points = np.array(self._points)
        enough = {RECTANGLE: 2, POLYGON: _CORNERS}.get(str(self._shape), 1)
        self._begin_again()
        if len(points) >= enough:
            self.drawn.emit(points)

    def _begin_again(self) -> None:
        self._points = []
        self._show()

    def _show(self, pointer: tuple[float, float] | None = None) -> None:
        points: NDArray[np.float64] = np.array([*self._points, *([pointer] if pointer else [])]).reshape(-1, 2)
        if self._shape == RECTANGLE and len(points) == 2:
            (top, left), (bottom, right) = points
            points = np.array([(top, left), (top, right), (bottom, right), (bottom, left), (top, left)])
        elif self._shape == STROKE and len(points) == 1:
            points = np.vstack([points, points + 1e-6])  # a path of one point is not drawn
        self._trace.setData(points[:, 1], points[:, 0])

    def _place(self, position: QPointF) -> tuple[float, float]:
        place = self._plot.plot_item.getViewBox().mapSceneToView(self._plot.mapToScene(position.toPoint()))
        return place.y(), place.x()

    @Slot()
    def _apply_colours(self) -> None:
        colour = pg.mkColor(theme.colours().series[1])
        pen = pg.mkPen(colour, width=2)
        if self._shape == STROKE:
            colour.setAlpha(_OPACITY)
            pen = pg.mkPen(colour, width=max(self._width, 1e-3), cosmetic=False)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        self._trace.setPen(pen)
