"""`MarkedPattern`: a pattern, its bad pixels and its centre marked."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QPainterPath
from PySide6.QtWidgets import QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.pattern_view import PatternView

_CROSS_PX = 34
_GAP = 0.2


class MarkedPattern(PatternView):
    """A cross lies on pixel (N//2, N//2), where the centre of a pattern belongs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cross = pg.ScatterPlotItem(size=_CROSS_PX, symbol=_cross(), brush=None)
        self._cross.setZValue(6)
        self.plot.plot_item.addItem(self._cross, ignoreBounds=True)
        self.plot.plot.recoloured.connect(self._colour_cross)
        self._colour_cross()

    def mark_centre(self, size: int) -> None:
        """Put the cross where the centre of patterns of ``size`` pixels is."""
        self._cross.setData([size // 2 + 0.5], [size // 2 + 0.5])

    @Slot()
    def _colour_cross(self) -> None:
        self._cross.setPen(pg.mkPen(theme.colours().series[1], width=2))


def _cross() -> QPainterPath:
    """Return four arms around a middle that stays free, in a square of side 1."""
    path = QPainterPath()
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        path.moveTo(_GAP * x, _GAP * y)
        path.lineTo(0.5 * x, 0.5 * y)
    return path
