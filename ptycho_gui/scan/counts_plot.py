"""`CountsPlot`: the counts of each pattern in their order, those unlike the others marked; a click selects one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.scan.survey import FARTHEST_MADS, outliers
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Header, Plot

_MARKED_AT_MOST = 2000
"""Enough to see where they are; more only make the plot slow."""


class CountsPlot(QWidget):
    """Counts per pattern."""

    clicked = Signal(int)
    """A pattern, by its place in the scan."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = Header("Counts per pattern")
        self.plot = Plot()
        self.plot.setAccessibleName("Counts per pattern")
        self.plot.setToolTip(
            "Sum of each pattern. A cross marks a pattern whose counts lie "
            f"{FARTHEST_MADS:g} standard deviations or more from the median,\nthe deviation taken from the median "
            "absolute deviation (MAD x 1.4826), at least that of photon noise. Click to select the nearest pattern."
        )
        self.plot_item: pg.PlotItem = self.plot.plot_item
        self.plot_item.setLabel("bottom", "pattern")
        self.plot_item.setLabel("left", "counts")
        self.plot_item.setDownsampling(auto=True, mode="peak")
        self.plot_item.setClipToView(True)
        self.plot_item.getAxis("bottom").enableAutoSIPrefix(False)
        self.rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._sums: NDArray[np.float64] = np.empty(0)
        self.outlying: NDArray[np.int64] = np.empty(0, np.int64)
        self._curve = self.plot_item.plot()
        self._crosses = pg.ScatterPlotItem(symbol="x", size=9)
        self.plot_item.addItem(self._crosses)
        self.line = pg.InfiniteLine(angle=90)
        self.line.setVisible(False)
        self.plot_item.addItem(self.line, ignoreBounds=True)
        self.plot.recoloured.connect(self._apply_colours)
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.scene().sigMouseMoved.connect(self._hover)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(self.plot, 1)
        self.plot.apply_colours()

    def show_counts(self, rows: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Show the counts (m,) of the patterns at these places; pan and zoom are kept."""
        self.rows, self._sums = rows, sums
        unlike = outliers(sums) if len(sums) else np.empty(0, bool)
        self.outlying = rows[unlike]
        self._curve.setData(rows, sums)
        shown = np.flatnonzero(unlike)[:_MARKED_AT_MOST]
        self._crosses.setData(rows[shown], sums[shown])
        n = len(self.outlying)
        noun = "outlier" if n == 1 else "outliers"
        self.header.set_title("Counts per pattern" + (f": {n} {noun}, marked ×" if n else ""))
        self.plot.everything = self._curve.dataRect()
        if not self.plot.moved:
            self.plot.show_all()

    def mark(self, index: int | None) -> None:
        """Put a line at one pattern, or at none."""
        self.line.setVisible(index is not None)
        if index is not None:
            self.line.setValue(index)

    def _nearest(self, scene_position: QPointF) -> int | None:
        view = self.plot_item.getViewBox()
        if not len(self.rows) or not view.sceneBoundingRect().contains(scene_position):
            return None
        return int(abs(self.rows - view.mapSceneToView(scene_position).x()).argmin())

    @Slot(object)
    def _click(self, event: object) -> None:
        if event.button() == Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            place = self._nearest(event.scenePos())  # type: ignore[attr-defined]
            if place is not None:
                self.clicked.emit(int(self.rows[place]))

    @Slot(object)
    def _hover(self, scene_position: QPointF) -> None:
        place = self._nearest(scene_position)
        self.header.read_out("" if place is None else f"pattern {self.rows[place]}: {self._sums[place]:.6g}")

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._curve.setPen(pg.mkPen(colours.series[0], width=1))
        self._crosses.setPen(pg.mkPen(colours.error, width=2))
        self.line.setPen(pg.mkPen(colours.series[1], width=2))
