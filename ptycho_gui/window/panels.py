"""`Panels`: every panel of the window, made once."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMainWindow, QSizePolicy, QToolBar, QWidget
from superqt import QElidingLabel

from ptycho_gui.log.log_panel import LogPanel
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel
from ptycho_gui.prepare.preprocessing_preview import PreprocessingPreview
from ptycho_gui.probe.probe_panel import ProbePanel
from ptycho_gui.result.object_panel import ObjectPanel
from ptycho_gui.runs.checkpoints_panel import CheckpointsPanel
from ptycho_gui.runs.queue_panel import QueuePanel
from ptycho_gui.runs.runs_panel import RunsPanel
from ptycho_gui.scan.data_panel import DataPanel
from ptycho_gui.scan.scan_panel import ScanPanel
from ptycho_gui.train.curves_panel import CurvesPanel
from ptycho_gui.train.grouping_panel import GroupingPanel
from ptycho_gui.train.run_bar import RunBar
from ptycho_gui.train.training_panel import TrainingPanel
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.message_bar import MessageBar
from ptycho_gui.window.session import Session
from ptycho_gui.window.welcome_panel import WelcomePanel


class Panels:
    """The panels, for whoever shows something in them or hears what they ask for.

    Parameters
    ----------
    session
        Has what some of them edit: the draft and the queue.
    """

    def __init__(self, session: Session) -> None:
        self.run_bar, self.message_bar, self.welcome = RunBar(), MessageBar(), WelcomePanel()
        self.scan, self.data, self.probe = ScanPanel(), DataPanel(), ProbePanel()
        self.prepare, self.before_after = PreprocessingPanel(), PreprocessingPreview()
        self.grouping, self.training = GroupingPanel(session.draft), TrainingPanel(session.draft)
        self.object, self.curves = ObjectPanel(), CurvesPanel()
        self.checkpoints, self.runs = CheckpointsPanel(), RunsPanel()
        self.queue, self.log = QueuePanel(session.queue), LogPanel()
        self.shown = QElidingLabel()
        """Names the scan that is open and the run that is shown."""
        self.shown.setAccessibleName("Open scan and shown run")
        self.shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.shown.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def put_into(self, window: QMainWindow, toolbar: QToolBar, docks: Docks) -> None:
        """Give each its place: a dock, a strip of its own, or the toolbar."""
        window.addToolBarBreak()
        window.addToolBar(_strip("Progress", self.run_bar))
        window.addToolBar(Qt.ToolBarArea.BottomToolBarArea, _strip("Messages", self.message_bar))
        toolbar.addWidget(self.shown)
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
            docks.add(name, title, group, widget)

    def shut_down(self) -> None:
        """End what the panels do in threads, and wait for it."""
        for panel in (
            self.data,
            self.probe,
            self.prepare,
            self.before_after,
            self.training,
            self.object,
            self.runs,
        ):
            panel.shut_down()


def _strip(title: str, widget: QWidget) -> QToolBar:
    """Return a toolbar that holds one widget and stays where it is."""
    strip = QToolBar(title)
    strip.setObjectName(f"strip_{title.lower()}")
    strip.setMovable(False)
    strip.addWidget(widget)
    return strip
