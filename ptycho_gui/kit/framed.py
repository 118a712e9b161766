"""`Framed`: a widget with a border in a colour that says something."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget


class Framed(QWidget):
    """Draws its border itself: what lies in a widget with a style sheet does not follow light and dark."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour: QColor | None = None
        self._width = self._left = 0

    def set_border(self, colour: str | None, width: int, left: int) -> None:
        """Draw a border of a colour, or none, so many pixels wide, and so many at the left."""
        self._colour, self._width, self._left = QColor(colour) if colour else None, width, left
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw the border."""
        if self._colour is None:
            return
        painter, inside = QPainter(self), QRectF(self.rect())
        for edge in (
            QRectF(inside.left(), inside.top(), inside.width(), self._width),
            QRectF(inside.left(), inside.bottom() - self._width, inside.width(), self._width),
            QRectF(inside.left(), inside.top(), self._left, inside.height()),
            QRectF(inside.right() - self._width, inside.top(), self._width, inside.height()),
        ):
            painter.fillRect(edge, self._colour)
