"""`RunQueue`: runs that wait to be trained one after another, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QFileSystemWatcher,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
    Slot,
)

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.runs.queue import Entry, Queue, QueuedRun, QueueState
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import label_of, worded

_log = logging.getLogger(__name__)

COLUMNS = ("State", "Scan", "Settings", "Output folder", "Remark")

_MIME = "application/x-ptycho-queued-run"
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_ICONS = {
    QueueState.WAITING: "queue",
    QueueState.RUNNING: "play",
    QueueState.DONE: "ok",
    QueueState.FAILED: "error",
    QueueState.SKIPPED: "cancel",
    QueueState.SUBMITTED: "ok",
}


class RunQueue(QAbstractTableModel):
    """A `Queue` as a table, in the order in which it is worked off. Only what waits can be moved.

    Parameters
    ----------
    parent
        Owner.
    path
        Of the queue's file, which other programs may change as well; None for a queue that is not kept.
    """

    changed = Signal()
    """Something in it is other than before."""
    refused = Signal(str)
    """Why a change could not be made, in a sentence."""

    def __init__(self, parent: QObject | None = None, path: Path | None = None) -> None:
        super().__init__(parent)
        self.problem = ""
        """Why the queue is not kept; empty where it is, or was not meant to be."""
        try:
            self._queue = Queue(path)
        except InputError as error:
            self._queue, self.problem = Queue(), str(error)
        self._shown = self._queue.entries
        if self._queue.path is not None:
            folder = self._queue.path.parent
            folder.mkdir(parents=True, exist_ok=True)
            self._watcher = QFileSystemWatcher([str(folder)], self)
            self._watcher.directoryChanged.connect(self._look)

    @property
    def path(self) -> Path | None:
        """The file in which it is kept; None where it is not."""
        return self._queue.path

    @property
    def waiting(self) -> int:
        """How many runs wait."""
        return sum(entry.state == QueueState.WAITING for entry in self._shown)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the runs that wait will write."""
        return tuple(entry.run.folder for entry in self._shown if entry.state == QueueState.WAITING)

    def state(self, row: int) -> QueueState:
        """Return what became of the run in a row."""
        return self._shown[row].state

    def add(self, run: QueuedRun) -> None:
        """Put a run at the end.

        Raises
        ------
        InputError
            As `Queue.add`.
        PtychoError
            The queue cannot be written.
        """
        self._queue.add(run)
        end = len(self._shown)
        self.beginInsertRows(_NOWHERE, end, end)
        self._shown = (*self._shown, self._queue.entries[-1])
        self.endInsertRows()
        self._show()

    def remove(self, row: int) -> None:
        """Take a run out, whatever became of it; not the one that runs."""
        if self.state(row) == QueueState.RUNNING:
            return
        try:
            self._queue.remove(self._shown[row].key)
        except PtychoError as error:
            self.refused.emit(str(error))
            return
        self.beginRemoveRows(_NOWHERE, row, row)
        self._shown = self._shown[:row] + self._shown[row + 1 :]
        self.endRemoveRows()
        self._show()

    def may_move(self, row: int, to: int) -> bool:
        """Whether the run in a row waits, and so does the one in whose place it would come."""
        rows = range(len(self._shown))
        return row != to and all(place in rows and self.state(place) == QueueState.WAITING for place in (row, to))

    def move(self, row: int, to: int) -> None:
        """Put the run in a row into another, if `may_move`."""
        if not self.may_move(row, to):
            return
        try:
            self._queue.move(self._shown[row].key, to)
        except PtychoError as error:
            self.refused.emit(str(error))
            return
        self.beginMoveRows(_NOWHERE, row, row, _NOWHERE, to + 1 if to > row else to)
        entries = list(self._shown)
        entries.insert(to, entries.pop(row))
        self._shown = tuple(entries)
        self.endMoveRows()
        self._show()

    def next(self) -> Entry | None:
        """Take the first run that waits: it counts as running from now on. None if none does, one runs, or none can."""
        taken = None
        try:
            taken = self._queue.take()
        except PtychoError as error:
            self.refused.emit(str(error))
        self._show()
        return taken

    def end(self, entry: Entry, state: QueueState, reason: str) -> None:
        """Say what became of a run that was taken, and why."""
        try:
            self._queue.end(entry.key, state, reason)
        except PtychoError as error:  # the run itself is recorded in its folder
            _log.warning("%s", error)
        self._show()

    @Slot()
    def _look(self) -> None:
        """Another program may have changed the queue."""
        try:
            self._queue.read()
        except InputError:  # as long as it is damaged, what was read last is shown
            return
        if self._queue.entries != self._shown:
            self._show()

    def _show(self) -> None:
        """Show the entries as they were read last."""
        entries = self._queue.entries
        if [entry.key for entry in entries] == [entry.key for entry in self._shown]:
            self._shown = entries
            if entries:
                self.dataChanged.emit(self.index(0, 0), self.index(len(entries) - 1, len(COLUMNS) - 1))
        else:
            self.beginResetModel()
            self._shown = entries
            self.endResetModel()
        self.changed.emit()

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: one row for each run."""
        return 0 if parent.isValid() else len(self._shown)

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
        entry = self._shown[index.row()]
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


def _cells(entry: Entry) -> tuple[str, ...]:
    run = entry.run
    scan = f"{run.source.file.name} and {len(run.further)} more" if run.further else run.source.file.name
    changed = ", ".join(f"{label_of(name)} {value}" for name, value in run.settings.items()) or "defaults"
    return entry.state.capitalize(), scan, changed, run.folder.name, worded(entry.reason)


def _tips(entry: Entry) -> tuple[str, ...]:
    run = entry.run
    changed = "\n".join(f"{label_of(name)}: {value}" for name, value in run.settings.items())
    scans = "\n".join(map(str, (run.source.file, *run.further)))
    return entry.state.capitalize(), scans, changed, str(run.folder), worded(entry.reason)
