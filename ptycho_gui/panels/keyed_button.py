"""`KeyedButton`: a button that one key presses while its panel has the focus; disabled, it says why."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QToolButton, QWidget

_PRESSED = "QToolButton:checked { border: 2px solid palette(highlight); border-radius: 4px; background: palette(base) }"
"""A frame tells that it is pressed: some styles only change the shade a little."""


class KeyedButton(QToolButton):
    """A text button.

    Parameters
    ----------
    panel
        The key works while it, or anything in it, has the focus.
    text
        With a mnemonic.
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
        self._tip = f"{tip} ({key})"
        self.setAccessibleName(text.replace("&", ""))
        self.setStyleSheet(_PRESSED)
        self.allow()
        shortcut = QShortcut(QKeySequence(key), panel)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.click)

    def allow(self, why_not: str = "") -> None:
        """Enable the button, or disable it for a reason."""
        self.setEnabled(not why_not)
        self.setToolTip(f"{self._tip}\nNot now: {why_not}" if why_not else self._tip)
