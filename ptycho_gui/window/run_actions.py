"""`RunActions`: what is asked before something is trained, and what trains then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from ptycho_core.base.errors import Fix, PtychoError
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.inspection.safe_fixes import safe_fixes
from ptycho_core.runs.queue import QueuedRun
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.train.best_picture_dialog import BestPictureDialog
from ptycho_gui.train.search_dialog import SearchDialog
from ptycho_gui.train.training_panel import TrainingPanel
from ptycho_gui.window.session import Session
from ptycho_gui.window.unapplied_steps import UnappliedSteps


class RunActions(QObject):
    """Asks, and hands the work to the session.

    Parameters
    ----------
    session
        Has scan, settings, queue and the one job at a time.
    training
        Knows where runs go.
    steps
        Asks about steps that are not applied.
    window
        Over which dialogs appear.
    """

    queued = Signal()
    """A run was added to the queue."""

    def __init__(self, session: Session, training: TrainingPanel, steps: UnappliedSteps, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._training, self._steps, self._window = session, training, steps, window
        self.search: SearchDialog | None = None
        session.changed.connect(self._follow)
        session.shown.run_shown.connect(self._propose_another_folder)
        session.loader.opened.connect(self._show_scan_to_search)

    def why_not(self) -> str | None:
        """Say why neither a best picture nor a search can begin now; None where both can."""
        if reason := self._session.why_busy():
            return reason
        looked = self._session.loader.looked
        if looked is None:
            return "Open a scan first."
        left = (each for each in looked.problems if each.severity == "error" and not safe_fixes([each]))
        return next((each.message for each in left), None) or self._why_no_folder()

    def why_not_start(self) -> str | None:
        """Say why no run can begin now with the settings as they are; None where one can."""
        return self._session.why_not_start() or self._why_no_folder()

    def why_not_enqueue(self) -> str | None:
        """Say why no run can wait in the queue with the settings as they are; None where one can."""
        return self._session.draft.reason_not_to_start() or self._why_no_folder()

    def why_not_submit(self) -> str | None:
        """Say why no run can be handed on with the settings as they are; None where one can."""
        return self._session.draft.reason_not_to_submit() or self._why_no_folder()

    def start(self) -> None:
        """Train on the open scan."""
        if folder := self._training.output_folder:
            self._steps.applied_before("start", lambda: self._session.start(folder))

    def run_again(self, *changes: Fix) -> None:
        """Start a run with the settings of the picture that is shown, and some changes."""
        self._session.take_settings_of_picture()
        for change in changes:
            self._session.draft.set(change.field, change.value)
        if reason := self.why_not_start():
            self._session.message.emit("warning", reason)
        else:
            self.start()

    @Slot()
    def enqueue(self) -> None:
        """Let a run on the open scan wait in the queue."""
        self._steps.applied_before("add", self._add_to_queue)

    def submit(self) -> None:
        """Hand a run on the open scan to what the site's file names."""
        if folder := self._training.output_folder:
            self._steps.applied_before("submit", lambda: self._submit(folder))

    def cancel(self) -> None:
        """Ask, and leave at once what is going on."""
        text = f"Leave {self._session.to_end} at once? What was saved stays; what was done since is lost."
        if confirmed(self._window, "Cancel", text, "&Leave at once", "&Go on"):
            self._session.cancel()

    def best_picture(self) -> None:
        """Ask for the minutes, and make the best picture that they allow."""
        self._steps.applied_before("go on", self._ask_for_minutes)

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
        self._show_scan_to_search(looked)
        self._follow()
        self.search.show()
        self.search.raise_()

    def _why_no_folder(self) -> str | None:
        return None if self._training.output_folder else "Choose an output folder first."

    def _ask_for_minutes(self) -> None:
        looked, folder = self._session.loader.looked, self._training.output_folder
        if looked is None or folder is None:
            return
        dialog = BestPictureDialog(safe_fixes(looked.problems), self._window)
        dialog.accepted.connect(lambda: self._session.best_picture(folder, dialog.minutes.value()))
        dialog.open()

    def _add_to_queue(self) -> None:
        source, folder = self._session.loader.source, self._training.output_folder
        if source is None or folder is None:
            return
        draft = self._session.draft
        try:
            self._session.queue.add(QueuedRun(source, draft.settings(), folder, draft.further_files()))
        except PtychoError as error:
            self._session.message.emit("error", str(error))
        else:
            self._propose_next_folder()
            self.queued.emit()

    @Slot(object)
    def _show_scan_to_search(self, looked: Inspection) -> None:
        if self.search is not None:
            self.search.show_scan(len(looked.scan))

    @Slot(object, int)
    def _search(self, varied: dict[str, list[Any]], patterns: int) -> None:
        source, folder = self._session.loader.source, self._training.output_folder
        if source is not None and folder is not None:
            base = folder.with_name(f"{source.file.stem}-search")
            search = self._session.search_settings
            self._steps.applied_before("start", lambda: search(base, varied, patterns))

    @Slot()
    def _propose_another_folder(self) -> None:
        if self._session.training:
            self._propose_next_folder()

    def _submit(self, folder: Path) -> None:
        self._session.submit(folder)
        self._propose_next_folder(folder)

    def _propose_next_folder(self, *taken: Path) -> None:
        """Propose a folder for the next run that none of those on their way writes into."""
        run = self._session.shown.run
        self._training.renew_output_folder((*taken, *self._session.queue.folders, *([run.folder] if run else [])))

    @Slot()
    def _follow(self) -> None:
        if self.search is not None:
            self.search.set_running(self._session.busy, self.why_not())
