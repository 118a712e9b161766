"""The program's own icons, drawn in the text's colour, so that they are legible in light and dark."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QIconEngine, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer

from ptycho_core.base.resource_files import resource
from ptycho_core.base.verdict import Level

LEVEL_ICONS = {Level.GOOD: "ok", Level.DOUBTFUL: "warning", Level.POOR: "error"}
"""What stands beside the word for how good a picture is."""


def icon(name: str) -> QIcon:
    """Return the icon ``resources/icons/<name>.svg``; what it draws in ``currentColor`` follows the palette."""
    return QIcon(_Engine(resource(f"resources/icons/{name}.svg").read_text(encoding="utf-8")))


class _Engine(QIconEngine):
    def __init__(self, svg: str) -> None:
        super().__init__()
        self.svg = svg

    def clone(self) -> QIconEngine:
        return _Engine(self.svg)

    def paint(self, painter: QPainter, rect: object, mode: QIcon.Mode, state: QIcon.State) -> None:
        group = QPalette.ColorGroup.Disabled if mode == QIcon.Mode.Disabled else QPalette.ColorGroup.Active
        role = QPalette.ColorRole.HighlightedText if mode == QIcon.Mode.Selected else QPalette.ColorRole.WindowText
        colour = QGuiApplication.palette().color(group, role).name()
        renderer = QSvgRenderer(QByteArray(self.svg.replace("currentColor", colour).encode()))
        renderer.render(painter, QRectF(rect))  # type: ignore[call-overload]

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        return pixmap
