"""`LogLines`: the latest lines of the log as a table, and the filter by level and words."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor

from ptycho_gui.kit import theme
from ptycho_gui.kit.icons import icon
from ptycho_gui.log.log_bridge import LogEntry

COLUMNS = ("Time", "Level", "Message")
LEVELS = {
    "Everything": logging.DEBUG,
    "Information": logging.INFO,
    "Warnings": logging.WARNING,
    "Errors": logging.ERROR,
}
"""What may be shown, and the lowest level of it."""

MOST_LINES = 5000

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()
_WORDS = {10: "detail", 20: "info", 30: "warning", 40: "error", 50: "error"}
_ICONS = {30: "warning", 40: "error", 50: "error"}


@dataclass(frozen=True)
class Line:
    """A line of an entry: tracebacks have many."""

    entry: LogEntry
    text: str
    first: bool


class LogLines(QAbstractTableModel):
    """A row for each line; the oldest go when there are more than `MOST_LINES`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.lines: list[Line] = []

    def add(self, entries: Sequence[LogEntry]) -> None:
        """Append entries."""
        new = [
            Line(entry, text, not place)
            for entry in entries
            for place, text in enumerate(entry.text.splitlines() or [""])
        ][-MOST_LINES:]
        if not new:
            return
        surplus = len(self.lines) + len(new) - MOST_LINES
        if surplus > 0:
            self.beginRemoveRows(_ROOT, 0, surplus - 1)
            del self.lines[:surplus]
            self.endRemoveRows()
        self.beginInsertRows(_ROOT, len(self.lines), len(self.lines) + len(new) - 1)
        self.lines += new
        self.endInsertRows()

    def clear(self) -> None:
        """Forget all lines."""
        self.beginResetModel()
        self.lines.clear()
        self.endResetModel()

    def recolour(self) -> None:
        """Take the colours of the scheme in force."""
        if self.lines:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.lines) - 1, len(COLUMNS) - 1))

    def rowCount(self, parent: _Index = _ROOT) -> int:
        """Qt: lines."""
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: _Index = _ROOT) -> int:
        """Qt: as `COLUMNS`."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the columns' names."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: words, icon and colour of a cell."""
        if not index.isValid():
            return None
        line = self.lines[index.row()]
        level = line.entry.level // 10 * 10
        match role, COLUMNS[index.column()]:
            case Qt.ItemDataRole.DisplayRole, "Message":
                return line.text
            case Qt.ItemDataRole.DisplayRole, "Time" if line.first:
                return time.strftime("%H:%M:%S", time.localtime(line.entry.time))
            case Qt.ItemDataRole.DisplayRole, "Level" if line.first:
                return _WORDS.get(level, "info")
            case Qt.ItemDataRole.DecorationRole, "Level" if line.first and level in _ICONS:
                return icon(_ICONS[level])
            case Qt.ItemDataRole.ForegroundRole, name:
                return _colour(level, name)
            case Qt.ItemDataRole.ToolTipRole, _:
                return f"{line.entry.source}: {line.text}"
        return None


class LogFilter(QSortFilterProxyModel):
    """Lets through what is at least of a level, and of entries that contain some words."""

    def __init__(self, source: LogLines, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines = source
        self._level, self._words = logging.INFO, ""
        self.setSourceModel(source)

    def show_only(self, level: int, words: str) -> None:
        """Change what is let through."""
        self.beginFilterChange()
        self._level, self._words = level, words.casefold()
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: _Index) -> bool:
        """Qt: whether a line is shown."""
        entry = self._lines.lines[source_row].entry
        return entry.level >= self._level and (not self._words or self._words in entry.text.casefold())


def _colour(level: int, column: str) -> QColor | None:
    colours = theme.colours()
    if level >= logging.ERROR:
        return QColor(colours.error)
    if level >= logging.WARNING:
        return QColor(colours.warning)
    if level < logging.INFO or column == "Time":
        return QColor(colours.muted)
    return None
