"""`ProblemList`: everything that is wrong with a scan, each with what puts it right or shows it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptycho_core.base.errors import Problem
from ptycho_gui.kit import theme
from ptycho_gui.kit.forms.text import wrapped
from ptycho_gui.kit.icons import icon

_CAN_BE_SHOWN = ("patterns", "positions", "mask")
_WORDS = {"error": "Prevents a reconstruction", "warning": "Warning"}


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


class _Note(QFrame):
    def __init__(self, problem: Problem, owner: ProblemList) -> None:
        super().__init__()
        self._severity = problem.severity
        self.setObjectName("problem")
        self._sign = QLabel()
        self._sign.setAccessibleName(_WORDS[problem.severity])
        column = QVBoxLayout()
        column.addWidget(wrapped(f"<b>{_WORDS[problem.severity]}:</b> ", problem.message))
        for fix in problem.fixes:
            button = self._button(fix.label[:1].upper() + fix.label[1:], f"Read the scan again: {fix.label}")
            button.clicked.connect(partial(owner.fix_requested.emit, fix))
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        if not problem.fixes and problem.field in _CAN_BE_SHOWN:
            button = self._button("Show", f"Show the {problem.field} that this is about")
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
        colour = getattr(theme.colours(), self._severity)
        self.setStyleSheet(f"#problem {{ border: 1px solid {colour}; border-left: 4px solid {colour} }}")

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        return button
