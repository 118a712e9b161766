"""Where the panels are: groups of tabs at the left, in the middle and at the bottom; on wide screens a column more.

There the picture has the whole height and most of the width; at its right, curves stand above the tables.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction, QGuiApplication, QIcon
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget, QVBoxLayout, QWidget
from shiboken6 import isValid

from ptycho_gui.kit.icons import icon
from ptycho_gui.window.preferences import VERSION, Preferences

_SHARE_OF_SCREEN = 0.9
_SMALL_SCREEN_PX = 1600
_WIDE_PX = 1900
_LEFT_PX, _SIDE_PX = 380, 560
_BOTTOM_PART = {False: 0.25, True: 0.4}
_LEFT, _MAIN, _SIDE, _BOTTOM = "left", "main", "side", "bottom"
_ACROSS, _DOWN = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
_AREAS = {_LEFT: Qt.DockWidgetArea.LeftDockWidgetArea, _MAIN: Qt.DockWidgetArea.RightDockWidgetArea}


class _Frame(QWidget):
    """Holds the panel of a dock, and hides it while another tab is in front.

    Qt leaves the panels behind a tab visible, out of sight: their mnemonics would work, and Tab would lead into them.

    Parameters
    ----------
    panel
        Held.
    dock
        Gets the frame.
    """

    def __init__(self, panel: QWidget, dock: QDockWidget) -> None:
        super().__init__()
        self._panel = panel
        policy = panel.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # docks have the same room whichever is in front
        panel.setSizePolicy(policy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(panel)
        dock.setWidget(self)
        dock.visibilityChanged.connect(self._follow)

    def take_focus(self) -> None:
        """Give the panel the focus: its tab was clicked."""
        self._panel.show()
        self._panel.setFocus()

    @Slot(bool)
    def _follow(self, in_front: bool) -> None:
        self._panel.setVisible(in_front)


class Docks:
    """The docks of a window, by name.

    Parameters
    ----------
    window
        Gets the docks.
    """

    def __init__(self, window: QMainWindow) -> None:
        self._window = window
        self._docks: dict[str, QDockWidget] = {}
        self._groups: dict[str, str] = {}
        self._panels: dict[str, QWidget] = {}
        self._titles: dict[str, str] = {}
        self._signs: dict[str, QIcon] = {}
        self._placed: dict[str, list[QDockWidget]] = {}
        self._wide = False
        window.setDockNestingEnabled(True)
        window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        window.tabifiedDockWidgetActivated.connect(lambda dock: dock.widget().take_focus())

    def add(self, name: str, title: str, group: str, widget: QWidget) -> None:
        """Put a widget in a dock of a group: "left", "main", "side" or "bottom"."""
        dock = QDockWidget(title, self._window)
        dock.setObjectName(f"dock_{name}")
        _Frame(widget, dock)
        dock.setTitleBarWidget(QWidget(dock))  # the tabs have the titles
        dock.visibilityChanged.connect(lambda: self._dress_tab(name))
        self._docks[name], self._groups[name], self._panels[name], self._titles[name] = dock, group, widget, title
        self._signs[name] = QIcon()

    def mark(self, name: str, sign: str, count: int, words: str) -> None:
        """Put a sign and a number at the tab of a dock.

        Parameters
        ----------
        name
            Of the dock.
        sign
            Name of an icon; empty for none.
        count
            What it counts; 0 is not shown.
        words
            What both mean, for those who do not see them.
        """
        dock, title = self[name], self._titles[name]
        self._signs[name] = icon(sign) if sign else QIcon()
        dock.setWindowTitle(f"{title} ({count})" if count else title)
        dock.setAccessibleName(f"{title}: {words}" if words else title)
        self._dress_tab(name)

    def _dress_tab(self, name: str) -> None:
        """Give the tab of a dock, which Qt makes anew whenever the dock comes back, its sign and its words."""
        dock = self[name]
        if not isValid(self._window):  # which tells of its docks while it goes
            return
        for bar in self._window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            for index in range(bar.count()):
                if bar.tabText(index) == dock.windowTitle():
                    bar.setTabIcon(index, self._signs[name])
                    bar.setAccessibleTabName(index, dock.accessibleName())

    def __getitem__(self, name: str) -> QDockWidget:
        return self._docks[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all docks, in the order in which they were added."""
        return tuple(self._docks)

    def panel(self, name: str) -> QWidget:
        """Return what was put in a dock."""
        return self._panels[name]

    def show(self, name: str) -> None:
        """Bring a dock to the front."""
        self[name].show()
        self[name].raise_()

    def toggles(self) -> list[QAction]:
        """Return an action for each dock that shows and hides it."""
        return [dock.toggleViewAction() for dock in self._docks.values()]

    def set_movable(self, movable: bool) -> None:
        """Show or hide the title bars by which docks are dragged."""
        for dock in self._docks.values():
            dock.setTitleBarWidget(None if movable else QWidget(dock))  # type: ignore[arg-type]

    def arrange(self) -> None:
        """Put every dock where it is at first, in a window as wide as this one; `share_room` sizes them."""
        self._wide = wide = self._window.width() >= _WIDE_PX
        groups: dict[str, list[QDockWidget]] = {}
        for name, dock in self._docks.items():
            dock.setFloating(False)
            self._window.removeDockWidget(dock)
            group = _MAIN if self._groups[name] == _SIDE and not wide else self._groups[name]
            groups.setdefault(group, []).append(dock)
        self._placed = groups
        firsts = {group: docks[0] for group, docks in groups.items()}
        for group, area in _AREAS.items():
            self._window.addDockWidget(area, firsts[group])
        if wide:  # before there are tabs, which cannot be split
            self._window.splitDockWidget(firsts[_MAIN], firsts[_SIDE], Qt.Orientation.Horizontal)
        self._window.splitDockWidget(firsts[_SIDE if wide else _MAIN], firsts[_BOTTOM], Qt.Orientation.Vertical)
        for docks in groups.values():
            for dock in docks[1:]:
                self._window.tabifyDockWidget(docks[0], dock)
        for docks in groups.values():
            for dock in docks:
                dock.show()
            docks[0].raise_()

    def restore(self, preferences: Preferences) -> bool:
        """Put window and docks where the last session left them, if that was on such a screen, or else as at first.

        Returns
        -------
        bool
            Whether they are as the last session left them.
        """
        window, screen = self._window, QGuiApplication.primaryScreen().availableGeometry()
        small = screen.width() < _SMALL_SCREEN_PX
        window.resize(screen.size() if small else screen.size() * _SHARE_OF_SCREEN)
        if small:
            window.setWindowState(Qt.WindowState.WindowMaximized)
        size = f"{screen.width()} x {screen.height()}"
        same_screen = preferences.text("screen") == size
        preferences.set_text("screen", size)
        if same_screen:
            window.restoreGeometry(preferences.bytes("geometry"))
        self.arrange()
        self.share_room()
        maximized = window.windowState()  # of which Qt keeps a state that does not fit, and crashes once that is gone
        window.setWindowState(Qt.WindowState.WindowNoState)
        restored = same_screen and window.restoreState(preferences.bytes("state"), VERSION)
        window.setWindowState(maximized)
        return restored

    def save(self, preferences: Preferences) -> None:
        """Note where window and docks are, for `restore`."""
        preferences.set_bytes("geometry", self._window.saveGeometry())
        preferences.set_bytes("state", self._window.saveState(VERSION))

    def share_room(self) -> None:
        """Give each group its part of the window, after `arrange` and once the window is on the screen."""
        side = {_SIDE: _SIDE_PX} if self._wide else {}
        across = {_LEFT: _LEFT_PX, _MAIN: self._window.width() - _LEFT_PX - sum(side.values()), **side}
        self._window.resizeDocks([self._shown(each) for each in across], list(across.values()), _ACROSS)
        low = round(self._window.height() * _BOTTOM_PART[self._wide])
        above = self._shown(_SIDE if self._wide else _MAIN)
        self._window.resizeDocks([above, self._shown(_BOTTOM)], [self._window.height() - low, low], _DOWN)

    def follow_width(self) -> None:
        """Arrange anew a window that has become wide, or narrow; what is hidden or in front stays so."""
        if (self._window.width() >= _WIDE_PX) == self._wide:
            return
        hidden = [dock for dock in self._docks.values() if dock.isHidden()]
        fronts = [name for name, panel in self._panels.items() if panel.isVisible()]
        self.arrange()
        for dock in hidden:
            dock.hide()
        for name in sorted(fronts, key=lambda name: self._groups[name] == _MAIN):  # which win where groups meet
            self[name].raise_()
        self.share_room()

    def _shown(self, group: str) -> QDockWidget:
        """Return the dock of a group that is in front, or else the first that can be."""
        docks = [dock for dock in self._placed[group] if not dock.isHidden()] or self._placed[group]
        return next((dock for dock in docks if not dock.visibleRegion().isEmpty()), docks[0])
