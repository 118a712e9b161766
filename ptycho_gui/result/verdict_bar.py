"""`VerdictBar`: how good the picture is, why, and a button for each thing to do next."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from ptycho_core.base.config import KNOBS
from ptycho_core.base.errors import Fix
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION, Level, Verdict
from ptycho_gui.kit import theme
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import LEVEL_ICONS, icon
from ptycho_gui.kit.labels import label_of


class VerdictBar(QFrame):
    """Shows a verdict; hidden while there is none."""

    action_chosen = Signal(object)
    """`Fix`: an action of the verdict."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Verdict")
        self.setWhatsThis(
            "Whether the picture is good, doubtful or poor, judged by patterns that were kept apart from the fit and "
            "by two halves of the scan; and what may give a better one. The run may have finished all the same."
        )
        self._verdict: Verdict | None = None
        self._why_not: str | None = None
        self._sign, self._level, self._reasons = QLabel(), QLabel(), QLabel(wordWrap=True)
        self._reasons.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.buttons: list[QPushButton] = []
        self._row = QWidget()
        self._flow = QFlowLayout(self._row)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setSpacing(4)
        top = Qt.AlignmentFlag.AlignTop
        line = QHBoxLayout()
        line.addWidget(self._sign, 0, top)
        line.addWidget(self._level, 0, top)
        line.addWidget(self._reasons, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(line)
        column.addWidget(self._row)
        self.hide()

    @property
    def text(self) -> str:
        """What is said: the level, then the reasons; nothing where there is no verdict."""
        return f"{self._level.text()} {self._reasons.text()}" if self._verdict else ""

    def show_verdict(self, verdict: Verdict | None) -> None:
        """Show a verdict; None hides the bar."""
        if verdict != self._verdict:
            self._verdict = verdict
            for button in self.buttons:
                self._flow.removeWidget(button)
                button.deleteLater()
            self.buttons = [self._button(action) for action in verdict.actions] if verdict else []
            for button in self.buttons:
                self._flow.addWidget(button)
            self._row.setVisible(bool(self.buttons))
            if verdict:
                self._level.setText(f"{verdict.level.capitalize()}:")
                self._reasons.setText(f"{'; '.join(verdict.reasons)}.")
                self._colour()
            self.set_allowed(self._why_not)
        self.setVisible(verdict is not None)

    def set_allowed(self, why_not: str | None) -> None:
        """Say why nothing can be done now; None where it can."""
        self._why_not = why_not
        for button in self.buttons:
            allow(button, why_not)

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light or dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._verdict:
            self._colour()

    def _button(self, action: Fix) -> QPushButton:
        button = QPushButton(f"{action.label[:1].upper()}{action.label[1:]}")
        button.setToolTip(_does(action))
        button.clicked.connect(lambda: self.action_chosen.emit(action))
        return button

    def _colour(self) -> None:
        assert self._verdict is not None
        level, colours = self._verdict.level, theme.colours()
        side = self.fontMetrics().height()
        self._sign.setPixmap(icon(LEVEL_ICONS[level]).pixmap(QSize(side, side)))
        self._sign.setAccessibleName(level)
        colour = {Level.GOOD: colours.good, Level.DOUBTFUL: colours.warning, Level.POOR: colours.error}[level]
        self._level.setStyleSheet(f"color: {colour}; font-weight: bold")


def _does(action: Fix) -> str:
    if action.field == POLISH:
        return "Reconstruct once more, and let the direct engine go on from the network's picture"
    if action.field == SEARCH_ORIENTATION:
        return "Try the eight ways to turn the patterns, in Prepare"
    if action.field == "propagator":
        return f"Open the scan again as one of the {action.value} field; then start a run"
    if action.field.startswith("--"):
        return "Leave them out in Prepare, and run once more with the settings of this run"
    value = KNOBS[action.field].text(action.value)
    return f"Run once more with the settings of this run, and {label_of(action.field)} at {value}"
