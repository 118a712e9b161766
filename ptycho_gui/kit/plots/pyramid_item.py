"""`PyramidItem`: draws of a `Pyramid` what is in view, at the size it has on the screen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Slot

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.quality.pyramid import Pyramid

_MARGIN = 0.5
"""What is drawn around the view on each side, as a part of it, so that panning a little costs nothing."""


class PyramidItem(pg.ImageItem):  # type: ignore[misc]
    """Lies in a view whose coordinates are object pixels; the cost of a redraw does not grow with the image.

    Parameters
    ----------
    view
        It is added to this one.
    """

    def __init__(self, view: pg.ViewBox) -> None:
        super().__init__(axisOrder="row-major")
        self.pyramid: Pyramid | None = None
        self._view = view
        self._drawn = (0, QRectF())
        view.addItem(self, ignoreBounds=True)
        view.sigRangeChanged.connect(self._follow)
        view.sigResized.connect(self._follow)

    def show_pyramid(self, pyramid: Pyramid | None) -> None:
        """Draw this one, in the levels and colours that the item has."""
        self.pyramid = pyramid
        if pyramid is None:
            self.clear()
        else:
            self._draw(pyramid, self._level_of(pyramid))

    @Slot()
    def _follow(self, *_: object) -> None:
        if self.pyramid is None:
            return
        level = self._level_of(self.pyramid)
        height, width = self.pyramid.size
        whole = QRectF(-0.5, -0.5, width, height)
        if level != self._drawn[0] or not self._drawn[1].contains(self._view.viewRect() & whole):
            self._draw(self.pyramid, level)

    def _level_of(self, pyramid: Pyramid) -> int:
        """Return the coarsest level that still has a pixel for each of the screen."""
        widget = self._view.getViewWidget()
        ratio = widget.devicePixelRatioF() if widget else 1.0
        on_screen = ratio * pyramid.scale * self._view.width() / self._view.viewRect().width()
        return min(max(0, math.floor(-math.log2(max(on_screen, 1e-9)))), len(pyramid.levels) - 1)

    def _draw(self, pyramid: Pyramid, level: int) -> None:
        image, scale = pyramid.levels[level], pyramid.scale_of(level)
        seen = self._view.viewRect()
        wide, high = _MARGIN * seen.width(), _MARGIN * seen.height()
        columns = _within(seen.left() - wide, seen.right() + wide, scale, image.shape[1])
        rows = _within(seen.top() - high, seen.bottom() + high, scale, image.shape[0])
        part: NDArray[Any] = image[rows, columns]
        place = QRectF(columns.start, rows.start, part.shape[1], part.shape[0])
        place = QRectF(
            place.left() * scale - 0.5, place.top() * scale - 0.5, place.width() * scale, place.height() * scale
        )
        self._drawn = level, place
        self.setImage(part, autoLevels=False, rect=place)


def _within(low: float, high: float, scale: float, length: int) -> slice:
    """Return the pixels of a level that lie between two places, at least one."""
    first = int(np.clip(math.floor((low + 0.5) / scale), 0, length - 1))
    last = int(np.clip(math.ceil((high + 0.5) / scale), first + 1, length))
    return slice(first, last)
