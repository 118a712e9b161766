"""`StepForm`: the settings of one preprocessing step, what it is for, and what it did."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptycho_core.base.errors import Problem
from ptycho_gui.kit.forms.knob_field import KnobField
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.icons import icon
from ptycho_gui.prepare.step_entry import StepEntry, title


class StepForm(QWidget):
    """Fields are made anew for another step only, so that one keeps the focus while its value is undone."""

    value_changed = Signal(str, object)
    """The operator entered a valid value: name, value."""
    error_changed = Signal()
    """The operator entered what is not valid, or put that right: see `error`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._of: object = None
        self._shown: dict[str, object] = {}
        self.fields: dict[str, KnobField] = {}
        self._title, self._help, self.note = QLabel(), QLabel(wordWrap=True), QLabel(wordWrap=True)
        self.problem = ProblemNote()
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._browse = QPushButton("Browse…", self)
        self._browse.setIcon(icon("open"))
        self._browse.setToolTip("Choose the file")
        self._browse.clicked.connect(self.choose_file)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self._title)
        column.addWidget(self._help)
        column.addLayout(self._form)
        for widget in (self._browse, self.problem, self.note):
            column.addWidget(widget)
        column.addStretch(1)
        self._build(None)

    @property
    def error(self) -> str:
        """What is wrong with the text in a field, or nothing."""
        return next((field.error for field in self.fields.values() if field.error), "")

    def show_entry(self, entry: StepEntry | None, key: object) -> None:
        """Show a step's settings.

        Parameters
        ----------
        entry
            The step, or None for none.
        key
            Tells it from others: while this and the kind stay the same, so do the fields.
        """
        what = (key, entry.kind) if entry else None
        if what != self._of:
            self._of = what
            self._build(entry)
        if entry:
            for name, value in entry.values.items():
                if name not in self._shown or self._shown[name] != value:
                    self._shown[name] = value
                    self.fields[name].set_value(value)

    def show_result(self, problem: str, note: str) -> None:
        """Say what is wrong with the step, or what it did."""
        self.problem.show_problems([Problem("", problem)] if problem and not self.error else [])
        self.note.setText("" if problem else note)
        self.note.setVisible(bool(note) and not problem)

    def focus_first(self) -> None:
        """Give the first field the focus."""
        for field in list(self.fields.values())[:1]:
            field.setFocus()

    def _build(self, entry: StepEntry | None) -> None:
        while self._form.rowCount():
            self._form.removeRow(0)
        self._shown, self.fields = {}, {}
        self.show_result("", "")
        knobs = entry.kind.knobs() if entry else {}
        defaults = {field.name: field.default for field in dataclasses.fields(entry.kind)} if entry else {}
        for name, knob in knobs.items():
            field = self.fields[name] = KnobField(name, knob)
            if defaults[name] is not dataclasses.MISSING:
                field.set_default(defaults[name])
            field.value_changed.connect(self._hear)
            field.error_changed.connect(self.error_changed)
            self._form.addRow(field.label, field)
        self._browse.setVisible("file" in knobs)
        self._title.setText(f"<b>{title(entry.kind)}</b>" if entry else "")
        self._help.setText(entry.kind.help() if entry else "Add a step, or draw one on the pictures beside.")

    @Slot(str, object)
    def _hear(self, name: str, value: object) -> None:
        self._shown[name] = value
        self.value_changed.emit(name, value)

    @Slot()
    def choose_file(self) -> None:
        """Ask which file the step shall take."""
        dialog = QFileDialog(self, "Choose a file")
        dialog.fileSelected.connect(self._take_file)
        dialog.open()

    @Slot(str)
    def _take_file(self, file: str) -> None:
        self.fields["file"].set_value(file)
        self._hear("file", file)
