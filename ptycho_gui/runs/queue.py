"""`RunQueue`: runs that wait to be trained one after another, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from ptycho_core.base.errors import InputError
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import label_of, worded

COLUMNS = ("State", "Scan", "Settings", "Output folder", "Remark")

_MIME = "application/x-ptycho-queued-run"
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


class QueueState(StrEnum):
    """What became of a run in the queue."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


_ICONS = {
    QueueState.WAITING: "queue",
    QueueState.RUNNING: "play",
    QueueState.DONE: "ok",
    QueueState.FAILED: "error",
    QueueState.SKIPPED: "cancel",
}


@dataclass(frozen=True)
class QueuedRun:
    """A run to be done: on which scan, with which settings (those that differ from the defaults), into which folder."""

    source: ScanSource
    settings: dict[str, Any]
    folder: Path


@dataclass
class _Entry:
    run: QueuedRun
    state: QueueState = QueueState.WAITING
    reason: str = ""


class RunQueue(QAbstractTableModel):
    """The queue as a table, in the order in which it is worked off. Only what waits can be moved."""

    changed = Signal()
    """Something in it is other than before."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: list[_Entry] = []

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return sum(entry.state == QueueState.WAITING for entry in self._entries)

    @property
    def running(self) -> QueuedRun | None:
        """The run that was taken and has not ended."""
        return next((entry.run for entry in self._entries if entry.state == QueueState.RUNNING), None)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the runs that wait will write."""
        return tuple(entry.run.folder for entry in self._entries if entry.state == QueueState.WAITING)

    def state(self, row: int) -> QueueState:
        """Return what became of the run in a row."""
        return self._entries[row].state

    def add(self, run: QueuedRun) -> None:
        """Put a run at the end.

        Raises
        ------
        InputError
            Another run that is not over writes into its folder.
        """
        for entry in self._entries:
            over = entry.state not in (QueueState.WAITING, QueueState.RUNNING)
            if not over and entry.run.folder.absolute() == run.folder.absolute():
                raise InputError(f"another run in the queue writes into {run.folder}: choose another output folder")
        end = len(self._entries)
        self.beginInsertRows(_NOWHERE, end, end)
        self._entries.append(_Entry(run))
        self.endInsertRows()
        self.changed.emit()

    def remove(self, row: int) -> None:
        """Take a run out, whatever became of it; not the one that runs."""
        if self._entries[row].state == QueueState.RUNNING:
            return
        self.beginRemoveRows(_NOWHERE, row, row)
        del self._entries[row]
        self.endRemoveRows()
        self.changed.emit()

    def may_move(self, row: int, to: int) -> bool:
        """Whether the run in a row waits, and so does the one in whose place it would come."""
        rows = range(len(self._entries))
        return row != to and all(place in rows and self.state(place) == QueueState.WAITING for place in (row, to))

    def move(self, row: int, to: int) -> None:
        """Put the run in a row into another, if `may_move`."""
        if not self.may_move(row, to):
            return
        self.beginMoveRows(_NOWHERE, row, row, _NOWHERE, to + 1 if to > row else to)
        self._entries.insert(to, self._entries.pop(row))
        self.endMoveRows()
        self.changed.emit()

    def next(self) -> QueuedRun | None:
        """Take the first run that waits: it counts as running from now on. None if none does, or one runs."""
        if self.running is not None:
            return None
        for row, entry in enumerate(self._entries):
            if entry.state == QueueState.WAITING:
                self._set(row, QueueState.RUNNING, "")
                return entry.run
        return None

    def done(self, run: QueuedRun, remark: str = "") -> None:
        """Say that a run ended well, or was stopped in good order."""
        self._end(run, QueueState.DONE, remark)

    def failed(self, run: QueuedRun, reason: str) -> None:
        """Say that a run failed, and why."""
        self._end(run, QueueState.FAILED, reason)

    def skipped(self, run: QueuedRun, reason: str) -> None:
        """Say that a run was cancelled, or could not begin, and why."""
        self._end(run, QueueState.SKIPPED, reason)

    def _end(self, run: QueuedRun, state: QueueState, reason: str) -> None:
        for row, entry in enumerate(self._entries):
            if entry.run is run:
                self._set(row, state, reason)

    def _set(self, row: int, state: QueueState, reason: str) -> None:
        self._entries[row].state, self._entries[row].reason = state, reason
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
        self.changed.emit()

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: one row for each run."""
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: as `COLUMNS`."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the headings."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: what a cell shows."""
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _cells(entry)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tips(entry)[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return icon(_ICONS[entry.state])
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        """Qt: what waits can be dragged; between rows it can be dropped."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        return flags | Qt.ItemFlag.ItemIsDragEnabled if self.state(index.row()) == QueueState.WAITING else flags

    def supportedDropActions(self) -> Qt.DropAction:
        """Qt: rows move."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        """Qt: a row of ours."""
        return [_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Qt: the row that is dragged."""
        data = QMimeData()
        data.setData(_MIME, str(indexes[0].row()).encode())
        return data

    def dropMimeData(self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: _Index) -> bool:
        """Qt: a row was dropped before ``row``. Moved here at once, so that the view has nothing to remove."""
        if not data.hasFormat(_MIME):
            return False
        start = int(bytes(data.data(_MIME).data()).decode())
        before = row if row >= 0 else self.rowCount()
        self.move(start, before - 1 if before > start else before)
        return False


def _cells(entry: _Entry) -> tuple[str, ...]:
    run = entry.run
    changed = ", ".join(f"{label_of(name)} {value}" for name, value in run.settings.items()) or "defaults"
    return entry.state.capitalize(), run.source.file.name, changed, run.folder.name, worded(entry.reason)


def _tips(entry: _Entry) -> tuple[str, ...]:
    run = entry.run
    changed = "\n".join(f"{label_of(name)}: {value}" for name, value in run.settings.items())
    return entry.state.capitalize(), str(run.source.file), changed, str(run.folder), worded(entry.reason)
