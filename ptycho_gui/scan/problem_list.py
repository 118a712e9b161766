"""`ProblemList`: everything that is wrong with a scan, each with the `Fixes` that put it right, or what shows it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.scan.settings import SETTINGS, Assumption
from ptycho_gui.kit import theme
from ptycho_gui.kit.forms.text import wrapped
from ptycho_gui.kit.framed import Framed
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import ANSWERS, worded
from ptycho_gui.kit.words import begun
from ptycho_gui.scan.setting_field import SettingField

_CAN_BE_SHOWN = ("patterns", "positions", "mask")
_WORDS = {"error": "Prevents a reconstruction", "warning": "Warning"}


class Fixes(QWidget):
    """A button for each way out of a problem, or a field where the operator has to say a number; hidden without any."""

    chosen = Signal(object)
    """`errors.Fix`, its value known."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.hide()

    def show_fixes(self, fixes: Sequence[Fix]) -> None:
        """Offer these in the place of those before."""
        while item := self._column.takeAt(0):
            if widget := item.widget():
                widget.setParent(None)
                widget.deleteLater()
        for fix in fixes:
            self._column.addWidget(self._typed(fix) if fix.value is None else self._button(fix))
        self.setVisible(bool(fixes))

    def _button(self, fix: Fix) -> QWidget:
        button = QPushButton(begun(worded(fix.label)))
        button.setToolTip(f"Read the scan again: {fix.label}")
        button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        button.clicked.connect(partial(self.chosen.emit, fix))
        return button

    def _typed(self, fix: Fix) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        field = SettingField(Assumption(fix.field, "unknown", SETTINGS[fix.field], ""))
        field.chosen.connect(lambda key, value: self.chosen.emit(Fix(fix.label, key, value)))
        row.addWidget(QLabel(f"{ANSWERS[fix.field]}:"))
        row.addWidget(field, 1)
        return line


class ProblemList(QWidget):
    """Hidden while there is no problem; errors come first."""

    fix_requested = Signal(object)
    """`errors.Fix`."""
    show_requested = Signal(object)
    """`errors.Problem`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._notes: list[_Note] = []
        self.hide()

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Show these in the place of those before."""
        for note in self._notes:
            note.setParent(None)
            note.deleteLater()
        self._notes = [_Note(problem, self) for problem in sorted(problems, key=lambda p: p.severity != "error")]
        for note in self._notes:
            self._column.addWidget(note)
        self.setVisible(bool(problems))


class _Note(Framed):
    def __init__(self, problem: Problem, owner: ProblemList) -> None:
        super().__init__()
        self._severity = problem.severity
        self._sign = QLabel()
        self._sign.setAccessibleName(_WORDS[problem.severity])
        column = QVBoxLayout()
        column.addWidget(wrapped(f"<b>{_WORDS[problem.severity]}:</b> ", worded(problem.message)))
        fixes = Fixes()
        fixes.show_fixes(problem.fixes)
        fixes.chosen.connect(owner.fix_requested)
        column.addWidget(fixes)
        if problem.field in _CAN_BE_SHOWN:
            button = QPushButton("Show")
            button.setToolTip(f"Show the {problem.field} that this is about")
            button.clicked.connect(partial(owner.show_requested.emit, problem))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 6, 8, 6)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(column, 1)
        self._apply_colours()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._apply_colours()

    def _apply_colours(self) -> None:
        side = self.fontMetrics().height()
        self._sign.setPixmap(icon(self._severity).pixmap(QSize(side, side)))
        self.set_border(getattr(theme.colours(), self._severity), 1, 4)
