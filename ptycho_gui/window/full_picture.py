"""`FullPicture`: one panel over the whole screen, and the window as it was afterwards."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QObject, Slot
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QToolBar

from ptycho_gui.window.docks import Docks
from ptycho_gui.window.preferences import VERSION


class FullPicture(QObject):
    """Leads there and, by the same action or Esc, back.

    Parameters
    ----------
    window
        Shown over the whole screen.
    docks, name
        Of which only the one of this name is left.
    action
        That is checked meanwhile.
    """

    def __init__(self, window: QMainWindow, docks: Docks, name: str, action: QAction) -> None:
        super().__init__(window)
        self._window, self._docks, self._name, self._action = window, docks, name, action
        self._before = QByteArray()
        self._back = QShortcut(QKeySequence("Esc"), window, self._leave, enabled=False)
        window.addAction(action)  # whose menu is hidden meanwhile
        action.setCheckable(True)
        action.toggled.connect(self._switch)

    @Slot()
    def _leave(self) -> None:
        self._action.setChecked(False)

    @Slot(bool)
    def _switch(self, on: bool) -> None:
        window = self._window
        self._back.setEnabled(on)
        window.menuBar().setVisible(not on)
        if on:
            self._before, self._state = window.saveState(VERSION), window.windowState()
            for bar in window.findChildren(QToolBar):
                if bar.parent() is window:
                    bar.hide()
            for name in self._docks.names:
                self._docks[name].setVisible(name == self._name)
            window.showFullScreen()
            self._docks.panel(self._name).setFocus()
        else:
            window.setWindowState(self._state)
            window.restoreState(self._before, VERSION)
            self._docks.show(self._name)
