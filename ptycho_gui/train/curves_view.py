"""`CurvesView`: a plot of curves that grow, with the best epoch marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPen
from PySide6.QtWidgets import QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.runs.curves import Curve
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Plot

_SMOOTH_LINES = 100
"""Curves of at most so many points are drawn without jagged edges; that takes too long for more."""
_MARKED_POINTS = 60
"""Curves of at most so many points have a mark at each."""

_STYLES = (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine, Qt.PenStyle.DashDotDotLine)
_LINES = {
    Qt.PenStyle.SolidLine: "\N{BOX DRAWINGS HEAVY HORIZONTAL}",
    Qt.PenStyle.DashLine: "\N{BOX DRAWINGS HEAVY DOUBLE DASH HORIZONTAL}",
    Qt.PenStyle.DotLine: "\N{BOX DRAWINGS HEAVY QUADRUPLE DASH HORIZONTAL}",
    Qt.PenStyle.DashDotLine: "\N{BOX DRAWINGS HEAVY DOUBLE DASH HORIZONTAL}·",
    Qt.PenStyle.DashDotDotLine: "\N{BOX DRAWINGS HEAVY DOUBLE DASH HORIZONTAL}··",
}
_SIGNS = {"training": "■", "validation": "●", "misfit": "●", "free_misfit": "◆"}
_MARKS = {"training": "s", "validation": "o", "misfit": "o", "free_misfit": "d"}
_COLOURS = {"validation": 1, "free_misfit": 1}
"""Places in the series of colours, for the run that is shown; 0 for the other roles."""
_WIDTHS = {"raw": 1.0, "steps": 1.2}
_PAN, _ZOOM = 0.1, 0.8


class CurvesView(Plot):
    """Follows its curves as they grow until one pans or zooms, with mouse or keys, and again after `show_all`."""

    pointed = Signal(object)
    """The place on the x axis that the mouse points at; None when it has left."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot_item.setAxisItems({"left": _ValueAxis("left")})
        self.apply_colours()
        self.drawn: dict[tuple[int, str, str], Any] = {}
        self.curves: Sequence[Curve] = ()
        self._log = False
        self.plot_item.showGrid(x=True, y=True, alpha=0.2)
        for name in ("left", "bottom"):
            self.getAxis(name).enableAutoSIPrefix(False)
            self.getAxis(name).setStyle(maxTickLevel=0)  # the finer lines of the grid take longer than the curves
        self._cursor = pg.InfiniteLine(angle=90)
        self.best = pg.InfiniteLine(angle=90, label="", labelOpts={"position": 0.55})
        self._best_point = pg.PlotDataItem(symbol="star", symbolSize=15, pen=None)
        for item in (self._cursor, self.best, self._best_point):
            item.setZValue(10)
            item.hide()
        for line in (self._cursor, self.best):
            self.addItem(line, ignoreBounds=True)
        self.addItem(self._best_point)
        self.scene().sigMouseMoved.connect(self._point)
        self.recoloured.connect(self._recolour)
        self._recolour()

    def set_axes(self, x: str, y: str, ticks: Sequence[str] | None = None) -> None:
        """Say what is on the axes; ``ticks`` are words for x = 0, 1, ..."""
        self.setLabel("bottom", x)
        self.setLabel("left", y)
        if ticks is not None:
            self.getAxis("bottom").setTicks([list(enumerate(ticks))])
            self.plot_item.getViewBox().setDefaultPadding(0.2)

    def set_log(self, log: bool) -> None:
        """Choose a logarithmic y axis."""
        if log != self._log:
            self._log = log
            self.plot_item.setLogMode(False, log)
            self.show_all()

    def show_curves(self, curves: Sequence[Curve]) -> None:
        """Show these curves and no others."""
        self.curves = curves
        wanted = {(curve.run, curve.role, curve.words): curve for curve in curves}
        for key in [key for key in self.drawn if key not in wanted]:
            self.removeItem(self.drawn.pop(key))
        for key, curve in wanted.items():
            if key not in self.drawn:
                self.drawn[key] = self._make(curve)
            marked = curve.role in _MARKS and len(curve.x) <= _MARKED_POINTS
            self.drawn[key].setData(
                curve.x,
                curve.y,
                symbol=_MARKS[curve.role] if marked else None,
                antialias=len(curve.x) <= _SMOOTH_LINES,
                skipFiniteCheck=True,
            )

    def mark_best(self, x: float | None, words: str, value: float | None = None) -> None:
        """Mark the best epoch at ``x``, and its value if that is on this plot; None for no mark."""
        self.best.setVisible(x is not None)
        self._best_point.setVisible(value is not None)
        if x is not None:
            self.best.setValue(x)
            self.best.label.setFormat(words)
        self._best_point.setData(*([[x], [value]] if value is not None else [[], []]))

    def show_all(self) -> None:
        """Show all of the curves, and follow them from now on."""
        self.plot_item.enableAutoRange()

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: the mouse is elsewhere."""
        super().leaveEvent(event)
        self._cursor.hide()
        self.pointed.emit(None)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: arrows pan, + and - zoom."""
        box = self.plot_item.getViewBox()
        width, height = box.viewRect().width(), box.viewRect().height()
        match event.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                box.translateBy(x=_PAN * width * (1 if event.key() == Qt.Key.Key_Right else -1))
            case Qt.Key.Key_Up | Qt.Key.Key_Down:
                box.translateBy(y=_PAN * height * (1 if event.key() == Qt.Key.Key_Up else -1))
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                box.scaleBy((_ZOOM, _ZOOM))
            case Qt.Key.Key_Minus:
                box.scaleBy((1 / _ZOOM, 1 / _ZOOM))
            case _:
                super().keyPressEvent(event)

    def _point(self, position: QPointF) -> None:
        box = self.plot_item.getViewBox()
        inside = box.sceneBoundingRect().contains(position)
        self._cursor.setVisible(inside)
        if inside:
            x = box.mapSceneToView(position).x()
            self._cursor.setValue(x)
            self.pointed.emit(x)
        else:
            self.pointed.emit(None)

    def _make(self, curve: Curve) -> Any:
        pen, colour = look(curve)
        item = self.plot_item.plot(
            pen=pen,
            autoDownsampleFactor=1,  # a pair of points for each pixel: more cannot be seen, and takes its time
            symbolSize=9 if curve.role in ("misfit", "free_misfit") else 6,
            symbolBrush=colour,
            symbolPen=None,
        )
        item.setDownsampling(auto=True, method="peak")
        item.setClipToView(True)
        return item

    def _recolour(self) -> None:
        colours = theme.colours()
        self._cursor.setPen(colours.muted)
        self.best.setPen(pg.mkPen(colours.foreground, style=Qt.PenStyle.DashLine))
        self.best.label.setColor(colours.foreground)
        background = QColor(colours.background)
        background.setAlphaF(0.8)
        self.best.label.fill = pg.mkBrush(background)
        self._best_point.setSymbolBrush(colours.foreground)
        self._best_point.setSymbolPen(colours.background)
        for key in [*self.drawn]:
            self.removeItem(self.drawn.pop(key))
        self.show_curves(self.curves)


