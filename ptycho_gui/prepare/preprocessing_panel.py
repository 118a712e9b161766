"""`PreprocessingPanel`: what is done to the scan before anything else, as a list of steps."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QEvent, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QScrollArea, QSplitter, QVBoxLayout, QWidget

from ptycho_core.base.errors import InputError
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.preprocessing.preview import Effect
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import FromFile, Orient, Step
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.words import begun
from ptycho_gui.prepare.orientation_search import OrientationSearch
from ptycho_gui.prepare.step_entry import StepEntry, new_entry
from ptycho_gui.prepare.step_form import StepForm
from ptycho_gui.prepare.step_list import StepList
from ptycho_gui.prepare.step_list_view import StepListView

_SIGN_PX = 16


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
        self._effect: Effect | None = None
        self._notes: tuple[str, ...] = ()
        self.model = StepList(self)
        self.form = StepForm()
        self.list = StepListView(self.model)
        self.list.kind_chosen.connect(self._add_kind)
        self.list.menu.told.connect(self._tell)
        self.search = OrientationSearch(self)
        self.search.chosen.connect(self._take_orientation)
        self._message = ""
        self._sign, self.state = QLabel(), QLabel(wordWrap=True)
        self._lay_out()
        self.addActions([*self.undo_actions, self.list.up, self.list.down])
        self.model.edited.connect(self._go_to)
        self.model.edited.connect(self._preview)
        self.form.value_changed.connect(self._set_value)
        self.form.error_changed.connect(self._update)
        self.list.current_changed.connect(self._show_current)
        self._update()

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan that was loaded; steps that are not applied yet stay if it is the same file with the same steps.

        Parameters
        ----------
        looked
            Its scan's ``source.steps`` are those that are applied; None for no scan.
        """
        before, self._looked = self._looked, looked
        applied = looked.scan.source.steps if looked else ()
        again = before and looked and _same_steps_of_same_file(before.scan.source, looked.scan.source)
        if not again:
            self.search.reject()
            if self._steps_or_none() != applied:
                self.model.load(applied)
        self._message, self._effect, self._notes = "", None, ()
        self._update()
        self._preview()

    @Slot(object)
    def insert_step(self, step: Step) -> None:
        """Put a step after the chosen one, in whose pixels it was drawn."""
        self._insert(StepEntry.of(step))

    @Slot(object)
    def show_effect(self, effect: Effect) -> None:
        """Tell what the steps did, as the preview found."""
        self._effect, self._notes = effect, effect.notes
        rows = self.model.active_rows()
        failed = len(effect.notes)
        self.model.show_failure(rows[failed] if failed < len(rows) else -1, effect.failure)
        self._update()

    @Slot()
    def start_orientation_search(self) -> None:
        """Try all orientations of the patterns, where that is not done yet."""
        if self._looked and not self.model.first_problem():
            self.search.show_scan(self._looked.scan, self.model.valid_steps())
            self.search.show()
            self.search.raise_()
            self.search.begin()

    @property
    def unapplied(self) -> bool:
        """Whether there are steps that the open scan was not loaded with."""
        return self._looked is not None and self._steps_or_none() != self._looked.scan.source.steps

    @property
    def problem(self) -> str:
        """Why the steps cannot be applied; empty where they can."""
        return self.form.error or self.model.first_problem()

    @property
    def undo_actions(self) -> list[QAction]:
        """Undo and redo, for other widgets in which steps are drawn."""
        return [self.list.undo, self.list.redo]

    def shut_down(self) -> None:
        """Leave off what runs and wait for it."""
        self.list.menu.shut_down()
        self.search.shut_down()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light or dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._sign.parent():
            self._update()

    def _lay_out(self) -> None:
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.form)
        parts = QSplitter(Qt.Orientation.Vertical, childrenCollapsible=False)
        parts.addWidget(self.list)
        parts.addWidget(scroll)
        parts.setStretchFactor(1, 1)
        self.orientation_button = QPushButton(icon("orientation"), "Try all orientations…")
        self.orientation_button.setToolTip("Try the eight ways to turn the patterns on a part of the scan")
        self.apply_button = QPushButton(icon("ok"), "Appl&y steps")
        self.apply_button.setToolTip("Load the scan with these steps, for training and all else")
        self.orientation_button.clicked.connect(self.start_orientation_search)
        self.apply_button.clicked.connect(self._choose)
        state = QHBoxLayout()
        state.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        state.addWidget(self.state, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.orientation_button)
        buttons.addStretch(1)
        buttons.addWidget(self.apply_button)
        column = QVBoxLayout(self)
        column.addWidget(parts, 1)
        column.addLayout(state)
        column.addLayout(buttons)

    def _steps_or_none(self) -> tuple[Step, ...] | None:
        try:
            return self.model.steps()
        except InputError:
            return None

    def _insert(self, entry: StepEntry) -> None:
        row = self.list.current
        self.model.insert(row + 1 if row >= 0 else len(self.model.entries), entry)

    @Slot(object)
    def _add_kind(self, kind: type[Step]) -> None:
        if self._effect is None or self._looked is None:
            return
        self._insert(new_entry(kind, self._effect.after, self._looked.seen.maximum))
        if issubclass(kind, FromFile):
            self.form.choose_file()
        else:
            self.form.focus_first()

    @Slot(str, object)
    def _set_value(self, name: str, value: object) -> None:
        self.model.set_value(self.list.current, name, value)

    @Slot(int)
    def _go_to(self, row: int) -> None:
        self._message, self._notes = "", ()
        self.list.choose(row)
        self._update()

    @Slot()
    def _show_current(self) -> None:
        self._update()
        self._preview()

    @Slot()
    def _preview(self, *_: object) -> None:
        row = self.list.current
        shown = sum(active <= row for active in self.model.active_rows()) if row >= 0 else len(self.model.entries)
        self.steps_edited.emit(self.model.valid_steps(), shown)

    @Slot()
    def _choose(self) -> None:
        self.steps_chosen.emit(self.model.steps())

    @Slot(str)
    def _take_orientation(self, orientation: str) -> None:
        self.model.insert(len(self.model.entries), StepEntry.of(Orient(orientation)))
        if not self.model.first_problem():
            self._choose()

    @Slot(str)
    def _tell(self, message: str) -> None:
        self._message = message
        self._update()

    @Slot()
    def _update(self) -> None:
        """Show the chosen step, the state, and what may be done now."""
        row = self.list.current
        entry = self.model.entries[row] if row >= 0 else None
        self.form.show_entry(entry, row)
        self.form.show_result(self.model.problem(row) if entry and entry.active else "", self._note_of(row))
        no_scan = "" if self._looked else "No scan is open."
        problem, applied = self.problem, self._looked is not None and not self.unapplied
        self.list.allow(no_scan, "" if self._effect else "The scan is still being looked at.", problem)
        allow(self.orientation_button, no_scan or problem)
        allow(self.apply_button, no_scan or problem or ("They are applied." if applied else ""))
        self._show_state(problem, applied)

    def _note_of(self, row: int) -> str:
        rows = self.model.active_rows()
        place = rows.index(row) if row in rows else len(self._notes)
        note = self._notes[place] if place < len(self._notes) else ""
        return begun(note)

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
        self.state.setText(words)
        self._sign.setPixmap(icon(sign).pixmap(QSize(_SIGN_PX, _SIGN_PX)))


def _same_steps_of_same_file(one: ScanSource, other: ScanSource) -> bool:
    return dataclasses.replace(one, settings=other.settings, mapping=other.mapping) == other
