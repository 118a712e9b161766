"""`Dots`: many coloured places in a plot, drawn at once: 100,000 take a few milliseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QImage, QPainter, QTransform
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

_N_COLOURS = 256
_SMALLEST, _LARGEST = 2, 9
_OF_SPACING = 0.8
"""A dot's width as a part of the mean distance between dots on the screen."""


class Dots(pg.GraphicsObject):  # type: ignore[misc]
    """Places coloured by a value each; those without a finite one are in ``missing_colour``.

    Has the interface of an image item that `pyqtgraph.ColorBarItem` asks for.
    """

    sigLevelsChanged = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.missing_colour = "#808080"
        self._xy: NDArray[np.float64] = np.empty((0, 2))
        self._values: NDArray[np.float64] = np.empty(0)
        self._levels = (0.0, 1.0)
        self._colours: NDArray[np.uint32] = np.zeros(_N_COLOURS, np.uint32)
        self._bounds = QRectF()
        self._drawn: tuple[QTransform, QRectF, QImage] | None = None

    def set_places(self, xy: NDArray[np.float64]) -> None:
        """Show these places (n, 2): (x, y)."""
        self.prepareGeometryChange()
        self._xy, self._values = xy, np.full(len(xy), np.nan)
        low, high = (xy.min(axis=0), xy.max(axis=0)) if len(xy) else (np.zeros(2), np.zeros(2))
        margin = 0.5 * self._spacing(high - low)
        self._bounds = QRectF(*(low - margin), *(high - low + 2 * margin))
        self._redraw()

    def set_values(self, values: NDArray[np.float64]) -> None:
        """Colour the places by these values (n,)."""
        self._values = values
        self._redraw()

    def setLevels(self, levels: tuple[float, float]) -> None:
        """pyqtgraph: the values of the first and the last colour."""
        self._levels = levels
        self._redraw()

    def setColorMap(self, colour_map: pg.ColorMap) -> None:
        """pyqtgraph: the colours."""
        red, green, blue = colour_map.getLookupTable(nPts=_N_COLOURS).astype(np.uint32).T[:3]
        self._colours = 0xFF000000 | red << 16 | green << 8 | blue
        self._redraw()

    def boundingRect(self) -> QRectF:
        """Qt: what the item covers."""
        return self._bounds

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Qt: draw."""
        ratio = painter.device().devicePixelRatioF()
        transform = painter.worldTransform() * QTransform.fromScale(ratio, ratio)
        view = transform.mapRect(self.viewRect()).toAlignedRect()
        if self._drawn is None or self._drawn[:2] != (transform, QRectF(view)):
            self._drawn = transform, QRectF(view), self._render(transform, view)
        image = self._drawn[2]
        image.setDevicePixelRatio(ratio)
        painter.save()
        painter.resetTransform()
        painter.drawImage(QRectF(view).topLeft() / ratio, image)
        painter.restore()

    def _render(self, transform: QTransform, view: object) -> QImage:
        width, height = max(view.width(), 1), max(view.height(), 1)  # type: ignore[attr-defined]
        x, y = self._xy.T
        columns = transform.m11() * x + transform.m21() * y + transform.dx() - view.x()  # type: ignore[attr-defined]
        rows = transform.m12() * x + transform.m22() * y + transform.dy() - view.y()  # type: ignore[attr-defined]
        scale = abs(transform.m11())
        bounds = np.array([self._bounds.width(), self._bounds.height()])
        size = int(np.clip(_OF_SPACING * scale * self._spacing(bounds), _SMALLEST, _LARGEST))
        seen = np.flatnonzero((columns > -size) & (columns < width + size) & (rows > -size) & (rows < height + size))
        seen = seen[np.argsort(np.isfinite(self._values[seen]), kind="stable")]  # the known ones on top
        canvas = np.zeros((height + 4 * size, width + 4 * size), np.uint32)  # a margin in place of clipping each dot
        places = (rows[seen].astype(np.int64) + 2 * size) * canvas.shape[1] + columns[seen].astype(np.int64) + 2 * size
        colours = self._colour_of(self._values[seen])
        for row, column in _disc(size):
            canvas.reshape(-1)[places + row * canvas.shape[1] + column] = colours
        pixels = np.ascontiguousarray(canvas[2 * size : 2 * size + height, 2 * size : 2 * size + width])
        return QImage(pixels.data, width, height, QImage.Format.Format_ARGB32_Premultiplied).copy()

    def _colour_of(self, values: NDArray[np.float64]) -> NDArray[np.uint32]:
        low, high = self._levels
        finite = np.isfinite(values)
        parts = (np.where(finite, values, low) - low) / ((high - low) or 1.0)
        colours = self._colours[np.clip(parts * _N_COLOURS, 0, _N_COLOURS - 1).astype(np.int64)]
        return np.where(finite, colours, np.uint32(pg.mkColor(self.missing_colour).rgba()))

    def _spacing(self, extent: NDArray[np.float64]) -> float:
        """Return roughly how far apart places lie that fill ``extent``."""
        n = max(len(self._xy), 1)
        return float(max(np.sqrt(extent[0] * extent[1] / n), extent.max() / n, 1e-12))

    def _redraw(self) -> None:
        self._drawn = None
        self.update()


def _disc(width: int) -> list[tuple[int, int]]:
    """Return the pixels (row, column) of a disc around (0, 0)."""
    reach = width // 2
    ends = range(-reach, width - reach)
    middle = (width - 1) / 2 - reach
    return [(y, x) for y in ends for x in ends if (y - middle) ** 2 + (x - middle) ** 2 <= (width / 2) ** 2 + 0.1]