class _ValueAxis(pg.AxisItem):  # type: ignore[misc]
    """Has enough figures on a logarithmic axis of less than a decade, too."""

    def logTickValues(self, low: float, high: float, size: float, ticks: Any) -> Any:
        """Pyqtgraph: where the ticks are, as logarithms."""
        if high - low >= 1:
            return super().logTickValues(low, high, size, ticks)
        (spacing, _), *_ = self.tickSpacing(10**low, 10**high, size)
        first, last = math.ceil(10**low / spacing), math.floor(10**high / spacing)
        return [(None, [math.log10(place * spacing) for place in range(first, last + 1)])]

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float | None) -> list[str]:
        """Pyqtgraph: what is written at the ticks."""
        return [f"{10**value:.4g}" for value in values]


def look(curve: Curve) -> tuple[QPen | None, QColor]:
    """Return the pen of a curve, None for points alone, and its colour: those of the scheme in force."""
    series = theme.colours().series
    if curve.run:
        colour = QColor(series[(curve.run + 1) % len(series)])
        width = 2.0 if curve.role == "validation" else 1.2
        return pg.mkPen(colour, width=width, style=_STYLES[(curve.run - 1) % len(_STYLES)]), colour
    colour = QColor(series[_COLOURS.get(curve.role, 0)])
    if curve.role == "raw":
        colour.setAlphaF(0.3)
    if curve.role in ("misfit", "free_misfit"):
        return None, colour
    return pg.mkPen(colour, width=_WIDTHS.get(curve.role, 2.0)), colour


def key_of(curve: Curve) -> str:
    """Return what a curve looks like, as HTML for a legend."""
    pen, colour = look(curve)
    line = "" if pen is None else _LINES[pen.style()]
    return f'<span style="color: {colour.name()}">{line}{_SIGNS.get(curve.role, "")}{line}</span>'
