"""`RunView`: the run that is shown, and its picture, in the panels."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from ptycho_core.base.errors import Fix
from ptycho_core.base.events import PreviewReady, RolledBack, Status
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION, of_one_scan
from ptycho_core.runs.record import RunInfo
from ptycho_core.scan.settings import SETTINGS
from ptycho_gui.result.jobs.reconstruct import Reconstructed
from ptycho_gui.runs.jobs.runs import OpenedRun
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.panels import Panels
from ptycho_gui.window.result_actions import ResultActions
from ptycho_gui.window.run_actions import RunActions
from ptycho_gui.window.scan_view import ScanView
from ptycho_gui.window.session import Session
from ptycho_gui.window.shown import ShownRun, shortcomings


class RunView(QObject):
    """Shows what the session tells of runs and pictures, and does what the verdict on a picture proposes.

    Parameters
    ----------
    session
        Tells.
    panels
        Show.
    docks
        Bring panels to the front.
    results, run_actions, scan_view
        Do what a verdict proposes.
    window
        Owns this.
    """

    def __init__(
        self,
        session: Session,
        panels: Panels,
        docks: Docks,
        results: ResultActions,
        run_actions: RunActions,
        scan_view: ScanView,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._panels, self._docks = session, panels, docks
        self._results, self._run_actions, self._scan_view = results, run_actions, scan_view
        session.message.connect(panels.message_bar.show_message)
        session.began.connect(panels.message_bar.clear)
        session.planned.connect(panels.run_bar.set_part)
        session.working.connect(panels.run_bar.set_activity)
        session.shown.run_shown.connect(self._show_run)
        session.shown.run_opened.connect(self._show_opened)
        session.scans_reopened.connect(self._name_scans)
        session.shown.scan_shown.connect(self._show_scan)
        panels.checkpoints.scan_chosen.connect(session.show_scan)
        session.shown.heard.connect(self._hear)
        session.previewed.connect(self._show_preview)
        session.trained.connect(self._tell_end)
        session.shown.recorded.connect(panels.runs.refresh)
        session.shown.reconstructed.connect(self._show_reconstruction)
        session.compared.connect(self._show_both)
        panels.object.result_shown.connect(panels.probe.show_result)
        panels.object.verdict.action_chosen.connect(self._carry_out)

    @Slot(object)
    def _show_run(self, run: ShownRun) -> None:
        panels = self._panels
        panels.run_bar.show_state(run.history)
        panels.curves.show_run(run.history)
        panels.checkpoints.show_run(run.info)
        panels.checkpoints.show_scans(run.scans, run.place)
        if run.info is None:
            panels.object.clear()
        panels.object.set_run(run.folder, run.scan_name)
        panels.log.set_run_folder(run.folder)
        if self._session.training:
            for name in ("curves", "object", "checkpoints"):
                self._docks.show(name)

    @Slot(object)
    def _show_opened(self, opened: OpenedRun) -> None:
        self._show_picture(opened)

    @Slot(object)
    def _name_scans(self, info: RunInfo) -> None:
        first, *further = (one.path for one in info.recorded_scans)
        self._panels.training.further.set_scans(first, [path for path in further if path])

    @Slot(object)
    def _show_scan(self, opened: OpenedRun) -> None:
        self._panels.checkpoints.show_run(opened.info)
        name = opened.info.scan_names[opened.place]
        self._panels.object.set_run(opened.info.folder_of_scan(opened.place), name)
        self._show_picture(opened)

    def _show_picture(self, opened: OpenedRun) -> None:
        for path, free_misfit in opened.free_misfit.items():
            self._panels.checkpoints.set_free_misfit(path, free_misfit)
        if opened.reconstruction is not None and opened.preview is None:
            self._panels.object.show_reconstruction(self._session.shown.name, opened.reconstruction)
        else:
            self._panels.object.clear()
            self._panels.object.judge_live(opened.verdict)
        for name in ("object", "checkpoints"):
            self._docks.show(name)

    @Slot(object)
    def _show_preview(self, preview: PreviewReady) -> None:
        run = self._session.shown.run
        if run is None or preview.scan in (None, run.place):
            self._panels.object.show_preview(preview)

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        for event in events:
            if isinstance(event, PreviewReady):
                self._show_preview(event)
            elif isinstance(event, RolledBack):
                self._panels.message_bar.show_message("warning", f"{event.message}.")
            else:
                self._panels.checkpoints.hear(event)
        if (run := self._session.shown.run) is not None:
            self._panels.checkpoints.show_scans(run.scans, run.place)
            self._panels.run_bar.show_state(run.history)
            self._panels.object.judge_live(None if run.history.status == Status.RUNNING else run.history.verdict)
        self._panels.curves.refresh()

    @Slot(object)
    def _tell_end(self, info: RunInfo) -> None:
        """Say what a run lacks: how it has ended is in the line of its state, what may help in the verdict."""
        lacks = [] if info.status == Status.CANCELLED else shortcomings(info)
        if lacks:
            self._panels.message_bar.show_message("warning", f"{info.folder.name}: {'. '.join(lacks)}.")

    @Slot(object)
    def _show_reconstruction(self, made: Reconstructed) -> None:
        panels, shown, metrics = self._panels, self._session.shown, made.reconstruction.metrics
        panels.object.show_reconstruction(shown.name, made.reconstruction)
        if metrics["same_scan"]:
            panels.curves.show_figures(shown.label, metrics["misfit"], metrics["free_misfit"])
        if made.free_misfit is not None:
            panels.checkpoints.set_free_misfit(made.checkpoint, made.free_misfit)
        panels.object.end_live()
        self._docks.show("object")

    @Slot(object, object)
    def _show_both(self, first: Any, second: Any) -> None:
        self._panels.object.end_live()  # what was shown meanwhile is of no run that goes on
        self._panels.object.compare(first, second)
        self._docks.show("object")

    @Slot(object)
    def _carry_out(self, action: Fix) -> None:
        """Do what the verdict on the picture that is shown proposes."""
        session, run_again = self._session, self._run_alone if of_one_scan(action) else self._run_actions.run_again
        if action.field == SEARCH_ORIENTATION:
            session.with_scan_of_picture(self._scan_view.search_orientation)
        elif action.field == POLISH:
            self._results.reconstruct_best(action.value)
        elif action.field.startswith("--"):
            session.with_scan_of_picture(lambda: session.loader.fix(action, lambda _: run_again()))
        elif action.field in SETTINGS:
            session.with_scan_of_picture(lambda: session.loader.fix(action))
            self._docks.show("scan")
        else:
            session.with_scan_of_picture(lambda: run_again(action))

    def _run_alone(self, *changes: Fix) -> None:
        """Start a run on the open scan without those beside it."""
        source = self._session.loader.source
        self._panels.training.further.set_scans(source.path if source else None, ())
        self._run_actions.run_again(*changes)
