"""`KeyedButton`: a button that one key presses while its panel has the focus."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QPainter, QPaintEvent, QPalette, QPen, QShortcut
from PySide6.QtWidgets import QToolButton, QWidget

_FRAME_PX = 2


class KeyedButton(QToolButton):
    """A text button.

    Parameters
    ----------
    panel
        The key works while it, or anything in it, has the focus.
    text
        Without a mnemonic: the key is shorter.
    key
        Such as "R".
    tip
        What it does.
    checkable
        It stays pressed.
    """

    def __init__(self, panel: QWidget, text: str, key: str, tip: str, checkable: bool = True) -> None:
        super().__init__()
        self.setText(text)
        self.setCheckable(checkable)
        self.setToolTip(f"{tip} ({key})")
        self.setAccessibleName(text)
        shortcut = QShortcut(QKeySequence(key), panel)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.click)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: a frame tells that it is pressed, as some styles only change the shade a little.

        Not by a style sheet: a button with one keeps its colours when light becomes dark.
        """
        super().paintEvent(event)
        if self.isChecked():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), _FRAME_PX))
            inside = _FRAME_PX // 2
            painter.drawRoundedRect(self.rect().adjusted(inside, inside, -inside, -inside), 3, 3)
            painter.end()
