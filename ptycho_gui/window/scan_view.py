"""`ScanView`: the open scan in the panels, and what they ask of it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.scan.settings import SETTINGS
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.file_actions import FileActions
from ptycho_gui.window.panels import Panels
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.session import Session


class ScanView(QObject):
    """Stands between the loader of scans and the panels that show what it has opened.

    Parameters
    ----------
    session
        Has the loader and the draft.
    panels
        Show and ask.
    docks
        Bring panels to the front.
    files
        Opens.
    preferences
        Remember which scans were opened.
    window
        That all are in.
    """

    def __init__(
        self,
        session: Session,
        panels: Panels,
        docks: Docks,
        files: FileActions,
        preferences: Preferences,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._panels, self._docks = session, panels, docks
        self._preferences, self._window = preferences, window
        self._show_what_the_loader_tells(files)
        self._hear_what_the_panels_ask(files)

    def _show_what_the_loader_tells(self, files: FileActions) -> None:
        loader, docks, scan = self._session.loader, self._docks, self._panels.scan
        loader.progressed.connect(self._show_progress)
        loader.opened.connect(self._show)
        loader.failed.connect(self._show_error)
        loader.unknown.connect(files.offer_mapping)
        loader.left.connect(self._show_again)
        loader.counted.connect(self._show_counted)
        loader.changed.connect(self._show_change)
        loader.advised.connect(scan.show_ways_out)
        files.opened.connect(lambda: docks.show("data"))
        scan.marked.connect(partial(docks.mark, "scan"))
        docks["prepare"].visibilityChanged.connect(self._show_before_and_after)

    def _hear_what_the_panels_ask(self, files: FileActions) -> None:
        loader, scan = self._session.loader, self._panels.scan
        prepare, before_after, welcome = self._panels.prepare, self._panels.before_after, self._panels.welcome
        scan.open_requested.connect(files.open)
        scan.reload_requested.connect(loader.reload)
        scan.cancel_requested.connect(loader.cancel)
        scan.setting_chosen.connect(loader.answer)
        scan.setting_withdrawn.connect(loader.withdraw)
        scan.fix_requested.connect(self._fix)
        scan.retry_requested.connect(loader.try_again)
        scan.show_requested.connect(self._show_problem)
        scan.orientation_search_requested.connect(self.search_orientation)
        prepare.steps_chosen.connect(loader.set_steps)
        prepare.steps_edited.connect(before_after.show_steps)
        before_after.step_drawn.connect(prepare.insert_step)
        before_after.effect_ready.connect(prepare.show_effect)
        before_after.addActions(prepare.undo_actions)
        welcome.open_requested.connect(files.open)
        welcome.demo_requested.connect(files.open_demo)

    @Slot()
    def search_orientation(self) -> None:
        """Show the panel of the steps, and try orientations there."""
        self._docks.show("prepare")
        self._panels.prepare.start_orientation_search()

    @Slot(str, object)
    def _show_progress(self, text: str, fraction: float | None) -> None:
        self._panels.scan.show_loading(text, fraction)
        self._panels.run_bar.set_activity(text, fraction)

    @Slot(object)
    def _show(self, looked: Inspection) -> None:
        panels = self._panels
        panels.run_bar.set_activity("", None)
        for panel in (panels.scan, panels.data, panels.probe, panels.prepare, panels.before_after):
            panel.show_scan(looked)
        path = looked.scan.source.path
        if path is not None:
            self._preferences.add_recent(path)
            if not self._preferences.text("folder_runs"):
                panels.runs.set_folder(path.parent)
        if not self._docks["welcome"].isHidden():
            self._docks["welcome"].hide()
            self._docks.show("data")

    @Slot(object)
    def _show_counted(self, looked: Inspection) -> None:
        for panel in (self._panels.scan, self._panels.data):
            panel.show_scan(looked)

    @Slot(str, str)
    def _show_error(self, sentence: str, path: str) -> None:
        self._panels.run_bar.set_activity("", None)
        self._panels.scan.show_error(sentence)
        self._docks.show("scan")

    @Slot(str)
    def _show_change(self, sentence: str) -> None:
        self._panels.scan.show_change(sentence)
        self._panels.message_bar.show_message("warning", sentence)

    @Slot()
    def _show_again(self) -> None:
        self._panels.run_bar.set_activity("", None)
        self._panels.scan.show_scan(self._session.loader.looked)

    @Slot(object)
    def _fix(self, fix: Fix) -> None:
        if fix.field in SETTINGS or fix.field.startswith("--"):
            self._session.loader.fix(fix)
        else:
            self._session.draft.set(fix.field, fix.value)

    @Slot(object)
    def _show_problem(self, problem: Problem) -> None:
        self._docks.show("data")
        self._panels.data.show_problem(problem)

    @Slot(bool)
    def _show_before_and_after(self, preparing: bool) -> None:
        if preparing and self._window.isVisible() and self._session.loader.looked is not None:
            self._docks.show("before_after")
