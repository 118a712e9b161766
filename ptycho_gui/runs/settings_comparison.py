"""`SettingsComparison`: in what the settings of two runs differ."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.base.config import KNOBS
from ptycho_core.runs.record import RunInfo
from ptycho_gui.kit.labels import label_of


class SettingsComparison(QDialog):
    """Lists the settings that differ between two runs, and the scan if that does.

    Parameters
    ----------
    first, second
        The runs.
    names
        What the operator calls them.
    """

    def __init__(self, first: RunInfo, second: RunInfo, names: tuple[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare settings")
        self.rows = _differences(first, second)
        count = len(self.rows)
        said = QLabel(
            "Both runs have the same settings and the same scan."
            if not count
            else f"{count} {'setting differs' if count == 1 else 'settings differ'}; all others are the same."
        )
        table = QTableWidget(count, 3)
        table.setAccessibleName("Settings that differ")
        table.setHorizontalHeaderLabels(["Setting", *names])
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setTabKeyNavigation(False)
        table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for row, (label, tip, *values) in enumerate(self.rows):
            for column, text in enumerate((label, *values)):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        table.horizontalHeader().setStretchLastSection(True)
        table.setVisible(bool(count))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        self.finished.connect(self.deleteLater)
        layout = QVBoxLayout(self)
        layout.addWidget(said)
        layout.addWidget(table, 1)
        layout.addWidget(buttons)
        self.resize(560, 360 if count else 100)


def _differences(first: RunInfo, second: RunInfo) -> list[tuple[str, str, str, str]]:
    """Return label, help and both values of what differs."""
    rows = []
    for name, knob in KNOBS.items():
        one, other = getattr(first.config, name), getattr(second.config, name)
        if one != other:
            rows.append((label_of(name), knob.help, _word(one, knob.none), _word(other, knob.none)))
    if _seen(first) != _seen(second):
        one, other = _scan(first), _scan(second)
        alike = ", prepared in another way" if one == other else ""
        rows.append(("Scan", "The scan that was trained on, and what was done to it first", one, other + alike))
    return rows


def _seen(info: RunInfo) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(one.sha256, one.history) for one in info.recorded_scans]


def _scan(info: RunInfo) -> str:
    return ", ".join(str(one.path or "in memory") for one in info.recorded_scans)


def _word(value: object, none: str | None) -> str:
    if value is None:
        return none or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
