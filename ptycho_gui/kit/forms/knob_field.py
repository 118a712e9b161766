"""`KnobField`: one setting in a form, made from its declaration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING
from typing import Any

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ptycho_core.base.errors import InputError, Problem
from ptycho_core.base.knobs import Knob
from ptycho_gui.kit.forms.editors import Editor, NumberEditor, editor_of
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import label_of

_MARK = "• "


class KnobField(QWidget):
    """A setting's editor, its reset button, and beneath them what is wrong with it.

    A form shows `label` beside it: ``form.addRow(field.label, field)``.

    Parameters
    ----------
    name, knob
        The setting and its declaration.
    parent
        Owner.
    """

    value_changed = Signal(str, object)
    """The operator entered a valid value: name, value."""
    error_changed = Signal(str, str)
    """The operator entered what is not valid, or put that right: name, a sentence or nothing."""
    fix_chosen = Signal(object)
    """The operator wants a way out of a problem that is shown: `Fix`."""

    def __init__(self, name: str, knob: Knob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name, self.knob = name, knob
        self.editor: Editor = editor_of(knob)
        self._title = label_of(name)
        self.label = QLabel(self._title)
        self.label.setBuddy(self.editor)
        self.editor.setAccessibleName(self._title)
        self._default: Any = MISSING
        self._value: Any = MISSING
        self._error = ""
        self._problems: Sequence[Problem] = ()
        self._reset = QToolButton(autoRaise=True)
        self._reset.setIcon(icon("reset"))
        self._reset.setIconSize(QSize(14, 14))
        self._reset.setAccessibleName(f"Reset {self._title}")
        self._hint = QLabel(wordWrap=True)
        self._note = ProblemNote()
        self._lay_out()
        self.editor.edited.connect(self._read)
        self._reset.clicked.connect(self._take_default)
        self._note.fix_chosen.connect(self.fix_chosen)
        self._keep_width()
        self._mark()

    def set_value(self, value: object) -> None:
        """Show a value, without telling; what was wrong in the field is gone.

        The text of a field that holds the value already is left as it was typed.
        """
        if value == self._value and not self._error:
            return
        self._value, self._error = value, ""
        self.editor.set_text(self.knob.text(value))
        self._mark()

    def set_default(self, value: object) -> None:
        """Say which value the reset button gives; the field is marked while it holds another one."""
        if value == self._default:
            return
        self._default = value
        self._mark()

    def set_start(self, number: int) -> None:
        """Say with which number to begin when the operator leaves a word such as auto."""
        if isinstance(self.editor, NumberEditor):
            self.editor.set_start(number)

    def set_hint(self, text: str) -> None:
        """Show a line beneath the editor; none if empty."""
        self._hint.setText(text)
        self._hint.setVisible(bool(text))

    @property
    def hint(self) -> str:
        """The line beneath the editor."""
        return self._hint.text()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Show what is wrong between this setting and others; what is wrong with its own text goes first."""
        self._problems = problems
        self._show_what_is_wrong()

    @property
    def error(self) -> str:
        """What is wrong with the text in the field, or nothing."""
        return self._error

    @property
    def shown_problem(self) -> str:
        """The sentence beneath the field, or nothing."""
        return self._note.text

    @property
    def is_changed(self) -> bool:
        """Whether the field holds another value than its default."""
        return self._default is not MISSING and (bool(self._error) or self._value != self._default)

    def _keep_width(self) -> None:
        """Give the label the width that it has when it is marked: the form must not move as one types."""
        bold = QFont(self.label.font())
        bold.setBold(True)
        self.label.setMinimumWidth(QFontMetrics(bold).horizontalAdvance(_MARK + self._title))

    def _lay_out(self) -> None:
        keep = self._reset.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self._reset.setSizePolicy(keep)
        self.editor.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.label.setMinimumHeight(max(self.editor.sizeHint().height(), self._reset.sizeHint().height()))
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.editor, 1)
        row.addWidget(self._reset)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._hint)
        column.addWidget(self._note)
        self._hint.hide()
        self.setFocusProxy(self.editor)

    def _read(self) -> None:
        try:
            self._value = self.knob.parse(self._title.partition(" (")[0], self.editor.text())
            error = ""
        except InputError as problem:
            error = str(problem)
        was, self._error = self._error, error
        if not error:
            self.value_changed.emit(self.name, self._value)
        if error != was:
            self.error_changed.emit(self.name, error)
        self._mark()

    def _take_default(self) -> None:
        self.editor.set_text(self.knob.text(self._default))
        self._read()
        self.editor.setFocus()

    def _mark(self) -> None:
        changed = self.is_changed
        self.label.setText(_MARK + self._title if changed else self._title)
        font = self.label.font()
        font.setBold(changed)
        self.label.setFont(font)
        self._reset.setVisible(changed)
        tip, reset = f"{self.knob.help}\nValid: {self.knob.valid()}.", "Reset"
        if self._default is not MISSING:
            default = self.knob.text(self._default)
            tip += f"\nChanged; the default is {default}." if changed else f"\nThis is the default, {default}."
            reset = f"Reset to the default, {default}"
        for widget in (self.label, self.editor):
            widget.setToolTip(tip)
        self._reset.setToolTip(reset)
        self._show_what_is_wrong()

    def _show_what_is_wrong(self) -> None:
        own = [Problem(self.name, self._error)] if self._error else []
        self._note.show_problems([*own, *self._problems])
