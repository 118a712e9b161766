"""`Threshold`: limits of the mean count of a pixel, chosen on its histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.plots.plot import Plot

_BINS = 120
_DECIMALS = 4


class Threshold(QWidget):
    """A histogram with two lines to drag, and the same two numbers to type; a limit at its end masks nothing."""

    changed = Signal()
    """See `limits`."""
    accepted = Signal()
    """The operator wants the pixels beyond the limits masked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ends = (0.0, 1.0)
        self.plot = Plot()
        self.plot.setAccessibleName("Histogram of mean counts")
        self.plot.setFixedHeight(110)
        self.plot.plot_item.setMouseEnabled(False, False)
        self.plot.plot_item.setLabel("bottom", "log10(1 + mean counts)")
        self.plot.plot_item.hideAxis("left")
        self._bars = pg.PlotCurveItem([0.0, 1.0], [0.0], stepMode="center", fillLevel=0)
        self.kept = pg.LinearRegionItem(movable=True)
        self.plot.plot_item.addItem(self._bars)
        self.plot.plot_item.addItem(self.kept, ignoreBounds=True)
        self.low, self.high = (
            self._number("Mask pixels of a smaller mean count"),
            self._number("Mask pixels of a larger mean count"),
        )
        self.kept.sigRegionChanged.connect(self._take_lines)
        self.plot.recoloured.connect(self._apply_colours)
        self.accept_button = QPushButton(icon("mask-threshold"), "Mas&k these pixels")
        self.accept_button.setToolTip("Add the step that masks them")
        self.accept_button.clicked.connect(self.accepted)
        row = QHBoxLayout()
        for text, box in (("Below", self.low), ("Above", self.high)):
            label = QLabel(text)
            label.setBuddy(box)
            row.addWidget(label)
            row.addWidget(box)
        row.addStretch(1)
        row.addWidget(self.accept_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        column.addLayout(row)
        self._apply_colours()
        self._update()

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Below and above which mean counts are masked; None for no limit."""
        low, high = self.low.value(), self.high.value()
        return (low if low > self._ends[0] else None), (high if high < self._ends[1] else None)

    def show_counts(self, mean: NDArray[np.floating]) -> None:
        """Show the histogram of mean counts (n,), with limits that mask nothing."""
        logarithms = np.log10(1 + np.maximum(mean, 0))
        heights, edges = np.histogram(logarithms, _BINS)
        self._ends = float(np.floor(mean.min())), float(np.ceil(mean.max())) + 1.0
        self._bars.setData(edges, np.log1p(heights))
        for box, end in ((self.low, self._ends[0]), (self.high, self._ends[1])):
            box.setRange(*self._ends)
            box.setValue(end)
        self.plot.plot_item.setXRange(*np.log10(1 + np.array(self._ends)), padding=0.02)
        self._show_lines()

    def _number(self, what: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setDecimals(_DECIMALS)
        box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        box.setAccessibleName(what)
        box.setToolTip(what)
        box.valueChanged.connect(self._show_lines)
        return box

    @Slot()
    def _show_lines(self) -> None:
        self.kept.blockSignals(True)
        self.kept.setRegion(np.log10(1 + np.array([self.low.value(), self.high.value()])))
        self.kept.blockSignals(False)
        self._update()

    @Slot()
    def _take_lines(self) -> None:
        ends = np.clip(10 ** np.array(self.kept.getRegion()) - 1, *self._ends)
        for box, value in zip((self.low, self.high), ends, strict=True):
            box.blockSignals(True)
            box.setValue(float(value))
            box.blockSignals(False)
        self._update()

    def _update(self) -> None:
        useful = self.limits != (None, None)
        allow(self.accept_button, None if useful else "Move a line or type a limit first.")
        self.changed.emit()

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._bars.setPen(colours.muted)
        self._bars.setBrush(colours.muted)
        for line in self.kept.lines:
            line.setPen(pg.mkPen(colours.series[1], width=3))
        kept = pg.mkColor(colours.series[0])
        kept.setAlpha(50)
        self.kept.setBrush(kept)
