"""`FrcPlot`: Fourier ring correlation of two objects, and in words how far they agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.lengths import length_text
from ptycho_gui.kit.plots.plot import Plot

if TYPE_CHECKING:
    from ptycho_core.quality.comparison import Comparison
    from ptycho_core.quality.metrics import FRC

_LOWEST = 170


class FrcPlot(QWidget):
    """The correlation ring by ring, the half-bit curve, and where they cross."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(_LOWEST)
        self.sentence = QLabel(wordWrap=True)
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.sentence.setAccessibleName("Resolution")
        self.plot = Plot()
        self.plot.setAccessibleName("Fourier ring correlation")
        item = self.plot.plot_item
        self._details = _Details("bottom")
        self._details.enableAutoSIPrefix(False)  # its ticks are lengths with their units
        item.setAxisItems({"bottom": self._details})
        item.setLabel("left", "Correlation")
        item.setYRange(0, 1)
        legend = item.addLegend(colCount=2, labelTextSize=f"{self.font().pointSize()}pt")
        legend.anchor((1, 0.5), (1, 0.5), offset=(-8, 0))  # between the curves, as a rule
        self._correlation = item.plot(name="correlation")
        self._threshold = item.plot(name="half-bit curve")
        self._crossing = pg.InfiniteLine(angle=90)
        self._crossing.hide()
        item.addItem(self._crossing, ignoreBounds=True)
        self.plot.recoloured.connect(self._apply_colours)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.sentence)
        column.addWidget(self.plot, 1)
        self.plot.apply_colours()

    def show_frc(self, found: Comparison, names: tuple[str, str], pixel_m: float | None, one_run: bool) -> None:
        """Show the correlation of two objects, by the size of details.

        Parameters
        ----------
        found
            What they have in common.
        names
            Of the two.
        pixel_m
            Object pixel, or None where it is not known.
        one_run
            Whether both come from one run, and so from the same patterns.
        """
        rings = found.frc
        self._details.pixel_m = pixel_m
        self.plot.plot_item.setLabel("bottom", "Size of details")
        self._correlation.setData(rings.frequency, rings.correlation)
        self._threshold.setData(rings.frequency, rings.threshold)
        self._crossing.setVisible(rings.resolution_px is not None)
        if rings.resolution_px is not None:
            self._crossing.setPos(0.5 / rings.resolution_px)
        self.plot.plot_item.setXRange(0, rings.frequency[-1], padding=0)
        height, width = found.part_shape
        what = "It is the resolution only if they come from different patterns; else it tells how alike they are."
        if one_run:
            what = "Both come from the same patterns: this is how similar they are, and no resolution."
        self.sentence.setText(
            f"{agreement(rings, names, pixel_m)} (half-bit criterion, middle {height} x {width} px). {what}"
        )

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._correlation.setPen(pg.mkPen(colours.series[0], width=2))
        self._threshold.setPen(pg.mkPen(colours.series[1], width=1.5, style=Qt.PenStyle.DashLine))
        self._crossing.setPen(pg.mkPen(colours.foreground, style=Qt.PenStyle.DotLine))
        legend = self.plot.plot_item.legend
        legend.setLabelTextColor(colours.foreground)
        for _, label in legend.items:
            label.setText(label.text)  # pyqtgraph draws it in the new colour only then


class _Details(pg.AxisItem):  # type: ignore[misc]
    """Has spatial frequencies in 1/px, and names them by the size of details: half a period."""

    pixel_m: float | None = None

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Pyqtgraph: a length at each tick."""
        return [self._length(0.5 / value) if value > 0 else "" for value in values]

    def _length(self, pixels: float) -> str:
        return length_text(pixels * self.pixel_m, True) if self.pixel_m else length_text(pixels, False)


def agreement(rings: FRC, names: tuple[str, str], pixel_m: float | None) -> str:
    """Return in words how far two objects agree."""
    if rings.resolution_px is None:
        down_to = f"the size of a pixel ({length_text(pixel_m, True)})" if pixel_m else "the size of a pixel"
    elif rings.resolution_m is not None:
        down_to = length_text(rings.resolution_m, True)
    else:
        down_to = length_text(rings.resolution_px, False)
    return f"{names[0]} and {names[1]} agree down to {down_to}"
