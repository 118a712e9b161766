"""The sections of the scan panel: summary, what was assumed, history."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QApplication,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.inspection.inspection import Inspection, figures, summary
from ptycho_core.scan.radiation import PROPAGATORS
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.settings import SETTINGS, Assumption
from ptycho_gui.kit.forms.fold import Fold
from ptycho_gui.kit.forms.text import wrapped
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import ANSWERS
from ptycho_gui.kit.words import begun
from ptycho_gui.scan.setting_field import SettingField


class Summary(QWidget):
    """What is to know of a scan: a line each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setHorizontalSpacing(12)
        self._grid.setColumnStretch(1, 1)

    def show_scan(self, looked: Inspection) -> None:
        """Show a scan that was looked at."""
        for before in self.findChildren(QLabel):
            before.deleteLater()
        for row, (label, text) in enumerate(summary(figures(looked))):
            if label != "File":  # the panel's heading
                self._grid.addWidget(QLabel(label), row, 0, Qt.AlignmentFlag.AlignTop)
                self._grid.addWidget(wrapped("", text), row, 1, Qt.AlignmentFlag.AlignTop)


class Assumed(QGroupBox):
    """What the file left open, and what the operator answered; hidden while there is nothing."""

    chosen = Signal(str, str)
    withdrawn = Signal(str)
    search_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("What the file leaves open", parent)
        self._path: Path | None = None
        self._fields: list[SettingField] = []
        self._rows = QFormLayout(self)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.setVerticalSpacing(3)

    def show_scan(self, scan: Scan) -> None:
        """Show what was assumed of a scan; what is typed stays while it is the same file that was read again."""
        typed = {one.key: one.typed for one in self._fields if one.typed and scan.source.path == self._path}
        focus = QApplication.focusWidget()
        focused = next((one.key for one in self._fields if focus and one.isAncestorOf(focus)), None)
        self._path, self._fields = scan.source.path, []
        while self._rows.rowCount():
            self._rows.removeRow(0)
        asked = _asked(scan)
        for place, one in enumerate(asked):
            field = SettingField(one, one.key in scan.source.settings)
            field.chosen.connect(self.chosen)
            field.withdrawn.connect(self.withdrawn)
            self._fields.append(field)
            self._rows.addRow(ANSWERS[one.key], field)
            if one.key in typed:
                field.type(typed[one.key])
            if one.key == focused:
                field.setFocus()
            if place + 1 == len(asked) or asked[place + 1].reason != one.reason:
                self._rows.addRow(_reason(one.reason))
            if one.key == "orientation":
                self._rows.addRow(self._search_button())
        self.setVisible(bool(asked))

    def _search_button(self) -> QPushButton:
        button = QPushButton(icon("orientation"), "Try all orientations…")
        button.setToolTip("Mirrored or swapped axes blur the picture: try all eight on a part of the scan, in a minute")
        button.clicked.connect(self.search_requested)
        return button


class History(Fold):
    """What was converted when the scan was read, folded away."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._lines = QWidget()
        self._column = QVBoxLayout(self._lines)
        self._column.setContentsMargins(12, 0, 0, 0)
        super().__init__("History", self._lines, parent)

    def show_scan(self, scan: Scan) -> None:
        """Show the history of a scan."""
        for before in self._lines.findChildren(QLabel):
            before.deleteLater()
        for sentence in scan.history:
            self._column.addWidget(wrapped("", begun(sentence)))
        self.set_title(f"History ({len(scan.history)})")


def _asked(scan: Scan) -> list[Assumption]:
    """Return what the file left open, what the operator set without having been asked, and what can always be set."""
    asked = {one.key: one for one in scan.assumptions}
    for key, value in scan.source.settings.items():
        asked.setdefault(key, Assumption(key, value, SETTINGS[key] or (value,), "set by the operator"))
    if scan.source.path is not None:
        reason = "far field, unless the detector shows the sample's shadow"
        asked.setdefault("propagator", Assumption("propagator", "far", PROPAGATORS, reason))
    return list(asked.values())


def _reason(text: str) -> QLabel:
    label = wrapped("", f"{begun(text)}.")
    font = label.font()
    font.setPointSizeF(0.9 * font.pointSizeF())
    label.setFont(font)
    label.setContentsMargins(0, 0, 0, 6)
    return label
