"""`PyramidPlot`: one real image of any size with colour bar, scale bar and crosshair, and a note written onto it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.quality.pyramid import Pyramid
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.colour_bar import ColourBar
from ptycho_gui.kit.plots.levels import LevelsButton
from ptycho_gui.kit.plots.plot import Header, Plot
from ptycho_gui.kit.plots.pyramid_item import PyramidItem
from ptycho_gui.kit.plots.scale_bar import ScaleBar

_DARKENED = 190
"""Opacity (of 255) of the background over pixels without light."""


class PyramidPlot(QWidget):
    """Row 0 at the top; a double click or Home shows the whole of what there was light on.

    Parameters
    ----------
    accessible_name
        Says to a screen reader which picture it is.
    """

    hovered = Signal(object)
    """The place (x, y) under the mouse in object pixels, or None."""
    levels_chosen = Signal(object)
    """(low, high) by the handles of the colour bar or by number; None for automatic."""
    moved_by_hand = Signal()
    """The operator panned or zoomed."""

    def __init__(self, accessible_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = Header("")
        self.levels = LevelsButton()
        self.levels.setText("Levels")
        self.levels.setAutoRaise(True)
        self.levels.setAccessibleName(f"Levels of the {accessible_name.lower()}")
        self.levels.hide()
        self.levels.chosen.connect(self.levels_chosen)
        self.plot = _Fitted()
        self.plot.setAccessibleName(accessible_name)
        plot_item = self.plot.plot_item
        plot_item.hideAxis("left")
        plot_item.hideAxis("bottom")
        plot_item.invertY(True)
        plot_item.setAspectLocked(True)
        self.view: pg.ViewBox = plot_item.getViewBox()
        self.image = PyramidItem(self.view)
        self.dark = PyramidItem(self.view)
        self.dark.setLevels((0, 1))
        self.dark.setZValue(1)
        self._cross = [pg.InfiniteLine(angle=angle) for angle in (90, 0)]
        for line in self._cross:
            line.setZValue(20)
            line.hide()
            self.view.addItem(line, ignoreBounds=True)
        self.bar = ColourBar(self.image, plot_item, "viridis")
        self.bar.getAxis("right").setStyle(hideOverlappingLabels=True)
        self.bar.hide()
        self._scale_bar = ScaleBar(self.view)
        self._scale_bar.hide()
        self.note = pg.TextItem()
        self.note.setParentItem(self.view)
        self.note.setPos(4, 4)
        self.note.setZValue(30)
        self.note.hide()
        self.bar.sigLevelsChanged.connect(self._tell_levels)
        self.view.sigRangeChangedManually.connect(self._tell_moved)
        self.view.sigResized.connect(self._fit_note)
        self.plot.scene().sigMouseMoved.connect(self._hover)
        self.plot.recoloured.connect(self._apply_colours)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        head = QHBoxLayout()
        head.addWidget(self.header, 1)
        head.addWidget(self.levels)
        column.addLayout(head)
        column.addWidget(self.plot, 1)
        self.plot.apply_colours()

    def show_pyramid(self, pyramid: Pyramid | None, dark: Pyramid | None) -> None:
        """Show an image, and 1 in ``dark`` where it means nothing; pan, zoom and levels stay as they are."""
        self.image.show_pyramid(pyramid)
        self.dark.show_pyramid(dark)
        self.bar.setVisible(pyramid is not None)
        self.levels.setVisible(pyramid is not None)
        self._scale_bar.setVisible(pyramid is not None)
        if pyramid is None:
            self.point_at(None)
            self.write("")

    def set_levels(self, colours: pg.ColorMap, low: float, high: float, automatic: bool) -> None:
        """Give the first and the last colour these values, taken from the data or chosen."""
        if self.bar.colorMap() is not colours:
            self.bar.setColorMap(colours)
        if self.bar.levels() != (low, high):  # the operator may hold the handles just now
            self.bar.show_levels(low, high)
        self.levels.show_levels(low, high, automatic)

    def set_ticks(self, ticks: list[tuple[float, str]] | None) -> None:
        """Write these at the colour bar; None for round values."""
        self.bar.getAxis("right").setTicks(None if ticks is None else [ticks])

    def set_pixel_size(self, pixel_size_m: tuple[float, float] | None) -> None:
        """Say how large an object pixel is (y, x); None for lengths in pixels."""
        self.plot.plot_item.setAspectLocked(True, ratio=pixel_size_m[1] / pixel_size_m[0] if pixel_size_m else 1)
        self._scale_bar.set_pixel_size(pixel_size_m[1] if pixel_size_m else None)

    def set_box(self, box: tuple[float, float, float, float]) -> None:
        """Say what is shown at first, and by Home: (x, y, width, height)."""
        self.plot.box = QRectF(*box)

    def write(self, text: str, letter: str = "") -> None:
        """Write a note onto the picture; empty for none.

        Parameters
        ----------
        text
            Of the note.
        letter
            Stands large above it.
        """
        large = f"<span style='font-size: xx-large; font-weight: bold'>{letter}</span>" if letter else ""
        self.note.setHtml("<br>".join(filter(None, (large, text))))
        self.note.setVisible(bool(text or letter))
        self._fit_note()

    def darken(self, on: bool) -> None:
        """Dim what got no light, or show it like the rest."""
        self.dark.setVisible(on)

    def point_at(self, place: tuple[float, float] | None) -> None:
        """Put the crosshair on a place (x, y), or take it away."""
        for line, at in zip(self._cross, place or (0.0, 0.0), strict=True):
            line.setVisible(place is not None)
            line.setPos(at)

    def leaveEvent(self, event: QEvent) -> None:
        """Qt: the mouse is elsewhere."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    @Slot(object)
    def _hover(self, scene_position: QPointF) -> None:
        place = self.view.mapSceneToView(scene_position)
        inside = self.image.pyramid is not None and self.view.sceneBoundingRect().contains(scene_position)
        self.hovered.emit((place.x(), place.y()) if inside else None)

    @Slot(object)
    def _tell_levels(self, bar: pg.ColorBarItem) -> None:
        self.levels_chosen.emit(bar.levels())

    @Slot(object)
    def _tell_moved(self, _: object) -> None:
        self.moved_by_hand.emit()

    @Slot(object)
    def _fit_note(self, _: object = None) -> None:
        self.note.setTextWidth(-1)
        widest = self.view.width() - 8
        if self.note.boundingRect().width() > widest > 0:
            self.note.setTextWidth(widest)

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        background = pg.mkColor(colours.background)
        clear = background.getRgb()[:3]
        self.dark.setLookupTable(np.array([(*clear, 0), (*clear, _DARKENED)], np.uint8))
        behind = pg.mkColor(colours.background)
        behind.setAlphaF(0.75)
        self.note.fill = pg.mkBrush(behind)
        self.note.setColor(colours.foreground)
        for line in self._cross:
            line.setPen(pg.mkPen(colours.series[1], style=Qt.PenStyle.DashLine))
        self._scale_bar.apply_colours()


class _Fitted(Plot):
    """Shows a box instead of all there is."""

    box = QRectF(0, 0, 1, 1)

    def show_all(self) -> None:
        """Pan and zoom to the box."""
        self.plot_item.getViewBox().setRange(self.box, padding=0.02)
