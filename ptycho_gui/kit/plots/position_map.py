"""`PositionMap`: where the beam was, each place coloured by a value; a click tells which pattern it was."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.colour_bar import ColourBar
from ptycho_gui.kit.plots.dots import Dots
from ptycho_gui.kit.plots.plot import Header, Plot, set_axis_length
from ptycho_gui.kit.plots.scale_bar import ScaleBar

_REACH_PX = 25
"""A click this far from a place on the screen still means it."""


class PositionMap(QWidget):
    """Places of the beam on the object: +x right, +y down.

    Coordinates of ``plot_item`` are object pixels, whatever the axes show, so that overlays need no conversion.
    """

    clicked = Signal(int)
    """A pattern, by its place in the scan."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = Header("Positions")
        self.plot = Plot()
        self.plot.setAccessibleName("Position map")
        self.plot_item: pg.PlotItem = self.plot.plot_item
        self.plot_item.invertY(True)
        self.positions: NDArray[np.float64] = np.empty((0, 2))
        self.values: NDArray[np.float64] | None = None
        self._pixel_m: tuple[float, float] | None = None
        self._label = ""
        self._dots = Dots()
        self.plot_item.addItem(self._dots)
        self.ring = pg.ScatterPlotItem(size=16, symbol="o", brush=None)
        self.ring.setZValue(10)
        self.plot_item.addItem(self.ring, ignoreBounds=True)
        self.bar = ColourBar(self._dots, self.plot_item, "viridis")
        self._scale_bar = ScaleBar(self.plot_item.getViewBox())
        self.plot.recoloured.connect(self._apply_colours)
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.scene().sigMouseMoved.connect(self._hover)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(self.plot, 1)
        self.plot.apply_colours()
        self.show_positions(self.positions)

    def show_positions(
        self,
        positions: NDArray[np.float64],
        values: NDArray[np.float64] | None = None,
        pixel_size_m: tuple[float, float] | None = None,
        label: str = "counts per pattern",
    ) -> None:
        """Show these places; pan and zoom are kept if they are the same as before, or the same and more.

        Parameters
        ----------
        positions
            (n, 2) in object pixels: (y, x).
        values
            (n,) that colour the places, NaN where not known; None for one colour.
        pixel_size_m
            Object pixel (y, x); None for axes in pixels.
        label
            What the values are.
        """
        n = len(self.positions)
        more = 0 < n <= len(positions) and np.array_equal(self.positions, positions[:n])
        same = n == len(positions) and np.array_equal(self.positions, positions)
        self.positions, self.values, self._pixel_m, self._label = positions, values, pixel_size_m, label
        for name, pixel in zip(("left", "bottom"), pixel_size_m or (None, None), strict=True):
            set_axis_length(self.plot_item.getAxis(name), "y" if name == "left" else "x", pixel)
        self.plot_item.setAspectLocked(True, ratio=pixel_size_m[1] / pixel_size_m[0] if pixel_size_m else 1)
        self._scale_bar.set_pixel_size(pixel_size_m[1] if pixel_size_m else None)
        if not same:
            self._dots.set_places(positions[:, ::-1])
            self.mark(None)
        self._colour(values)
        if not (same or (more and self.plot.moved)):
            self.plot.show_all()

    def mark(self, index: int | None) -> None:
        """Put a ring around one place, or around none."""
        place = self.positions[index] if index is not None and index < len(self.positions) else None
        self.ring.setData([] if place is None else [place[1]], [] if place is None else [place[0]])

    def _colour(self, values: NDArray[np.float64] | None) -> None:
        known = np.empty(0) if values is None else values[np.isfinite(values)]
        self.bar.setVisible(len(known) > 0)
        if values is None or not len(known):
            self._dots.set_values(np.full(len(self.positions), np.nan))
            return
        self._dots.set_values(values)
        self.bar.set_label(self._label)
        self.bar.show_levels(float(known.min()), float(known.max()))

    def _index_at(self, scene_position: QPointF) -> int | None:
        """Return the pattern nearest to a place on the screen, if one is within reach."""
        if not len(self.positions) or not self.plot_item.getViewBox().sceneBoundingRect().contains(scene_position):
            return None
        view = self.plot_item.getViewBox()
        there = view.mapSceneToView(scene_position)
        wide, high = view.viewPixelSize()
        off = (self.positions - (there.y(), there.x())) / (high, wide)
        squared = np.einsum("ij,ij->i", off, off)
        nearest = int(squared.argmin())
        return nearest if math.sqrt(squared[nearest]) <= _REACH_PX else None

    @Slot(object)
    def _click(self, event: object) -> None:
        if event.button() != Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            return
        index = self._index_at(event.scenePos())  # type: ignore[attr-defined]
        if index is not None:
            self.clicked.emit(index)

    @Slot(object)
    def _hover(self, scene_position: QPointF) -> None:
        index = self._index_at(scene_position)
        self.header.read_out("" if index is None else self._describe(index))

    def _describe(self, index: int) -> str:
        y, x = self.positions[index]
        if self._pixel_m:
            where = f"({x * self._pixel_m[1] * 1e6:.4g}, {y * self._pixel_m[0] * 1e6:.4g}) µm"
        else:
            where = f"({x:.4g}, {y:.4g}) px"
        value = "" if self.values is None or not np.isfinite(self.values[index]) else f": {self.values[index]:.6g}"
        return f"pattern {index} at {where}{value}"

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._dots.missing_colour = colours.muted
        self._dots.update()
        self.ring.setPen(pg.mkPen(colours.series[1], width=2.5))
        self._scale_bar.apply_colours()
