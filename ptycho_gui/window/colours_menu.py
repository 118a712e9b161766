"""`ColoursMenu`: light, dark, or as the system."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Slot
from PySide6.QtGui import QActionGroup, QGuiApplication
from PySide6.QtWidgets import QMenu, QWidget

from ptycho_gui.kit import theme
from ptycho_gui.window.preferences import Preferences


class ColoursMenu(QMenu):
    """One scheme is chosen, at once and for the next start; "as the system" follows it from then on.

    Parameters
    ----------
    preferences
        Know which was chosen.
    """

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__("&Colours", parent)
        self._preferences = preferences
        group = QActionGroup(self)
        for scheme in theme.SCHEMES:
            action = self.addAction("&As the system" if scheme == "system" else f"&{scheme.capitalize()}")
            action.triggered.connect(partial(self._choose, scheme))
            action.setCheckable(True)
            action.setChecked(scheme == self._chosen)
            group.addAction(action)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    @property
    def _chosen(self) -> str:
        return self._preferences.text("scheme") or "system"

    def _choose(self, scheme: str, checked: bool = False) -> None:
        self._preferences.set_text("scheme", scheme)
        theme.choose(scheme)

    @Slot()
    def _follow_system(self) -> None:
        if self._chosen == "system":
            theme.choose("system")
