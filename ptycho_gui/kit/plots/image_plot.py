"""`ImagePlot`: one image with its colour bar, its pixels read out under the mouse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit.plots.colour_bar import ColourBar
from ptycho_gui.kit.plots.plot import Header, Plot
from ptycho_gui.kit.plots.scale_bar import ScaleBar


class ImagePlot(QWidget):
    """An image (H, W): row 0 at the top, a pixel as wide as it is high; pan and zoom are kept while its shape is.

    Parameters
    ----------
    title
        Stands above it.
    colours
        A name of `colour_map`.
    scale_bar
        With a bar of a round length; `set_pixel_size` says how large a pixel is.
    """

    hovered = Signal(object)
    """The pixel (row, column) under the mouse, or None; answer with ``header.read_out``."""

    def __init__(
        self, title: str, colours: str = "viridis", scale_bar: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.header = Header(title)
        self.plot = Plot()
        self.plot.setAccessibleName(title)
        self.plot_item: pg.PlotItem = self.plot.plot_item
        self.plot_item.invertY(True)
        self.plot_item.setAspectLocked(True)
        self.plot_item.hideAxis("left")
        self.plot_item.hideAxis("bottom")
        self.image_item = pg.ImageItem(axisOrder="row-major")
        self.plot_item.addItem(self.image_item)
        self.bar = ColourBar(self.image_item, self.plot_item, colours)
        self._scale_bar = ScaleBar(self.plot_item.getViewBox()) if scale_bar else None
        if self._scale_bar:
            self.plot.recoloured.connect(self._scale_bar.apply_colours)
        self.plot.scene().sigMouseMoved.connect(self._hover)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(self.plot, 1)
        self.plot.apply_colours()

    def show_image(self, image: NDArray[np.floating], levels: tuple[float, float]) -> None:
        """Show an image, NaN left blank, between these levels."""
        same = self.image_item.image is not None and self.image_item.image.shape == image.shape
        self.image_item.setImage(image, autoLevels=False, levels=levels)
        self.bar.show_levels(*levels)
        self.bar.setVisible(True)
        if not same:
            self.plot.show_all()

    def clear(self) -> None:
        """Show nothing."""
        self.image_item.clear()
        self.bar.setVisible(False)
        self.header.read_out("")

    def set_pixel_size(self, pixel_size_m: tuple[float, float] | None) -> None:
        """Say how large a pixel is (y, x); None for lengths in pixels."""
        self.plot_item.setAspectLocked(True, ratio=pixel_size_m[1] / pixel_size_m[0] if pixel_size_m else 1)
        if self._scale_bar:
            self._scale_bar.set_pixel_size(pixel_size_m[1] if pixel_size_m else None)

    @Slot(object)
    def _hover(self, scene_position: QPointF) -> None:
        view = self.plot_item.getViewBox()
        place = view.mapSceneToView(scene_position)
        row, column = int(np.floor(place.y())), int(np.floor(place.x()))
        shape = (0, 0) if self.image_item.image is None else self.image_item.image.shape
        inside = view.sceneBoundingRect().contains(scene_position) and 0 <= row < shape[0] and 0 <= column < shape[1]
        self.hovered.emit((row, column) if inside else None)
