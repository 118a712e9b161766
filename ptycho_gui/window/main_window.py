"""The main window: what it is made of, and who hears whom. No computation."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import QMainWindow, QWhatsThis

from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.words import begun
from ptycho_gui.log.log_bridge import LogBridge
from ptycho_gui.window.about_dialog import AboutDialog
from ptycho_gui.window.actions import Actions
from ptycho_gui.window.colours_menu import ColoursMenu
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.file_actions import FileActions
from ptycho_gui.window.full_picture import FullPicture
from ptycho_gui.window.guide_window import GuideWindow
from ptycho_gui.window.notice import Notice
from ptycho_gui.window.panels import Panels
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.result_actions import ResultActions
from ptycho_gui.window.run_actions import RunActions
from ptycho_gui.window.run_view import RunView
from ptycho_gui.window.scan_view import ScanView
from ptycho_gui.window.session import Session
from ptycho_gui.window.unapplied_steps import UnappliedSteps
from ptycho_gui.window.unfinished_run import UnfinishedRun


class MainWindow(QMainWindow):
    """Everything that an operator sees.

    Parameters
    ----------
    preferences
        What earlier sessions left.
    bridge
        Tells log records.
    queue_file
        Where the queue is kept; None keeps none.
    """

    def __init__(self, preferences: Preferences, bridge: LogBridge, queue_file: Path | None = None) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.preferences = preferences
        self.session = session = Session(self, queue_file)
        self.commands, self.docks = Actions(self), Docks(self)
        self.panels = panels = Panels(session)
        panels.put_into(self, self.commands.toolbar, self.docks)
        self.guide: GuideWindow | None = None
        self.files = FileActions(session, preferences, self)
        self.results = ResultActions(session, panels.checkpoints, panels.runs, panels.curves, preferences, self)
        self.steps = UnappliedSteps(panels.prepare, session, self)
        self.notice = Notice(self, session, self._ending)
        self.unfinished = UnfinishedRun(session, preferences)
        self.run_actions = RunActions(session, panels.training, self.steps, self)
        scan_view = ScanView(session, panels, self.docks, self.files, preferences, self)
        RunView(session, panels, self.docks, self.results, self.run_actions, scan_view, self)
        self._fill_view_menu()
        self._bind_commands()
        self._wire()
        bridge.emitter.logged.connect(panels.log.add)
        self._restore()
        self._update()

    def _fill_view_menu(self) -> None:
        menu = self.commands.menus["View"]
        panels = menu.addMenu("&Panels")
        for action in self.docks.toggles():
            panels.addAction(action)
        menu.addMenu(ColoursMenu(self.preferences, menu))

    def _bind_commands(self) -> None:
        session, files, results, bind = self.session, self.files, self.results, self.commands.bind
        begin = self.run_actions
        bind("open", files.open)
        bind("open_positions", files.open_with_positions)
        bind("open_mapped", files.open_mapped)
        bind("demo", files.open_demo)
        bind("reload", session.loader.reload, self._why_no_scan)
        bind("save_scan", files.save_scan, self._why_no_scan)
        bind("quit", self.close)
        bind("best_picture", begin.best_picture, begin.why_not)
        bind("search_settings", begin.search_settings, self._why_no_scan)
        bind("start", begin.start, begin.why_not_start)
        bind("stop", session.stop, session.why_idle)
        bind("cancel", begin.cancel, session.why_idle)
        bind("resume", session.resume, session.why_not_resume)
        bind("enqueue", begin.enqueue, begin.why_not_enqueue)
        bind("submit", begin.submit, begin.why_not_submit)
        bind("apply", results.apply, session.why_busy)
        bind("watch", results.watch, session.why_busy)
        bind("reconstruct", results.reconstruct_best, lambda: session.why_busy() or results.why_no_checkpoint())
        bind("unpolished", results.reconstruct_unpolished, lambda: session.why_busy() or results.why_not_unpolished())
        bind("export_checkpoint", results.export_best, results.why_no_checkpoint)
        bind("export_reconstruction", results.export_reconstruction, results.why_no_reconstruction)
        bind("page", results.make_page, results.why_no_reconstruction)
        bind("note", results.note_shown, results.why_nothing_shown)
        bind("reset_layout", self._reset_layout)
        FullPicture(self, self.docks, "object", self.commands["full_picture"])
        bind("guide", self._show_guide)
        bind("whats_this", QWhatsThis.enterWhatsThisMode)
        bind("first_steps", lambda: self.docks.show("welcome"))
        bind("about", lambda: AboutDialog(self).exec())
        QShortcut(QKeySequence("F10"), self, self._open_menus)
        self.commands["unlock"].setCheckable(True)
        self.commands["unlock"].toggled.connect(self.docks.set_movable)
        files.fill_recent(self.commands.menus["File"], before=self.commands["demo"])

    def _ending(self) -> str:
        """Return what was done last, and how it ended."""
        return f"{begun(self.session.at_work)}: {self.panels.run_bar.state}"

    def _why_no_scan(self) -> str | None:
        return None if self.session.loader.looked else "Open a scan first."

    def _wire(self) -> None:
        session, panels = self.session, self.panels
        session.changed.connect(self._update)
        session.shown.run_shown.connect(self._name_window)
        session.idle.connect(self._close_if_asked)
        for told in (session.loader.opened, session.loader.counted, panels.training.output_folder_changed):
            told.connect(self._update)
        session.loader.opened.connect(self._name_window)
        self.files.may_leave = self.steps.may_be_lost
        self.run_actions.queued.connect(lambda: self.docks.show("queue"))
        self.results.watching.connect(lambda: self.docks.show("object"))
        panels.welcome.guide_requested.connect(self._show_guide)
        panels.message_bar.log_requested.connect(lambda: self.docks.show("log"))
        panels.queue.add_requested.connect(self.run_actions.enqueue)
        panels.queue.run_requested.connect(session.start_queue)
        panels.queue.submit_requested.connect(session.submit_queue)
        panels.queue.pause_requested.connect(session.pause_queue)
        panels.runs.open_requested.connect(self.files.open_run)
        panels.runs.wait_requested.connect(session.wait_for_run)
        panels.runs.resume_requested.connect(self.files.resume_run)
        panels.runs.folder_chosen.connect(partial(self.preferences.set_folder, "runs"))
        panels.runs.message.connect(panels.message_bar.show_message)
        panels.object.export_requested.connect(self.results.export_reconstruction)
        panels.object.page_requested.connect(self.results.make_page)
        panels.object.playback.animation_requested.connect(self.results.export_animation)

    def open_path(self, path: Path) -> None:
        """Open a scan, or the run in a folder."""
        self.files.open_path(path)

    def open_unfinished(self) -> None:
        """Open the run that the last session left unfinished, and say so."""
        self.unfinished.open()

    def run_demo(self, folder: Path) -> None:
        """Simulate a scan into a folder, open it, and train on it."""
        self.files.run_demo(folder)

    def _restore(self) -> None:
        """Be as the last session left the window, or as it is at first."""
        if problem := self.session.queue.problem:
            self.panels.message_bar.show_message("warning", f"The queue starts empty and is not kept: {problem}.")
        self._as_at_first = not self.docks.restore(self.preferences)
        if self._as_at_first:
            self.docks.show("welcome")
        self.panels.training.folder = self.preferences.folder("settings")
        recent = self.preferences.recent
        if self.preferences.text("folder_runs"):
            self.panels.runs.set_folder(self.preferences.folder("runs"))
        elif recent:
            self.panels.runs.set_folder(recent[0].parent)

    @Slot()
    def _reset_layout(self) -> None:
        """Put every panel where it is at first."""
        self.docks.arrange()
        self.docks["welcome"].setVisible(self.session.loader.looked is None)
        self.docks.share_room()

    @Slot()
    def _open_menus(self) -> None:
        """Open the first menu, from where the arrow keys lead on."""
        self.menuBar().setActiveAction(self.menuBar().actions()[0])

    @Slot()
    def _show_guide(self) -> None:
        if self.guide is None:
            self.guide = GuideWindow()
        self.guide.show()
        self.guide.raise_()
        self.guide.activateWindow()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: sizes of docks hold only once the window has its own."""
        super().showEvent(event)
        if self._as_at_first:
            self._as_at_first = False
            QTimer.singleShot(0, self, self.docks.share_room)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: a wide window has room for a column more."""
        super().resizeEvent(event)
        if self.isVisible() and not self.isFullScreen():
            QTimer.singleShot(0, self, self.docks.follow_width)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take files that are dropped."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: open the first file or folder that was dropped."""
        self.open_path(Path(event.mimeData().urls()[0].toLocalFile()))

    @Slot()
    def _name_window(self) -> None:
        """Name the scan that is open and the run that is shown, and say where that is of another scan."""
        source, run = self.session.loader.source, self.session.shown.run
        scan = source.path if source else None
        parts = [f"Scan: {scan.name}"] if scan else []
        if run is not None:
            other = f", of {run.scan.name}" if run.scan and run.scan != scan else ""
            parts.append(f"Run: {run.folder.name}{other}")
        self.setWindowTitle("; ".join(parts))
        self.panels.shown.setText("   ".join(parts))
        paths = [str(path) for path in (scan, run and run.folder) if path]
        about = "Scan, Data, Prepare and Training are of the open scan, the rest of the run that is shown"
        self.panels.shown.setToolTip("\n".join([about, *paths]))

    @Slot()
    def _update(self) -> None:
        """Say in every action and panel what can be done now, or why not."""
        session = self.session
        self.commands.follow()
        self.panels.object.verdict.set_allowed(session.why_busy())
        self.panels.checkpoints.set_busy(session.why_busy())
        self.panels.runs.set_busy(session.why_busy())
        self.panels.queue.set_allowed(self.run_actions.why_not_enqueue(), session.why_busy())
        self.panels.queue.set_active(session.turn.active)
        self.panels.log.set_config(session.draft.config())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: ask if something runs, stop it in good order, wait, save."""
        if self.session.busy:
            event.ignore()
            self._ask_to_close()
            return
        if not self.session.closing and not self.steps.may_be_lost():
            event.ignore()
            return
        self.preferences.set_folder("settings", self.panels.training.folder)
        self.docks.save(self.preferences)
        self.preferences.save()
        for part in (self.files, self.results, self.panels):
            part.shut_down()
        self.session.shut_down()
        if self.guide is not None:
            self.guide.close()
        event.accept()

    def _ask_to_close(self) -> None:
        if self.session.closing:
            return
        text = f"{begun(self.session.at_work)} still goes on. Stop in good order, save what there is, and close?"
        if confirmed(self, "Close ptycho", text, "&Stop and close", "&Go on"):
            self.session.closing = True
            self.session.stop()
            self._close_if_asked()

    @Slot()
    def _close_if_asked(self) -> None:
        if self.session.closing and not self.session.busy:
            self.close()
