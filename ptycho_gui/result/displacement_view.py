"""`DisplacementView`: where refinement moved the patterns, as arrows, before and after, and how many moved how far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QRadioButton, QSizePolicy, QSplitter, QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Plot
from ptycho_gui.kit.plots.position_map import PositionMap

if TYPE_CHECKING:
    from ptycho_core.quality.displacements import DisplacementMap

_LOWEST = 220
_HEAD = 0.3
"""Length of an arrow's head as a part of the arrow."""


class DisplacementView(QWidget):
    """Arrows over the places of the beam, coloured by how far they moved; the histogram beside."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(_LOWEST)
        self._map: DisplacementMap | None = None
        self._pixel_size_m: tuple[float, float] | None = None
        self.sentence = QLabel(wordWrap=True)
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.sentence.setAccessibleName("What refinement moved")
        self.arrows = QCheckBox("Arrows")
        self.before = QRadioButton("Before")
        self.after = QRadioButton("After")
        self.arrows.setChecked(True)
        self.after.setChecked(True)
        self.arrows.setToolTip("Draw where patterns were moved")
        self.before.setToolTip("Show the patterns where they were recorded")
        self.after.setToolTip("Show the patterns where refinement has them")
        self.legend = QLabel()
        self.arrows.toggled.connect(self.legend.setVisible)
        self._lay_out()

    def show_displacements(self, found: DisplacementMap, pixel_size_m: tuple[float, float] | None) -> None:
        """Show what refinement moved.

        Parameters
        ----------
        found
            What is to be drawn.
        pixel_size_m
            Object pixel (y, x), or None where it is not known.
        """
        if self._map is None:
            self._make_plots()
        self._map, self._pixel_size_m = found, pixel_size_m
        words = found.moved.in_words()
        self.sentence.setText(f"{words[0].upper()}{words[1:]}.")
        scale = "drawn to scale" if found.magnified == 1 else f"{found.magnified:g} times as long as displacements"
        self.legend.setText(f"Arrows are {scale}")
        ends = _arrows(found.starts, found.ends)
        self._lines.setData(ends[:, 1], ends[:, 0])
        self._steps.setData(found.edges, found.counts)
        self._show_places()

    def _make_plots(self) -> None:
        """Make the plots once there is something to draw: few runs refine positions, and the window opens sooner."""
        self.places = PositionMap()
        self.places.plot.setAccessibleName("Map of displacements")
        self.places.header.set_title("Displacements")
        self._lines = pg.PlotCurveItem(connect="pairs", antialias=True)
        self._lines.setZValue(5)
        self.places.plot_item.addItem(self._lines, ignoreBounds=True)
        self.histogram = Plot()
        self.histogram.setAccessibleName("Histogram of displacements")
        self.histogram.plot_item.setLabel("bottom", "Displacement (px)")
        self.histogram.plot_item.setLabel("left", "Patterns")
        self._steps = self.histogram.plot_item.plot(stepMode="center", fillLevel=0)
        self.arrows.toggled.connect(self._lines.setVisible)
        self.before.toggled.connect(self._show_places)
        self.histogram.recoloured.connect(self._apply_colours)
        self._plots.addWidget(self.places)
        self._plots.addWidget(self.histogram)
        self._plots.setSizes([600, 400])
        self.histogram.apply_colours()

    @Slot()
    def _show_places(self) -> None:
        if self._map is not None:
            places = self._map.before if self.before.isChecked() else self._map.after
            self.places.show_positions(places, self._map.lengths, self._pixel_size_m, "displacement (px)")

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._lines.setPen(pg.mkPen(colours.series[1], width=1.5))
        fill = pg.mkColor(colours.series[0])
        self._steps.setPen(pg.mkPen(fill, width=1.5))
        fill.setAlpha(90)
        self._steps.setBrush(fill)

    def _lay_out(self) -> None:
        choices = QHBoxLayout()
        for widget in (self.before, self.after, self.arrows, self.legend):
            choices.addWidget(widget)
        choices.addStretch(1)
        self._plots = QSplitter(Qt.Orientation.Horizontal)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.sentence)
        column.addLayout(choices)
        column.addWidget(self._plots, 1)


def _arrows(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends (6 m, 2) of three lines for each of m arrows: the shaft and two halves of its head."""
    back = (starts - ends) * _HEAD
    across = back[:, ::-1] * (0.5, -0.5)
    lines = np.stack([starts, ends, ends, ends + back + across, ends, ends + back - across], axis=1)
    return lines.reshape(-1, 2)
