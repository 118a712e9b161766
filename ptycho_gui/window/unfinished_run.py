"""`UnfinishedRun`: the run that trains, remembered until it has ended, so that the next session can go on with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Slot

from ptycho_core.base.events import Status
from ptycho_gui.runs.jobs.runs import OpenedRun
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.session import Session
from ptycho_gui.window.shown import ShownRun

_KEY = "unfinished_run"
_CAN_GO_ON = (Status.INTERRUPTED, Status.STOPPED, Status.CANCELLED)


class UnfinishedRun(QObject):
    """Remembers one run.

    Parameters
    ----------
    session
        Trains and opens runs.
    preferences
        Outlive the session.
    """

    def __init__(self, session: Session, preferences: Preferences) -> None:
        super().__init__(session)
        self._session, self._preferences = session, preferences
        session.shown.run_shown.connect(self._remember)
        session.shown.heard.connect(self._forget_what_is_over)

    def open(self) -> None:
        """Open the run that the last session left unfinished, and say so."""
        folder = self._preferences.text(_KEY)
        if folder and Path(folder).is_dir():
            self._session.open_run(Path(folder), self._remind)

    def _remind(self, opened: OpenedRun) -> None:
        info = opened.info
        if info.status in _CAN_GO_ON and self._session.why_not_resume() is None:
            text = f"{info.folder.name} is {info.status} after epoch {info.epochs_done}. Resume goes on with it."
            self._session.message.emit("warning", text)

    @Slot(object)
    def _remember(self, run: ShownRun) -> None:
        if self._session.training:
            self._preferences.set_text(_KEY, str(run.folder))
            self._preferences.save()

    @Slot()
    def _forget_what_is_over(self) -> None:
        run = self._session.shown.run
        if run is not None and run.history.status in (Status.FINISHED, Status.FAILED):
            self._preferences.set_text(_KEY, "")
