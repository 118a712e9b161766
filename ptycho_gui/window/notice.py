"""`Notice`: a notification of the desktop when something long has ended and nobody looks at the window."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtWidgets import QSystemTrayIcon, QWidget

from ptycho_gui.kit.icons import icon
from ptycho_gui.window.session import Session

LONG_S = 60.0
"""What ends sooner was waited for."""
_SHOWN_MS = 20_000


class Notice(QObject):
    """Tells once, when nothing is to follow: at the end of a run with its picture, or of the queue.

    Quiet where the desktop shows no notifications, and while the window is active.

    Parameters
    ----------
    window
        That is looked at, or not.
    session
        Whose work is told of.
    ending
        Says in words how it ended.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self, window: QWidget, session: Session, ending: Callable[[], str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._ending, self._clock = window, session, ending, clock
        self._began: float | None = None
        self.tray = QSystemTrayIcon(icon("app"), self)
        self._hiding = QTimer(self, singleShot=True, interval=_SHOWN_MS)
        self._hiding.timeout.connect(self.tray.hide)
        self.tray.messageClicked.connect(self._look)
        session.changed.connect(self._follow)
        session.idle.connect(self._end)

    @Slot()
    def _follow(self) -> None:
        if self._session.busy and self._began is None:
            self._began = self._clock()

    @Slot()
    def _end(self) -> None:
        began, self._began = self._began, None
        if began is None or self._clock() - began < LONG_S or self._window.isActiveWindow():
            return
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            self.tray.show()  # without its icon Qt shows no message
            self.tray.showMessage("ptycho", self._ending(), icon("app"), _SHOWN_MS)
            self._hiding.start()

    @Slot()
    def _look(self) -> None:
        self.tray.hide()
        self._window.activateWindow()
        self._window.raise_()
