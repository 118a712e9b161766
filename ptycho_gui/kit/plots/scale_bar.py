"""`ScaleBar`: a bar of a round length in a corner of an image, of another length as one zooms."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme

_PART_OF_VIEW = 0.3
_UNITS = ((1.0, "m"), (1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm"), (1e-12, "pm"))


class ScaleBar(pg.ScaleBar):  # type: ignore[misc]
    """Lies in the lower right corner of a view whose coordinates are object pixels.

    Parameters
    ----------
    view
        The view box.
    pixel_m
        Width of an object pixel; None for a bar in pixels.
    """

    def __init__(self, view: pg.ViewBox, pixel_m: float | None = None) -> None:
        self._pixel_m = pixel_m
        super().__init__(size=1, width=4, pen=pg.mkPen(None))
        self.setParentItem(view)
        self.anchor((1, 1), (1, 1), offset=(-14, -10))
        self.apply_colours()

    def set_pixel_size(self, pixel_m: float | None) -> None:
        """Change the width of an object pixel."""
        self._pixel_m = pixel_m
        self.updateBar()

    def apply_colours(self) -> None:
        """Take the colours of the scheme in force."""
        colours = theme.colours()
        behind = pg.mkColor(colours.background)
        behind.setAlphaF(0.75)
        self.bar.setBrush(pg.mkBrush(colours.foreground))
        self.bar.setPen(pg.mkPen(behind))
        self.text.setColor(pg.mkColor(colours.foreground))
        self.text.fill = pg.mkBrush(behind)

    def updateBar(self) -> None:
        """pyqtgraph: the view was zoomed."""
        view = self.parentItem()
        if view is None:
            return
        self.size, text = _round_length(_PART_OF_VIEW * view.viewRect().width(), self._pixel_m)
        self.text.setText(text)
        width = abs((view.mapFromViewToItem(self, QPointF(self.size, 0)) - view.mapFromViewToItem(self, QPointF())).x())
        self.bar.setRect(-width, 0.0, width, self._width)
        self.text.setPos(-width / 2.0, 0)


def _round_length(longest: float, pixel_m: float | None) -> tuple[float, str]:
    """Return 1, 2 or 5 times a power of ten, at most ``longest`` pixels, in pixels and in words."""
    if not longest > 0:
        return 0.0, ""
    length = longest * (pixel_m or 1.0)
    power = 10.0 ** math.floor(math.log10(length))
    length = max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9))
    if pixel_m is None:
        return length, f"{length:.4g} px"
    factor, unit = next(((f, u) for f, u in _UNITS if length >= f * (1 - 1e-9)), _UNITS[-1])
    return length / pixel_m, f"{length / factor:.4g} {unit}"
