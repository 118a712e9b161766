"""`PreprocessingPanel`: what is done to the scan before anything else, as a list of steps."""

from __future__ import annotations

import shlex
from pathlib import Path

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QMenu,
    QPushButton,
    QScrollArea,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.errors import InputError
from ptycho_core.inspection import Inspection
from ptycho_core.recipe import steps_to_flags
from ptycho_core.scan import Scan
from ptycho_core.steps import FromFile, Orient, Step
from ptycho_gui.icons import icon
from ptycho_gui.models.step_entry import StepEntry, new_entry, sections, title
from ptycho_gui.models.step_list import StepList
from ptycho_gui.panels.orientation_search import OrientationSearch
from ptycho_gui.panels.step_form import StepForm
from ptycho_gui.workers.prepare import Outcome, read_steps_job, save_steps_job
from ptycho_gui.workers.slot import WorkerSlot
from ptycho_gui.workers.worker import Failure

_FILES = "Steps (*.json)"


class PreprocessingPanel(QWidget):
    """Edits steps; the preview shows what they make of the scan, and nothing else changes before they are applied."""

    steps_chosen = Signal(object)
    """The scan shall be loaded with these steps: tuple of `Step`."""
    steps_edited = Signal(object, int)
    """The steps that can be previewed now, and after how many of them the scan shall be shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "What is done to the scan before training: centring, cropping, masking, leaving out patterns. Steps are "
            "done from top to bottom; the pictures show the scan after the chosen one. Nothing changes until you "
            "apply them."
        )
        self._looked: Inspection | None = None
        self._outcome: Outcome | None = None
        self._notes: tuple[str, ...] = ()
        self.model = StepList(self)
        self.form = StepForm()
        self._files = WorkerSlot(self)
        self._files.succeeded.connect(self._take_file_result)
        self._files.failed.connect(self._show_file_failure)
        self._search = OrientationSearch(self)
        self._search.chosen.connect(self._take_orientation)
        self._message = ""
        self._lay_out()
        self.model.edited.connect(self._go_to)
        self.model.edited.connect(self._preview)
        self.form.value_changed.connect(self._set_value)
        self.form.error_changed.connect(self._update)
        self._list.selectionModel().currentChanged.connect(self._show_current)
        self._update()

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan that was loaded; steps that are not applied yet stay if it is the same file with the same steps.

        Parameters
        ----------
        looked
            Its scan's ``steps`` are those that are applied; None for no scan.
        """
        before, self._looked = self._looked, looked
        applied = looked.scan.steps if looked else ()
        again = before and looked and (_source(before.scan), before.scan.steps) == (_source(looked.scan), applied)
        if not again and self._steps_or_none() != applied:
            self.model.load(applied)
        self._message, self._outcome, self._notes = "", None, ()
        self._update()
        self._preview()

    def insert_step(self, step: Step) -> None:
        """Put a step after the chosen one, in whose pixels it was drawn."""
        self._insert(StepEntry.of(step))

    def show_outcome(self, outcome: Outcome) -> None:
        """Tell what the steps did, as the preview found."""
        self._outcome, self._notes = outcome, outcome.notes
        rows = self.model.active_rows()
        failed = len(outcome.notes)
        self.model.show_failure(rows[failed] if failed < len(rows) else -1, outcome.failure)
        self._update()

    def start_orientation_search(self) -> None:
        """Open the search for the orientation of the patterns."""
        if self._looked and not self.model.first_problem():
            self._search.show_scan(self._looked.scan, self.model.valid_steps())
            self._search.show()
            self._search.raise_()

    def shut_down(self) -> None:
        """Leave off what runs and wait for it."""
        self._files.shut_down()
        self._search.shut_down()

    def _lay_out(self) -> None:
        self._list = QListView()
        self._list.setAccessibleName("Preprocessing steps")
        self._list.setModel(self.model)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setMinimumHeight(90)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.form)
        parts = QSplitter(Qt.Orientation.Vertical, childrenCollapsible=False)
        parts.addWidget(self._list)
        parts.addWidget(scroll)
        parts.setStretchFactor(1, 1)
        self._orientation = QPushButton(icon("orientation"), "&Find orientation…")
        self._orientation.setToolTip("Try the eight ways to turn the patterns on a part of the scan")
        self._sign, self._state = QLabel(), QLabel(wordWrap=True)
        self._apply = QPushButton(icon("ok"), "Appl&y steps")
        self._apply.setToolTip("Load the scan with these steps, for training and all else")
        self._orientation.clicked.connect(self.start_orientation_search)
        self._apply.clicked.connect(self._choose)
        state = QHBoxLayout()
        state.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        state.addWidget(self._state, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self._orientation)
        buttons.addStretch(1)
        buttons.addWidget(self._apply)
        column = QVBoxLayout(self)
        column.addLayout(self._tools())
        column.addWidget(parts, 1)
        column.addLayout(state)
        column.addLayout(buttons)

    def _tools(self) -> QHBoxLayout:
        self._add = QToolButton()
        self._add.setText("&Add step")
        self._add.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._add.setIcon(icon("add"))
        self._add.setToolTip("Add a step after the chosen one")
        self._add.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._add.setMenu(self._kinds())
        self._up = self._action("up", "Move step up", "Ctrl+Up", self._move_up)
        self._down = self._action("down", "Move step down", "Ctrl+Down", self._move_down)
        self._remove = self._action("trash", "Remove step", "Delete", self._remove_current)
        self._remove.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        self._undo = self._action("undo", "Undo", "Ctrl+Z", self.model.undo.undo)
        self._redo = self._action("redo", "Redo", "Ctrl+Shift+Z", self.model.undo.redo)
        row = QHBoxLayout()
        row.addWidget(self._add)
        row.addStretch(1)
        for action in (self._up, self._down, self._remove, self._undo, self._redo):
            (self._list if action is self._remove else self).addAction(action)
            button = QToolButton(autoRaise=True)
            button.setDefaultAction(action)
            button.setAccessibleName(action.text())
            row.addWidget(button)
        more = QToolButton()
        more.setText("&More")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        more.setToolTip("Load and save steps, copy them for the command line")
        more.setMenu(self._more())
        row.addWidget(more)
        return row

    def _action(self, picture: str, text: str, keys: str, do: object) -> QAction:
        action = QAction(icon(picture), text, self)
        action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setToolTip(f"{text} ({keys})")
        action.triggered.connect(do)
        return action

    def _kinds(self) -> QMenu:
        menu = QMenu(self, toolTipsVisible=True)
        for heading, kinds in sections().items():
            submenu = menu.addMenu(f"&{heading}")
            submenu.setToolTipsVisible(True)
            for kind in kinds:
                action = submenu.addAction(title(kind))
                action.setToolTip(kind.help())
                action.setStatusTip(kind.help())
                action.setData(kind)
        menu.triggered.connect(self._add_kind)
        return menu

    def _more(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction(icon("open"), "&Load steps…", self._ask_what_to_load)
        self._save = menu.addAction(icon("save"), "&Save steps…", self._ask_where_to_save)
        self._copy = menu.addAction(icon("copy"), "&Copy flags for the command line", self._copy_flags)
        return menu

    def _current(self) -> int:
        return self._list.currentIndex().row()

    def _steps_or_none(self) -> tuple[Step, ...] | None:
        try:
            return self.model.steps()
        except InputError:
            return None

    def _insert(self, entry: StepEntry) -> None:
        row = self._current()
        self.model.insert(row + 1 if row >= 0 else len(self.model.entries), entry)

    @Slot(QAction)
    def _add_kind(self, action: QAction) -> None:
        kind = action.data()
        if self._outcome is None or self._looked is None:
            return
        self._insert(new_entry(kind, self._outcome.after, self._looked.seen.maximum))
        if issubclass(kind, FromFile):
            self.form.choose_file()
        else:
            self.form.focus_first()

    @Slot()
    def _move_up(self) -> None:
        self.model.move(self._current(), -1)

    @Slot()
    def _move_down(self) -> None:
        self.model.move(self._current(), 1)

    @Slot()
    def _remove_current(self) -> None:
        if self._current() >= 0:
            self.model.remove(self._current())

    @Slot(str, object)
    def _set_value(self, name: str, value: object) -> None:
        self.model.set_value(self._current(), name, value)

    @Slot(int)
    def _go_to(self, row: int) -> None:
        self._message, self._notes = "", ()
        self._list.setCurrentIndex(self.model.index(row) if row >= 0 else QModelIndex())
        self._update()

    @Slot()
    def _show_current(self) -> None:
        self._update()
        self._preview()

    @Slot()
    def _preview(self, *_: object) -> None:
        row = self._current()
        shown = sum(active <= row for active in self.model.active_rows()) if row >= 0 else len(self.model.entries)
        self.steps_edited.emit(self.model.valid_steps(), shown)

    @Slot()
    def _choose(self) -> None:
        self.steps_chosen.emit(self.model.steps())

    @Slot(str)
    def _take_orientation(self, orientation: str) -> None:
        self.model.insert(len(self.model.entries), StepEntry.of(Orient(orientation)))
        self._choose()

    @Slot()
    def _copy_flags(self) -> None:
        try:
            flags = shlex.join(steps_to_flags(self.model.steps()))
        except InputError as error:
            self._tell(str(error))
            return
        QGuiApplication.clipboard().setText(flags)
        self._tell(f"Copied: {flags}")

    @Slot()
    def _ask_what_to_load(self) -> None:
        dialog = QFileDialog(self, "Load steps", filter=_FILES)
        dialog.fileSelected.connect(self.load_steps)
        dialog.open()

    @Slot()
    def _ask_where_to_save(self) -> None:
        dialog = QFileDialog(self, "Save steps", filter=_FILES)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("json")
        dialog.fileSelected.connect(self.save_steps)
        dialog.open()

    @Slot(str)
    def load_steps(self, path: str) -> None:
        """Put the steps of a file in the place of all."""
        self._files.start(read_steps_job(Path(path)))

    @Slot(str)
    def save_steps(self, path: str) -> None:
        """Write the steps that are switched on to a file."""
        self._files.start(save_steps_job(self.model.steps(), Path(path)))

    @Slot(object)
    def _take_file_result(self, result: object) -> None:
        if isinstance(result, tuple):
            self.model.replace_all(result, "load steps")
        else:
            self._tell(f"Saved as {result}")

    @Slot(object)
    def _show_file_failure(self, failure: Failure) -> None:
        self._tell(failure.sentence)

    def _tell(self, message: str) -> None:
        self._message = message
        self._update()

    @Slot()
    def _update(self) -> None:
        """Show the chosen step, the state, and what may be done now."""
        row, last = self._current(), len(self.model.entries) - 1
        entry = self.model.entries[row] if 0 <= row <= last else None
        self.form.show_entry(entry, row)
        self.form.show_result(self.model.problem(row) if entry and entry.active else "", self._note_of(row))
        no_scan = "" if self._looked else "no scan is open"
        no_entry = no_scan or ("" if entry else "no step is chosen")
        problem = self.form.error or self.model.first_problem()
        applied = self._looked is not None and self._steps_or_none() == self._looked.scan.steps
        _allow(self._add, no_scan or ("" if self._outcome else "the scan is still being looked at"))
        _allow(self._up, no_entry or ("" if row > 0 else "it is the first"))
        _allow(self._down, no_entry or ("" if row < last else "it is the last"))
        _allow(self._remove, no_entry)
        _allow(self._undo, "" if self.model.undo.canUndo() else "nothing was changed")
        _allow(self._redo, "" if self.model.undo.canRedo() else "nothing was undone")
        _allow(self._save, no_scan or problem)
        _allow(self._copy, no_scan or problem)
        _allow(self._orientation, no_scan or problem)
        _allow(self._apply, no_scan or problem or ("they are applied" if applied else ""))
        self._show_state(problem, applied)

    def _note_of(self, row: int) -> str:
        rows = self.model.active_rows()
        place = rows.index(row) if row in rows else len(self._notes)
        return self._notes[place].capitalize() if place < len(self._notes) else ""

    def _show_state(self, problem: str, applied: bool) -> None:
        if self._message:
            sign, words = "info", self._message
        elif self._looked is None:
            sign, words = "info", "Open a scan first."
        elif problem:
            sign, words = "error", f"Cannot be applied: {problem}"
        elif not applied:
            sign, words = "warning", "Not applied yet: training would use the scan as it was loaded."
        elif self.model.entries:
            sign, words = "ok", "Applied: the scan is loaded with these steps."
        else:
            sign, words = "ok", "The scan is used as it is in the file."
        self._state.setText(words)
        self._sign.setPixmap(icon(sign).pixmap(QSize(16, 16)))


def _allow(control: QAction | QAbstractButton, reason: str) -> None:
    """Enable a control, or disable it and say why in its tooltip."""
    tip = control.property("tip") or control.toolTip()
    control.setProperty("tip", tip)
    control.setEnabled(not reason)
    control.setToolTip(f"{tip}: not now, {reason}" if reason else tip)


def _source(scan: Scan) -> tuple[object, ...]:
    return scan.path, scan.positions_path, scan.format
