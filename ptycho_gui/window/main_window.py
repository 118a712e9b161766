"""The main window: its panels, and who hears whom. No computation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QResizeEvent, QShortcut, QShowEvent
from PySide6.QtWidgets import QMainWindow, QSizePolicy, QToolBar, QWhatsThis, QWidget
from superqt import QElidingLabel

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.base.events import PreviewReady, RolledBack, Status
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.runs.record import RunInfo
from ptycho_core.scan.settings import SETTINGS
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.words import begun
from ptycho_gui.log.log_bridge import LogBridge
from ptycho_gui.log.log_panel import LogPanel
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel
from ptycho_gui.prepare.preprocessing_preview import PreprocessingPreview
from ptycho_gui.probe.probe_panel import ProbePanel
from ptycho_gui.result.jobs.reconstruct import Reconstructed
from ptycho_gui.result.object_panel import ObjectPanel
from ptycho_gui.runs.checkpoints_panel import CheckpointsPanel
from ptycho_gui.runs.jobs.runs import OpenedRun
from ptycho_gui.runs.queue_panel import QueuePanel
from ptycho_gui.runs.runs_panel import RunsPanel
from ptycho_gui.scan.data_panel import DataPanel
from ptycho_gui.scan.scan_panel import ScanPanel
from ptycho_gui.train.curves_panel import CurvesPanel
from ptycho_gui.train.grouping_panel import GroupingPanel
from ptycho_gui.train.run_bar import RunBar
from ptycho_gui.train.training_panel import TrainingPanel
from ptycho_gui.window.about_dialog import AboutDialog
from ptycho_gui.window.actions import Actions
from ptycho_gui.window.colours_menu import ColoursMenu
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.file_actions import FileActions
from ptycho_gui.window.full_picture import FullPicture
from ptycho_gui.window.guide_window import GuideWindow
from ptycho_gui.window.message_bar import MessageBar
from ptycho_gui.window.notice import Notice
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.result_actions import ResultActions
from ptycho_gui.window.run_actions import RunActions
from ptycho_gui.window.session import Session, ShownRun, shortcomings
from ptycho_gui.window.unapplied_steps import UnappliedSteps
from ptycho_gui.window.welcome_panel import WelcomePanel

_UNFINISHED = "unfinished_run"
_CAN_GO_ON = (Status.INTERRUPTED, Status.STOPPED, Status.CANCELLED)


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
        self.session = Session(self, queue_file)
        self.commands = Actions(self)
        self.guide: GuideWindow | None = None
        self._make_panels()
        self.files = FileActions(self.session, preferences, self)
        self.results = ResultActions(self.session, self.checkpoints, self.runs, self.curves, preferences, self)
        self.steps = UnappliedSteps(self.prepare, self.session, self)
        self.notice = Notice(self, self.session, self._ending)
        self.run_actions = RunActions(self.session, self.training, self.steps, self)
        self._fill_view_menu()
        self._wire_commands()
        self._wire_scan()
        self._wire_run()
        self._wire_results()
        bridge.emitter.logged.connect(self.log.add)
        self._restore()
        self._update()

    def _make_panels(self) -> None:
        draft = self.session.draft
        self.run_bar, self.message_bar, self.welcome = RunBar(), MessageBar(), WelcomePanel()
        self.scan, self.data, self.probe = ScanPanel(), DataPanel(), ProbePanel()
        self.prepare, self.before_after = PreprocessingPanel(), PreprocessingPreview()
        self.grouping, self.training = GroupingPanel(draft), TrainingPanel(draft)
        self.object, self.curves = ObjectPanel(), CurvesPanel()
        self.checkpoints, self.runs = CheckpointsPanel(), RunsPanel()
        self.queue, self.log = QueuePanel(self.session.queue), LogPanel()
        self.addToolBarBreak()
        self.addToolBar(_strip("Progress", self.run_bar))
        self.addToolBar(Qt.ToolBarArea.BottomToolBarArea, _strip("Messages", self.message_bar))
        self.shown = QElidingLabel()
        self.shown.setAccessibleName("Open scan and shown run")
        self.shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.shown.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.commands.toolbar.addWidget(self.shown)
        self.docks = Docks(self)
        for name, title, group, widget in (
            ("scan", "Scan", "left", self.scan),
            ("prepare", "Prepare", "left", self.prepare),
            ("grouping", "Grouping", "left", self.grouping),
            ("training", "Training", "left", self.training),
            ("welcome", "First steps", "main", self.welcome),
            ("data", "Data", "main", self.data),
            ("object", "Object", "main", self.object),
            ("before_after", "Before and after", "side", self.before_after),
            ("curves", "Curves", "side", self.curves),
            ("probe", "Probe", "side", self.probe),
            ("checkpoints", "Checkpoints", "bottom", self.checkpoints),
            ("runs", "Runs", "bottom", self.runs),
            ("queue", "Queue", "bottom", self.queue),
            ("log", "Log", "bottom", self.log),
        ):
            self.docks.add(name, title, group, widget)

    def _fill_view_menu(self) -> None:
        menu = self.commands.menus["View"]
        panels = menu.addMenu("&Panels")
        for action in self.docks.toggles():
            panels.addAction(action)
        menu.addMenu(ColoursMenu(self.preferences, menu))

    def _wire_commands(self) -> None:
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
        return f"{begun(self.session.at_work)}: {self.run_bar.state}"

    def _why_no_scan(self) -> str | None:
        return None if self.session.loader.looked else "Open a scan first."

    def _wire_scan(self) -> None:
        loader = self.session.loader
        loader.progressed.connect(self._show_loading)
        loader.opened.connect(self._show_scan)
        loader.failed.connect(self._show_scan_error)
        loader.unknown.connect(self.files.offer_mapping)
        loader.left.connect(self._show_scan_again)
        loader.counted.connect(self._show_counted)
        loader.changed.connect(self._show_change)
        self.files.may_leave = self.steps.may_be_lost
        self.files.opened.connect(lambda: self.docks.show("data"))
        self.scan.marked.connect(partial(self.docks.mark, "scan"))
        self.scan.open_requested.connect(self.files.open)
        self.scan.reload_requested.connect(loader.reload)
        self.scan.cancel_requested.connect(loader.cancel)
        self.scan.setting_chosen.connect(loader.answer)
        self.scan.fix_requested.connect(self._fix)
        loader.advised.connect(self.scan.show_ways_out)
        self.scan.retry_requested.connect(loader.try_again)
        self.scan.show_requested.connect(self._show_problem)
        self.scan.orientation_search_requested.connect(self._search_orientation)
        self.prepare.steps_chosen.connect(loader.set_steps)
        self.prepare.steps_edited.connect(self.before_after.show_steps)
        self.before_after.step_drawn.connect(self.prepare.insert_step)
        self.before_after.outcome_ready.connect(self.prepare.show_outcome)
        self.before_after.addActions(self.prepare.undo_actions)
        self.docks["prepare"].visibilityChanged.connect(self._show_before_and_after)
        self.welcome.open_requested.connect(self.files.open)
        self.welcome.demo_requested.connect(self.files.open_demo)
        self.welcome.guide_requested.connect(self._show_guide)

    def _wire_run(self) -> None:
        session = self.session
        session.message.connect(self.message_bar.show_message)
        session.began.connect(self.message_bar.clear)
        session.planned.connect(self.run_bar.set_part)
        session.working.connect(self.run_bar.set_activity)
        session.changed.connect(self._update)
        session.run_shown.connect(self._show_run)
        session.run_opened.connect(self._show_opened)
        session.heard.connect(self._hear)
        session.previewed.connect(self._show_preview)
        session.trained.connect(self._tell_end)
        session.recorded.connect(self.runs.refresh)
        session.idle.connect(self._close_if_asked)
        self.message_bar.log_requested.connect(lambda: self.docks.show("log"))
        self.queue.add_requested.connect(self.run_actions.enqueue)
        self.run_actions.queued.connect(lambda: self.docks.show("queue"))
        self.queue.run_requested.connect(session.start_queue)
        self.queue.pause_requested.connect(session.pause_queue)
        self.runs.open_requested.connect(self.files.open_run)
        self.runs.resume_requested.connect(self.files.resume_run)
        self.runs.folder_chosen.connect(self._remember_runs)
        self.runs.message.connect(self.message_bar.show_message)

    def _wire_results(self) -> None:
        self.session.reconstructed.connect(self._show_reconstruction)
        self.session.compared.connect(self._show_both)
        self.object.result_shown.connect(self.probe.show_result)
        self.object.export_requested.connect(self.results.export_reconstruction)
        self.object.page_requested.connect(self.results.make_page)
        self.object.playback.animation_requested.connect(self.results.export_animation)
        self.object.verdict.action_chosen.connect(self._carry_out)
        self.training.output_folder_changed.connect(self._update)

    def open_path(self, path: Path) -> None:
        """Open a scan, or the run in a folder."""
        self.files.open_path(path)

    def open_unfinished(self) -> None:
        """Open the run that the last session left unfinished, and say so."""
        folder = self.preferences.text(_UNFINISHED)
        if folder and Path(folder).is_dir():
            self.session.open_run(Path(folder), self._remind)

    def _remind(self, opened: OpenedRun) -> None:
        info = opened.info
        if info.status in _CAN_GO_ON and self.session.why_not_resume() is None:
            text = f"{info.folder.name} is {info.status} after epoch {info.epochs_done}. Resume goes on with it."
            self.message_bar.show_message("warning", text)

    def run_demo(self, folder: Path) -> None:
        """Simulate a scan into a folder, open it, and train on it."""
        self.files.run_demo(folder)

    def _restore(self) -> None:
        """Be as the last session left the window, or as it is at first."""
        if problem := self.session.queue.problem:
            self.message_bar.show_message("warning", f"The queue starts empty and is not kept: {problem}.")
        self._as_at_first = not self.docks.restore(self.preferences)
        if self._as_at_first:
            self.docks.show("welcome")
        self.training.folder = self.preferences.folder("settings")
        recent = self.preferences.recent
        if self.preferences.text("folder_runs"):
            self.runs.set_folder(self.preferences.folder("runs"))
        elif recent:
            self.runs.set_folder(recent[0].parent)

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

    @Slot(str, object)
    def _show_loading(self, text: str, fraction: float | None) -> None:
        self.scan.show_loading(text, fraction)
        self.run_bar.set_activity(text, fraction)

    @Slot(object)
    def _show_scan(self, looked: Inspection) -> None:
        self.run_bar.set_activity("", None)
        for panel in (self.scan, self.data, self.probe, self.prepare, self.before_after):
            panel.show_scan(looked)
        path = looked.scan.source.path
        if path is not None:
            self.preferences.add_recent(path)
            self._name_window()
            if not self.preferences.text("folder_runs"):
                self.runs.set_folder(path.parent)
        if not self.docks["welcome"].isHidden():
            self.docks["welcome"].hide()
            self.docks.show("data")
        self._update()

    def _name_window(self) -> None:
        """Name the scan that is open and the run that is shown, and say where that is of another scan."""
        source, run = self.session.loader.source, self.session.run
        scan = source.path if source else None
        parts = [f"Open scan: {scan.name}"] if scan else []
        if run is not None:
            other = f", of {run.scan.name}" if run.scan and run.scan != scan else ""
            parts.append(f"Run shown: {run.folder.name}{other}")
        self.setWindowTitle("; ".join(parts))
        self.shown.setText("   ".join(parts))
        paths = [str(path) for path in (scan, run and run.folder) if path]
        about = "Scan, Data, Prepare and Training are of the open scan, the rest of the run that is shown"
        self.shown.setToolTip("\n".join([about, *paths]))

    @Slot(object)
    def _show_counted(self, looked: Inspection) -> None:
        for panel in (self.scan, self.data):
            panel.show_scan(looked)
        self._update()

    @Slot(str, str)
    def _show_scan_error(self, sentence: str, path: str) -> None:
        self.run_bar.set_activity("", None)
        self.scan.show_error(sentence)
        self.docks.show("scan")

    @Slot(str)
    def _show_change(self, sentence: str) -> None:
        self.scan.show_change(sentence)
        self.message_bar.show_message("warning", sentence)

    @Slot()
    def _show_scan_again(self) -> None:
        self.run_bar.set_activity("", None)
        self.scan.show_scan(self.session.loader.looked)

    @Slot(object)
    def _fix(self, fix: Fix) -> None:
        if fix.field in SETTINGS or fix.field.startswith("--"):
            self.session.loader.fix(fix)
        else:
            self.session.draft.set(fix.field, fix.value)

    @Slot(object)
    def _carry_out(self, action: Fix) -> None:
        """Do what the verdict on the picture that is shown proposes."""
        if action.field == SEARCH_ORIENTATION:
            self.session.with_scan_of_picture(self._search_orientation)
        elif action.field == POLISH:
            self.results.reconstruct_best(action.value)
        elif action.field.startswith("--"):
            self.session.with_scan_of_picture(
                lambda: self.session.loader.fix(action, lambda _: self.run_actions.run_again())
            )
        elif action.field in SETTINGS:
            self.session.with_scan_of_picture(lambda: self.session.loader.fix(action))
            self.docks.show("scan")
        else:
            self.session.with_scan_of_picture(lambda: self.run_actions.run_again(action))

    @Slot(object)
    def _show_problem(self, problem: Problem) -> None:
        self.docks.show("data")
        self.data.show_problem(problem)

    @Slot(bool)
    def _show_before_and_after(self, preparing: bool) -> None:
        if preparing and self.isVisible() and self.session.loader.looked is not None:
            self.docks.show("before_after")

    @Slot()
    def _search_orientation(self) -> None:
        self.docks.show("prepare")
        self.prepare.start_orientation_search()

    @Slot(object)
    def _show_run(self, run: ShownRun) -> None:
        self.run_bar.show_state(run.history)
        self.curves.show_run(run.history)
        self.checkpoints.show_run(run.info)
        if run.info is None:
            self.object.clear()
        pixel = run.info.scan.pixel_size_m if run.info else self.session.pixel_size_m()
        self.object.set_run(run.folder, pixel)
        self.log.set_run_folder(run.folder)
        self._name_window()
        if self.session.training:
            self.preferences.set_text(_UNFINISHED, str(run.folder))
            self.preferences.save()
            self.run_actions.propose_next_folder()
            for name in ("curves", "object", "checkpoints"):
                self.docks.show(name)

    @Slot(object)
    def _show_opened(self, opened: OpenedRun) -> None:
        for path, free_misfit in opened.free_misfit.items():
            self.checkpoints.set_free_misfit(path, free_misfit)
        if opened.reconstruction is not None:
            self.object.show_reconstruction(opened.info.folder.name, opened.reconstruction)
            self.results.shown = opened.info.folder.name
        else:
            self.object.clear()
        for name in ("object", "checkpoints"):
            self.docks.show(name)

    @Slot(object)
    def _show_preview(self, preview: PreviewReady) -> None:
        self.object.show_preview(preview, self.session.pixel_size_m())

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        for event in events:
            if isinstance(event, PreviewReady):
                self._show_preview(event)
            elif isinstance(event, RolledBack):
                self.message_bar.show_message("warning", f"{event.message}.")
            else:
                self.checkpoints.hear(event)
        if (run := self.session.run) is not None:
            self.run_bar.show_state(run.history)
            if run.history.status in (Status.FINISHED, Status.FAILED):
                self.preferences.set_text(_UNFINISHED, "")
        self.curves.refresh()

    @Slot(object)
    def _tell_end(self, info: RunInfo) -> None:
        """Say what a run lacks: how it has ended is in the line of its state, what may help in the verdict."""
        lacks = [] if info.status == Status.CANCELLED else shortcomings(info)
        if lacks:
            self.message_bar.show_message("warning", f"{info.folder.name}: {'. '.join(lacks)}.")

    @Slot(object)
    def _show_reconstruction(self, made: Reconstructed) -> None:
        run, metrics = self.session.run, made.reconstruction.metrics
        label = run.history.name_of(made.checkpoint) if run else made.checkpoint.name
        if metrics["polish_epochs"]:
            label += f", polished for {metrics['polish_epochs']} epochs"
        self.object.show_reconstruction(f"{made.folder.name}: {label}", made.reconstruction)
        if metrics["same_scan"]:
            self.curves.show_figures(label, metrics["misfit"], metrics["free_misfit"])
        if made.free_misfit is not None:
            self.checkpoints.set_free_misfit(made.checkpoint, made.free_misfit)
        self.object.end_live()
        self.results.shown = f"{made.folder.name}: {label}"
        self.docks.show("object")

    @Slot(object, object)
    def _show_both(self, first: Any, second: Any) -> None:
        self.object.compare(first, second)
        self.docks.show("object")

    @Slot()
    def _update(self) -> None:
        """Say in every action and panel what can be done now, or why not."""
        session = self.session
        self.commands.follow()
        self.object.verdict.set_allowed(session.why_busy())
        self.checkpoints.set_busy(session.why_busy())
        self.runs.set_busy(session.why_busy())
        self.queue.set_allowed(self.run_actions.why_not_enqueue(), session.why_busy())
        self.queue.set_active(session.works_off_queue)
        self.log.set_config(session.draft.config())

    @Slot(Path)
    def _remember_runs(self, folder: Path) -> None:
        self.preferences.set_folder("runs", folder)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: ask if something runs, stop it in good order, wait, save."""
        if self.session.busy:
            event.ignore()
            self._ask_to_close()
            return
        if not self.session.closing and not self.steps.may_be_lost():
            event.ignore()
            return
        self.preferences.set_folder("settings", self.training.folder)
        self.docks.save(self.preferences)
        self.preferences.save()
        parts = (
            self.files,
            self.results,
            self.data,
            self.probe,
            self.prepare,
            self.before_after,
            self.training,
            self.object,
            self.runs,
        )
        for part in parts:
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


def _strip(title: str, widget: QWidget) -> QToolBar:
    """Return a toolbar that holds one widget and stays where it is."""
    strip = QToolBar(title)
    strip.setObjectName(f"strip_{title.lower()}")
    strip.setMovable(False)
    strip.addWidget(widget)
    return strip
