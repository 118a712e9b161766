"""`ProblemNote`: what is wrong, in a sentence, with a button for each way out."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptycho_core.base.errors import Fix, Problem
from ptycho_gui.kit import theme
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import worded


class ProblemNote(QWidget):
    """Shows the first of some problems beside what it concerns; hidden while there is none."""

    fix_chosen = Signal(object)
    """`Fix`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._problem: Problem | None = None
        self._sign, self._sentence, self._buttons = QLabel(), QLabel(wordWrap=True), QVBoxLayout()
        self._sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._sentence, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(self._buttons)
        self.hide()

    @property
    def text(self) -> str:
        """The sentence that is shown, or nothing."""
        return self._sentence.text() if self._problem else ""

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Show the first error, or else the first warning."""
        ranked = sorted(problems, key=lambda problem: problem.severity != "error")
        problem = ranked[0] if ranked else None
        if problem == self._problem:
            return
        self._problem = problem
        for button in self.findChildren(QPushButton):
            button.deleteLater()
        if problem:
            self._sentence.setText(worded(problem.message))
            for fix in problem.fixes:
                self._buttons.addWidget(self._button(fix), 0, Qt.AlignmentFlag.AlignLeft)
            self._colour()
        self.setVisible(problem is not None)

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light or dark."""
        if event.type() == QEvent.Type.PaletteChange and self._problem:
            self._colour()
        super().changeEvent(event)

    def _button(self, fix: Fix) -> QPushButton:
        button = QPushButton(f"Use {worded(fix.label)}")
        button.setToolTip(f"Put it right: {worded(fix.label)}")
        button.clicked.connect(lambda: self.fix_chosen.emit(fix))
        return button

    def _colour(self) -> None:
        if self._problem is None:
            return
        severity = self._problem.severity
        side = self.fontMetrics().height()
        self._sign.setPixmap(icon(severity).pixmap(QSize(side, side)))
        self._sign.setAccessibleName(severity)
        self._sentence.setStyleSheet(f"color: {getattr(theme.colours(), severity)}")
