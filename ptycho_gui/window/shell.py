"""`Shell`: the window's panels in their docks, its menus, its colours, and how they come back at the next start."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QActionGroup, QDragEnterEvent, QDropEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import QMainWindow, QToolBar, QWidget

from ptycho_gui.kit import theme
from ptycho_gui.log.log_panel import LogPanel
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel
from ptycho_gui.prepare.preprocessing_preview import PreprocessingPreview
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
from ptycho_gui.window.actions import Actions
from ptycho_gui.window.docks import Docks
from ptycho_gui.window.guide_window import GuideWindow
from ptycho_gui.window.message_bar import MessageBar
from ptycho_gui.window.preferences import VERSION, Preferences
from ptycho_gui.window.session import Session
from ptycho_gui.window.welcome_panel import WelcomePanel

_SHARE_OF_SCREEN = 0.9
_SMALL_SCREEN_PX = 1600


class Shell(QMainWindow):
    """What there is in the window, and where.

    Parameters
    ----------
    preferences
        What earlier sessions left.
    """

    dropped = Signal(Path)
    """A file or folder was dropped on the window."""

    def __init__(self, preferences: Preferences) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.preferences = preferences
        self.session = Session(self)
        self.commands = Actions(self)
        self.guide: GuideWindow | None = None
        self._make_panels()
        self._fill_view_menu()
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)

    def _make_panels(self) -> None:
        draft = self.session.draft
        self.run_bar, self.message_bar, self.welcome = RunBar(), MessageBar(self), WelcomePanel()
        self.scan, self.data = ScanPanel(), DataPanel()
        self.prepare, self.before_after = PreprocessingPanel(), PreprocessingPreview()
        self.grouping, self.training = GroupingPanel(draft), TrainingPanel(draft)
        self.object, self.curves = ObjectPanel(), CurvesPanel()
        self.checkpoints, self.runs = CheckpointsPanel(), RunsPanel()
        self.queue, self.log = QueuePanel(self.session.queue), LogPanel()
        self._strip("Progress", self.run_bar)
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
            ("checkpoints", "Checkpoints", "bottom", self.checkpoints),
            ("runs", "Runs", "bottom", self.runs),
            ("queue", "Queue", "bottom", self.queue),
            ("log", "Log", "bottom", self.log),
        ):
            self.docks.add(name, title, group, widget)

    def _strip(self, title: str, widget: QWidget) -> QToolBar:
        """Put a widget over the whole width, below the toolbar."""
        self.addToolBarBreak()
        strip = QToolBar(title, self)
        strip.setObjectName(f"strip_{title.lower()}")
        strip.setMovable(False)
        strip.addWidget(widget)
        self.addToolBar(strip)
        return strip

    def _fill_view_menu(self) -> None:
        menu = self.commands.menus["View"]
        panels = menu.addMenu("&Panels")
        for action in self.docks.toggles():
            panels.addAction(action)
        colours = menu.addMenu("&Colours")
        group = QActionGroup(self)
        chosen = self.preferences.text("scheme") or "system"
        for scheme in theme.SCHEMES:
            text = "&As the system" if scheme == "system" else f"&{scheme.capitalize()}"
            action = colours.addAction(text)
            action.triggered.connect(partial(self._choose_colours, scheme))
            action.setCheckable(True)
            action.setChecked(scheme == chosen)
            group.addAction(action)

    @Slot()
    def show_guide(self) -> None:
        """Show the operator guide in a window of its own."""
        if self.guide is None:
            self.guide = GuideWindow()
        self.guide.show()
        self.guide.raise_()
        self.guide.activateWindow()

    def _choose_colours(self, scheme: str, checked: bool = False) -> None:
        self.preferences.set_text("scheme", scheme)
        theme.choose(scheme)

    @Slot()
    def _follow_system(self) -> None:
        if (self.preferences.text("scheme") or "system") == "system":
            theme.choose("system")

    def restore(self) -> None:
        """Be as the last session left the window, or as it is at first."""
        screen = QGuiApplication.primaryScreen().availableGeometry()
        small = screen.width() < _SMALL_SCREEN_PX
        self.resize(screen.size() if small else screen.size() * _SHARE_OF_SCREEN)
        if small:
            self.setWindowState(Qt.WindowState.WindowMaximized)
        same_screen = self.preferences.text("screen") == _words(screen.size())
        self.preferences.set_text("screen", _words(screen.size()))
        if same_screen:
            self.restoreGeometry(self.preferences.bytes("geometry"))
        self.reset_layout()
        self._as_at_first = not (same_screen and self.restoreState(self.preferences.bytes("state"), VERSION))
        if self._as_at_first:
            self.docks.show("welcome")
        self.training.folder = self.preferences.folder("settings")
        recent = self.preferences.recent
        if self.preferences.text("folder_runs"):
            self.runs.set_folder(self.preferences.folder("runs"))
        elif recent:
            self.runs.set_folder(recent[0].parent)

    @Slot()
    def reset_layout(self) -> None:
        """Put every panel where it is at first."""
        self.docks.arrange(self.width())
        self.docks["welcome"].setVisible(self.session.loader.looked is None)
        self._share_room()

    @Slot()
    def _share_room(self) -> None:
        self.docks.share_room(self.width(), self.height())

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: sizes of docks hold only once the window has its own."""
        super().showEvent(event)
        if self._as_at_first:
            self._as_at_first = False
            QTimer.singleShot(0, self._share_room)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: take files that are dropped."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: tell of the first file that was dropped."""
        self.dropped.emit(Path(event.mimeData().urls()[0].toLocalFile()))


def _words(size: QSize) -> str:
    return f"{size.width()} x {size.height()}"
