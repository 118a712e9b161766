"""Every action of the menus and the toolbar, declared once: name, words, shortcut, icon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QToolBar

from ptycho_gui.kit.allow import WhyNot, allow, always
from ptycho_gui.kit.icons import icon


@dataclass(frozen=True)
class _Declared:
    text: str
    tip: str
    shortcut: str = ""
    icon: str = ""


DECLARED: dict[str, _Declared] = {
    "open": _Declared("&Open scan…", "Open a scan file", "Ctrl+O", "open"),
    "open_positions": _Declared("Open with &positions file…", "Open a scan whose positions are in a second file"),
    "open_mapped": _Declared("Open any &HDF5 or NPZ…", "Say yourself what in a file is what"),
    "demo": _Declared("Open &demo scan", "Simulate a small scan and open it"),
    "reload": _Declared("&Refresh scan", "Read the scan again, with what the detector has added", "F5", "refresh"),
    "save_scan": _Declared("&Save scan as…", "Write the scan, as it was prepared, in another format", "Ctrl+Shift+S"),
    "quit": _Declared("&Quit", "Close the window; what runs is stopped and saved first", "Ctrl+Q"),
    "best_picture": _Declared(
        "&Best picture now…", "The best picture that some minutes allow, with nothing to choose", "Ctrl+P", "best"
    ),
    "search_settings": _Declared(
        "Searc&h settings…", "Try settings on a part of the open scan, and take over the best", "Ctrl+T", "search"
    ),
    "start": _Declared("&Start", "Train on the open scan", "Ctrl+Return", "play"),
    "stop": _Declared("S&top", "Finish the batch, validate, save, and keep what there is", "Ctrl+.", "stop"),
    "cancel": _Declared("&Cancel…", "Leave at once; the last saved epoch stays", "Ctrl+Shift+.", "cancel"),
    "resume": _Declared("&Resume", "Go on with the run that is shown", "Ctrl+R", "resume"),
    "enqueue": _Declared("Add to &queue", "Run the open scan with these settings later", "Ctrl+Shift+Return", "queue"),
    "submit": _Declared(
        "Sub&mit", "Hand the run to the batch system, or to a process of its own that outlives this window"
    ),
    "apply": _Declared(
        "&Apply to a scan…", "Reconstruct a scan with a trained checkpoint, without training", "Ctrl+L", "apply"
    ),
    "watch": _Declared(
        "&Watch a folder…", "Show the scans that arrive in a folder while they are measured, and reconstruct each"
    ),
    "reconstruct": _Declared(
        "Rec&onstruct", "Reconstruct the run's scan with its best checkpoint", "Ctrl+B", "reconstruct"
    ),
    "unpolished": _Declared(
        "Reconstruct without &polish",
        "Leave out the direct engine's epochs that follow a network: a look in seconds",
        "Ctrl+Shift+B",
    ),
    "export_checkpoint": _Declared(
        "Export best &checkpoint…", "Write the best checkpoint for use elsewhere", "Ctrl+E", "export-checkpoint"
    ),
    "export_reconstruction": _Declared(
        "&Export reconstruction…", "Write object and probe for other programs", "Ctrl+Shift+E", "export-image"
    ),
    "page": _Declared(
        "&Logbook page", "Write a page with picture, figures and note into the run, and copy it", "Ctrl+Shift+P", "page"
    ),
    "note": _Declared("Write &note…", "Write down the sample and what you think of what is shown", "Ctrl+N", "note"),
    "reset_layout": _Declared("&Reset layout", "Put all panels back where they were"),
    "unlock": _Declared("&Move panels", "Show the panels' title bars, to drag them elsewhere"),
    "full_picture": _Declared("&Full-screen picture", "Show the object alone; Esc leads back", "F11"),
    "guide": _Declared("Operator &guide", "From a scan file to an exported checkpoint", "F1", "help"),
    "whats_this": _Declared("&What's this?", "Click on a panel to read what it is for", "Shift+F1"),
    "first_steps": _Declared("&First steps", "The three steps from a scan to a picture"),
    "about": _Declared("&About", "Versions and licences", icon="info"),
}

_MENUS: dict[str, tuple[str, ...]] = {
    "&File": ("open", "open_positions", "open_mapped", "demo", "", "reload", "save_scan", "", "quit"),
    "&Run": (
        "best_picture",
        "",
        "start",
        "stop",
        "cancel",
        "resume",
        "",
        "enqueue",
        "submit",
        "search_settings",
        "",
        "apply",
        "watch",
    ),
    "R&esult": ("reconstruct", "unpolished", "", "export_checkpoint", "export_reconstruction", "", "page", "note"),
    "&View": ("reset_layout", "unlock", "full_picture", ""),
    "&Help": ("guide", "whats_this", "first_steps", "", "about"),
}
_TOOLBAR = (
    "open",
    "",
    "best_picture",
    "start",
    "stop",
    "resume",
    "",
    "reconstruct",
    "export_checkpoint",
    "export_reconstruction",
)
_SHORT = {
    "open": "Open",
    "best_picture": "Best picture now",
    "reconstruct": "Reconstruct",
    "export_checkpoint": "Export best checkpoint",
    "export_reconstruction": "Export reconstruction",
}


class Actions:
    """The actions by name, in the menus and the toolbar of a window.

    Parameters
    ----------
    window
        Gets menus and toolbar.
    """

    def __init__(self, window: QMainWindow) -> None:
        self._why_not: dict[str, WhyNot] = {}
        self._named = {name: self._make(name, window) for name in DECLARED}
        self.menus = {}
        for title, names in _MENUS.items():
            menu = self.menus[title.replace("&", "")] = window.menuBar().addMenu(title)
            menu.setToolTipsVisible(True)
            for name in names:
                if name:
                    menu.addAction(self[name])
                else:
                    menu.addSeparator()
        self.toolbar = self._toolbar(window)

    def __getitem__(self, name: str) -> QAction:
        return self._named[name]

    def bind(self, name: str, do: Callable[[], object], why_not: WhyNot = always) -> None:
        """Say what an action does, and what says, at each `follow`, why it cannot be chosen."""
        self[name].triggered.connect(lambda: do())
        self._why_not[name] = why_not

    def follow(self) -> None:
        """Allow each action what its reason says now."""
        for name, why_not in self._why_not.items():
            allow(self[name], why_not())

    def _make(self, name: str, window: QMainWindow) -> QAction:
        declared = DECLARED[name]
        action = QAction(declared.text, window)
        action.setObjectName(name)
        action.setIconText(_SHORT.get(name, declared.text.replace("&", "").rstrip("…")))
        if declared.shortcut:
            action.setShortcut(QKeySequence(declared.shortcut))
        if declared.icon:
            action.setIcon(icon(declared.icon))
        keys = f" ({declared.shortcut})" if declared.shortcut else ""
        action.setToolTip(f"{declared.tip}{keys}")
        return action

    def _toolbar(self, window: QMainWindow) -> QToolBar:
        bar = window.addToolBar("Main")
        bar.setObjectName("main_toolbar")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        for name in _TOOLBAR:
            if name:
                bar.addAction(self[name])
            else:
                bar.addSeparator()
        return bar
