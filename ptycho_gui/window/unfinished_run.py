"""`UnfinishedRun`: the run that trains, or was submitted, remembered until it has ended, for the next session."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Slot

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import Status
from ptycho_core.runs.job import waits
from ptycho_gui.runs.jobs.runs import OpenedRun
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.session import Session
from ptycho_gui.window.shown import ShownRun

_KEY = "unfinished_run"
_CAN_GO_ON = (Status.INTERRUPTED, Status.STOPPED, Status.CANCELLED)
_OVER = (Status.FINISHED, Status.FAILED)


class UnfinishedRun(QObject):
    """Remembers one run, the one that was begun or submitted last.

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
        session.shown.run_shown.connect(self._remember_training)
        session.waiting.connect(self._remember)
        session.shown.heard.connect(self._forget_what_is_over)

    def open(self) -> None:
        """Open the run that the last session left unfinished, once its job has begun it, and say so."""
        folder = Path(self._preferences.text(_KEY))
        if not self._preferences.text(_KEY) or not folder.is_dir():
            return
        try:
            waiting = waits(folder) is not None
        except InputError:  # a job's record that is damaged: the run tells
            waiting = False
        if waiting:
            self._session.wait_for_run(folder)
        else:
            self._session.open_run(folder, self._remind)

    def _remind(self, opened: OpenedRun) -> None:
        info = opened.info
        if info.status in _OVER:  # as the job ended while no window was open
            self._remember(None)
        if info.status in _CAN_GO_ON and self._session.why_not_resume() is None:
            text = f"{info.folder.name} is {info.status} after {info.epochs_done} epochs. Resume goes on with it."
            self._session.message.emit("warning", text)

    @Slot(object)
    def _remember_training(self, run: ShownRun) -> None:
        if self._session.training:
            self._remember(run.folder)

    @Slot(object)
    def _remember(self, folder: Path | None) -> None:
        self._preferences.set_text(_KEY, str(folder or ""))
        self._preferences.save()

    @Slot()
    def _forget_what_is_over(self) -> None:
        run = self._session.shown.run
        if run and run.history.status in _OVER and str(run.folder) == self._preferences.text(_KEY):
            self._remember(None)
