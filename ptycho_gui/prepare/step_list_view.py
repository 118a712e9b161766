"""`StepListView`: the list of preprocessing steps, and the buttons that change it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QListView, QMenu, QToolButton, QVBoxLayout, QWidget

from ptycho_core.scan.steps import SECTIONS
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.prepare.step_entry import title
from ptycho_gui.prepare.step_list import StepList
from ptycho_gui.prepare.steps_menu import StepsMenu

_SIGN_PX = 16


class StepListView(QWidget):
    """One step is chosen, or none; new ones go after it.

    Parameters
    ----------
    model
        The list.
    """

    kind_chosen = Signal(object)
    """The operator wants a step of this kind: a subclass of `Step`."""
    current_changed = Signal()
    """Another step was chosen: see `current`."""

    def __init__(self, model: StepList, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.view = QListView()
        self.view.setAccessibleName("Preprocessing steps")
        self.view.setModel(model)
        self.view.setIconSize(QSize(_SIGN_PX, _SIGN_PX))
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setMinimumHeight(70)
        self.view.selectionModel().currentChanged.connect(self.current_changed)
        self.menu = StepsMenu(model, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._tools())
        column.addWidget(self.view, 1)

    @property
    def current(self) -> int:
        """The row of the chosen step, or -1."""
        return self.view.currentIndex().row()

    def choose(self, row: int) -> None:
        """Choose a step; -1 for none."""
        self.view.setCurrentIndex(self._model.index(row) if row >= 0 else QModelIndex())

    def allow(self, no_scan: str, no_look: str, problem: str) -> None:
        """Say what is of use now.

        Parameters
        ----------
        no_scan, no_look
            Why there is no scan, or nothing known of it yet; empty if there is.
        problem
            What is wrong with the steps, or nothing.
        """
        row, last = self.current, self._model.rowCount() - 1
        no_step = no_scan or ("" if row >= 0 else "No step is chosen.")
        allow(self.add, no_scan or no_look)
        allow(self.up, no_step or ("" if row > 0 else "It is the first."))
        allow(self.down, no_step or ("" if row < last else "It is the last."))
        allow(self.remove, no_step)
        allow(self.undo, "" if self._model.undo.canUndo() else "Nothing was changed.")
        allow(self.redo, "" if self._model.undo.canRedo() else "Nothing was undone.")
        self.menu.allow(no_scan, problem)

    def _tools(self) -> QHBoxLayout:
        self.add = _menu_button("&Add step", "Add a step after the chosen one", self._kinds())
        self.add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.add.setIcon(icon("add"))
        self.up = self._action("up", "Move step up", "Ctrl+Up", self._move_up)
        self.down = self._action("down", "Move step down", "Ctrl+Down", self._move_down)
        self.remove = self._action("trash", "Remove step", "Delete", self._remove_current)
        self.undo = self._action("undo", "Undo", "Ctrl+Z", self._model.undo.undo)
        self.redo = self._action("redo", "Redo", "Ctrl+Shift+Z", self._model.undo.redo)
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.add)
        row.addStretch(1)
        for action in (self.up, self.down, self.remove, self.undo, self.redo):
            button = QToolButton()
            button.setAutoRaise(True)
            button.setDefaultAction(action)
            button.setAccessibleName(action.text())
            row.addWidget(button)
        row.addWidget(_menu_button("More", "Load and save steps, copy them for the command line", self.menu))
        return row

    def _action(self, picture: str, text: str, keys: str, do: Callable[[], object]) -> QAction:
        action = QAction(icon(picture), text, self)
        action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setToolTip(f"{text} ({keys})")
        action.triggered.connect(do)
        self.view.addAction(action)
        return action

    def _kinds(self) -> QMenu:
        menu = QMenu(self)
        for heading, kinds in SECTIONS.items():
            submenu = menu.addMenu(f"&{heading}")
            submenu.setToolTipsVisible(True)
            for kind in kinds:
                action = submenu.addAction(title(kind))
                action.setToolTip(kind.help())
                action.setStatusTip(kind.help())
                action.setData(kind)
        menu.triggered.connect(self._tell_kind)
        return menu

    @Slot(QAction)
    def _tell_kind(self, action: QAction) -> None:
        self.kind_chosen.emit(action.data())

    @Slot()
    def _move_up(self) -> None:
        self._model.move(self.current, -1)

    @Slot()
    def _move_down(self) -> None:
        self._model.move(self.current, 1)

    @Slot()
    def _remove_current(self) -> None:
        self._model.remove(self.current)


def _menu_button(text: str, tip: str, menu: QMenu) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(text.replace("&", ""))
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(menu)
    return button
