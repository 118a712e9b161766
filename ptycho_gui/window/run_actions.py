"""`RunActions`: what is asked before a picture is made in one go, and before settings are searched."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from ptycho_core.inspection.safe_fixes import safe_fixes
from ptycho_gui.train.best_picture_dialog import BestPictureDialog
from ptycho_gui.train.search_dialog import SearchDialog
from ptycho_gui.train.training_panel import TrainingPanel
from ptycho_gui.window.session import Session


class RunActions(QObject):
    """Asks, and hands the work to the session.

    Parameters
    ----------
    session
        Has scan, settings and the one job at a time.
    training
        Knows where runs go.
    window
        Over which dialogs appear.
    """

    def __init__(self, session: Session, training: TrainingPanel, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._training, self._window = session, training, window
        self.search: SearchDialog | None = None
        session.changed.connect(self._follow)

    def why_not(self) -> str | None:
        """Say why neither can be done now; None where both can."""
        if reason := self._session.why_busy():
            return reason
        if self._session.loader.looked is None:
            return "Open a scan first."
        return None if self._training.output_folder else "Choose an output folder first."

    def best_picture(self) -> None:
        """Ask for the minutes, and make the best picture that they allow."""
        looked, folder = self._session.loader.looked, self._training.output_folder
        if looked is None or folder is None:
            return
        dialog = BestPictureDialog(safe_fixes(looked.problems), self._window)
        dialog.accepted.connect(lambda: self._session.best_picture(folder, dialog.minutes.value()))
        dialog.open()

    def search_settings(self) -> None:
        """Show the dialog of the search."""
        looked = self._session.loader.looked
        if looked is None:
            return
        if self.search is None:
            self.search = SearchDialog(self._session.draft, self._window)
            self.search.start_requested.connect(self._search)
            self.search.stop_requested.connect(self._session.stop)
            self._session.tried.connect(self.search.show_outcome)
        self.search.show_scan(len(looked.scan))
        self._follow()
        self.search.show()
        self.search.raise_()

    @Slot(object, int)
    def _search(self, varied: dict[str, list[Any]], patterns: int) -> None:
        source, folder = self._session.loader.source, self._training.output_folder
        if source is not None and folder is not None:
            base = folder.with_name(f"{source.file.stem}-search")
            self._session.search_settings(base, varied, patterns)

    @Slot()
    def _follow(self) -> None:
        if self.search is not None:
            self.search.set_running(self._session.busy, self.why_not())
