"""`PatternView`: a diffraction pattern, linear or logarithmic, its bad pixels marked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit.plots.image_plot import ImagePlot

_BAD_COLOUR = "#ff3030"
"""No colour of the map is like it, in light or dark."""
_LEAST_PART = 1e-7
"""A logarithmic scale begins at this part of its end at the least."""
_SMALLEST = 1e-30


class PatternView(QWidget):
    """Counts (N, N); levels are in counts, whatever the scale."""

    levels_changed = Signal(float, float, bool)
    """Low, high, and whether they are automatic."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = ImagePlot("Pattern")
        self.counts: NDArray[np.floating] | None = None
        self._bad: NDArray[np.bool_] | None = None
        self._automatic = (0.0, 1.0)
        self._chosen: tuple[float, float] | None = None
        self._logarithmic = self._marking = True
        self.marks = pg.ImageItem(axisOrder="row-major")
        self.marks.setZValue(5)
        self.plot.plot_item.addItem(self.marks)
        self.plot.hovered.connect(self._read_out)
        self.plot.bar.sigLevelsChangeFinished.connect(self._take_levels)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)

    @property
    def levels(self) -> tuple[float, float]:
        """Counts of the first and the last colour."""
        return self._chosen or self._automatic

    def show_counts(self, counts: NDArray[np.floating], automatic: tuple[float, float]) -> None:
        """Show counts (N, N); ``automatic`` are the levels unless others were chosen."""
        self.counts, self._automatic = counts, automatic
        self._show()

    def clear(self) -> None:
        """Show nothing."""
        self.counts = None
        self.set_bad_pixels(None)
        self.plot.clear()

    def set_bad_pixels(self, bad: NDArray[np.bool_] | None) -> None:
        """Mark these pixels (N, N), or none."""
        self._bad = bad if bad is not None and bad.any() else None
        self._show_marks()

    def mark_bad_pixels(self, on: bool) -> None:
        """Show or hide the marks."""
        self._marking = on
        self._show_marks()

    def set_logarithmic(self, on: bool) -> None:
        """Change the scale."""
        self._logarithmic = on
        self._show()

    def set_levels(self, levels: tuple[float, float] | None) -> None:
        """Choose the levels in counts; None for automatic ones."""
        self._chosen = levels
        self._show()

    def _show(self) -> None:
        self.plot.bar.set_logarithmic(self._logarithmic)
        if self.counts is None:
            return
        low, high = self.levels
        if self._logarithmic:
            low = max(low, _LEAST_PART * high, _SMALLEST)
            image = np.log10(np.maximum(self.counts, np.float32(low)))
            self.plot.show_image(image, (float(np.log10(low)), float(np.log10(max(high, 2 * low)))))
        else:
            self.plot.show_image(self.counts, (low, high))
        self.levels_changed.emit(low, high, self._chosen is None)

    @Slot()
    def _take_levels(self) -> None:
        low, high = self.plot.bar.levels()
        self.set_levels((10**low, 10**high) if self._logarithmic else (low, high))

    @Slot()
    def _show_marks(self) -> None:
        if self._bad is None or not self._marking:
            self.marks.clear()
            return
        rgba = np.zeros((*self._bad.shape, 4), np.uint8)
        rgba[self._bad] = pg.mkColor(_BAD_COLOUR).getRgb()
        self.marks.setImage(rgba, autoLevels=False, levels=None)

    @Slot(object)
    def _read_out(self, pixel: tuple[int, int] | None) -> None:
        if pixel is None or self.counts is None:
            self.plot.header.read_out("")
            return
        bad = ", bad pixel" if self._bad is not None and self._bad[pixel] else ""
        self.plot.header.read_out(f"row {pixel[0]}, column {pixel[1]}: {self.counts[pixel]:.5g}{bad}")
