"""`CheckpointTable`: the checkpoints of the run that is shown, best first, kept up to date by the run's events."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QIcon, QPixmap

from ptycho_core.base.events import CheckpointRemoved, CheckpointSaved, Event
from ptycho_core.runs.record import RunInfo, checkpoint_table
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.words import UNKNOWN, figure, file_size, minute, plain

RANK, EPOCH, VALUE, FREE_MISFIT, SIZE, TIME = range(6)

_TIPS = {
    RANK: "The best has the lowest monitored loss (or the highest, where the settings say so); "
    "last is the state after the last epoch, from which a run resumes",
    EPOCH: "The epoch after which it was saved",
    FREE_MISFIT: "How far patterns that nothing has seen are from the newest reconstruction with this checkpoint: "
    "1 is photon noise alone; known once you reconstruct with it",
    SIZE: "Size of the file",
    TIME: "When it was saved",
}
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint, and the misfit of free patterns in a reconstruction with it, where there is one."""

    saved: CheckpointSaved
    free_misfit: float | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.saved.path)

    @property
    def is_best(self) -> bool:
        """Whether it is the best one, by a finite loss."""
        return self.saved.rank == 1 and self.saved.value is not None and math.isfinite(self.saved.value)

    @property
    def is_last(self) -> bool:
        """Whether it is the state from which a run resumes."""
        return not self.saved.rank

    @property
    def name(self) -> str:
        """What the operator calls it: "best", "last" or "number 2"."""
        if self.is_last:
            return "last"
        return "best" if self.is_best else f"number {self.saved.rank}"


class CheckpointTable(QAbstractTableModel):
    """A row for each checkpoint."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._saved: tuple[CheckpointSaved, ...] = ()
        self._free_misfit: dict[Path, float] = {}
        self._icons = {"best": icon("best"), "last": icon("last")}
        blank = QPixmap(16, 16)
        blank.fill(Qt.GlobalColor.transparent)
        self._blank = QIcon(blank)  # so that all ranks stand in one column

    @property
    def rows(self) -> list[CheckpointRow]:
        """What the table shows, best first, last at the end."""
        return [CheckpointRow(saved, self._free_misfit.get(Path(saved.path))) for saved in self._saved]

    def hear(self, event: Event) -> None:
        """Follow a run: take note of a checkpoint that was saved or removed."""
        if isinstance(event, CheckpointSaved | CheckpointRemoved):
            self._free_misfit.pop(Path(event.path), None)  # last.ckpt is another one after every epoch
            self._show(checkpoint_table(self._saved, event))

    def show_run(self, info: RunInfo | None) -> None:
        """Show the checkpoints that a run's record lists, or none."""
        table = info.checkpoints if info else ()
        if {saved.path for saved in table}.isdisjoint(saved.path for saved in self._saved):
            self._free_misfit = {}
        self._show(table)

    def set_free_misfit(self, path: Path, value: float) -> None:
        """Say what a reconstruction with a checkpoint has found."""
        self._free_misfit[path] = value
        self._tell_changed()

    def _show(self, table: tuple[CheckpointSaved, ...]) -> None:
        """Go over to another table row by row, so that a selection stays with its file when ranks change."""
        wanted = {saved.path for saved in table}
        for row in reversed(range(len(self._saved))):
            if self._saved[row].path not in wanted:
                self.beginRemoveRows(_NOWHERE, row, row)
                self._saved = (*self._saved[:row], *self._saved[row + 1 :])
                self.endRemoveRows()
        for row, saved in enumerate(table):
            shown = [other.path for other in self._saved]
            if saved.path not in shown:
                self.beginInsertRows(_NOWHERE, row, row)
                self._saved = (*self._saved[:row], saved, *self._saved[row:])
                self.endInsertRows()
            elif (place := shown.index(saved.path)) != row:
                self.beginMoveRows(_NOWHERE, place, place, _NOWHERE, row)
                others = (*self._saved[:place], *self._saved[place + 1 :])
                self._saved = (*others[:row], saved, *others[row:])
                self.endMoveRows()
        self._saved = table
        self._tell_changed()
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, VALUE, VALUE)

    def _tell_changed(self) -> None:
        if self._saved:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._saved) - 1, TIME))

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: one row for each checkpoint."""
        return 0 if parent.isValid() else len(self._saved)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: `RANK` to `TIME`."""
        return 0 if parent.isValid() else TIME + 1

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the headings, with what they mean as tooltips."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        monitor = next((saved.monitor for saved in self._saved if saved.monitor), "")
        if role == Qt.ItemDataRole.DisplayRole:
            return ("Rank", "Epoch", plain(monitor) or "Loss", "Free misfit", "Size", "Saved")[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS.get(section, f"The metric that ranks: {monitor}" if monitor else "The metric that ranks")
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: what a cell shows."""
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _cells(row)[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return row.saved.path if column == RANK else _TIPS.get(column)
        if role == Qt.ItemDataRole.DecorationRole and column == RANK:
            return self._icons.get(row.name, self._blank)
        return None


def _cells(row: CheckpointRow) -> tuple[str, ...]:
    saved = row.saved
    return (
        "last" if row.is_last else f"{saved.rank}  best" if row.is_best else str(saved.rank),
        str(saved.epoch),
        UNKNOWN if row.is_last else figure(saved.value),
        figure(row.free_misfit),
        file_size(saved.size_bytes),
        minute(datetime.fromisoformat(saved.time)) if saved.time else UNKNOWN,
    )
