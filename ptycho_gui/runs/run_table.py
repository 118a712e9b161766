"""`RunTable`: the runs in a folder, with what is to know of each at a glance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QPixmap

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.events import Status
from ptycho_core.base.verdict import Level
from ptycho_core.runs.record import RunInfo
from ptycho_gui.kit.icons import LEVEL_ICONS, icon
from ptycho_gui.kit.words import UNKNOWN, begun, figure, minute, span
from ptycho_gui.runs.jobs.runs import ListedRun

SORT_ROLE = Qt.ItemDataRole.UserRole
FIND_ROLE = SORT_ROLE + 1
STATUS_ICONS = {
    Status.RUNNING: "play",
    Status.FINISHED: "ok",
    Status.STOPPED: "stop",
    Status.CANCELLED: "cancel",
    Status.FAILED: "error",
    Status.INTERRUPTED: "warning",
    "broken": "error",
    "waiting": "queue",
}

PICTURE_HEIGHT = 26
_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()


@dataclass(frozen=True)
class _Column:
    heading: str
    tip: str
    text: Callable[[RunInfo, ListedRun], str]
    worth: Callable[[RunInfo, ListedRun], float] | None = None
    """What rows are sorted by; the text where None."""


def _seconds(info: RunInfo) -> float:
    return ((info.ended or info.updated) - info.started).total_seconds()


def _best(info: RunInfo) -> str:
    if info.best_value is None:
        return UNKNOWN
    return f"{figure(info.best_value)}  {info.config.monitor.removesuffix('_val_loss')}"


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value


def _scan(info: RunInfo) -> str:
    first, *others = info.scan_names
    return f"{first} and {len(others)} more" if others else first


def _settings(info: RunInfo) -> str:
    return f"{info.config.preset}, {ENGINES[info.config.engine].title}"


_COLUMNS = (
    _Column("Status", "Whether it ended, and how", lambda i, _: i.status.capitalize()),
    _Column("Run", "Its folder", lambda i, _: str(i.folder)),
    _Column("Scan", "The scan that it was trained on", lambda i, _: _scan(i)),
    _Column("Settings", "Preset and engine", lambda i, _: _settings(i)),
    _Column(
        "Picture",
        "Whether the picture is good, doubtful or poor",
        lambda _, run: run.verdict.level.capitalize() if run.verdict else UNKNOWN,
        lambda _, run: list(Level).index(run.verdict.level) if run.verdict else math.inf,
    ),
    _Column(
        "Best metric",
        "The monitored metric of the best checkpoint; compare runs on the same metric only",
        lambda i, _: _best(i),
        lambda i, _: _or_infinite(i.best_value),
    ),
    _Column(
        "Free misfit",
        "How far patterns that nothing has seen are from the newest reconstruction of the run's scan: "
        "1 is photon noise alone",
        lambda _, run: figure(run.free_misfit),
        lambda _, run: _or_infinite(run.free_misfit),
    ),
    _Column(
        "Epochs",
        "Done, of those that were asked for",
        lambda i, _: f"{i.epochs_done} of {i.config.max_epochs}",
        lambda i, _: i.epochs_done,
    ),
    _Column("Started", "When it was started", lambda i, _: minute(i.started), lambda i, _: i.started.timestamp()),
    _Column(
        "Duration",
        "From its start to its end, pauses before it was resumed included",
        lambda i, _: span(_seconds(i)),
        lambda i, _: _seconds(i),
    ),
    _Column("Note", "Sample and comment, as the operator wrote them", lambda _, run: str(run.note)),
)
STATUS, NAME, REASON, PICTURE, NOTE = 0, 1, 2, 4, 10
"""Where the status, the folder, what there is instead of a record (over all to the right), verdict and note are."""


class RunTable(QAbstractTableModel):
    """A row for each run, in the order given; `SORT_ROLE` sorts them by any column, `FIND_ROLE` is all of a row."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._root = Path()
        self._runs: list[ListedRun] = []
        self._pictures: list[QPixmap | None] = []
        self._overlaid: frozenset[Path] = frozenset()
        self._icons = {word: icon(name) for word, name in STATUS_ICONS.items()}
        self._level_icons = {level: icon(name) for level, name in LEVEL_ICONS.items()}

    @property
    def runs(self) -> list[ListedRun]:
        """What is shown, unsorted."""
        return self._runs

    def show_runs(self, root: Path, runs: Iterable[ListedRun]) -> None:
        """Show the runs of a folder in the place of those before; where they are the same ones, nothing moves."""
        listed = list(runs)
        same = root == self._root and [run.found.folder for run in listed] == [run.found.folder for run in self._runs]
        if not same:
            self.beginResetModel()
        self._root, self._runs = root, listed
        self._pictures = [_small(run) for run in listed]
        if not same:
            self.endResetModel()
        elif listed:
            self.dataChanged.emit(self.index(0, 0), self.index(len(listed) - 1, len(_COLUMNS) - 1))

    def mark_overlaid(self, folders: Iterable[Path]) -> None:
        """Say in words which runs' curves are shown beside those of the present run."""
        self._overlaid = frozenset(folders)
        if self._runs:
            self.dataChanged.emit(self.index(0, NAME), self.index(len(self._runs) - 1, NAME))

    def has_record(self, row: int) -> bool:
        """Whether there is a record of a run to read: there is none of one that is broken or was not begun."""
        return self._runs[row].info is not None

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: one row for each run."""
        return 0 if parent.isValid() else len(self._runs)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        """Qt: status to note."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: the headings, with what they mean as tooltips."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = _COLUMNS[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.heading
        return column.tip if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: what a cell shows."""
        if not index.isValid():
            return None
        run, column = self._runs[index.row()], _COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(run, index.column())
            case Qt.ItemDataRole.ToolTipRole:
                return self._tip(run, index.column())
            case Qt.ItemDataRole.DecorationRole if index.column() == STATUS:
                return self._icons[run.found.status]
            case Qt.ItemDataRole.DecorationRole if index.column() == NAME:
                return self._pictures[index.row()]
            case Qt.ItemDataRole.DecorationRole if index.column() == PICTURE and run.verdict:
                return self._level_icons[run.verdict.level]
            case Qt.ItemDataRole.SizeHintRole if not self.has_record(index.row()) and index.column() == REASON:
                return QSize(0, 0)  # it reaches over the columns to the right
            case _ if role == SORT_ROLE and column.worth:
                return column.worth(run.info, run) if run.info else math.inf
            case _ if role == SORT_ROLE:
                return self._text(run, index.column())
            case _ if role == FIND_ROLE:
                return " ".join(self._text(run, column) for column in range(len(_COLUMNS)))
        return None

    def _text(self, run: ListedRun, column: int) -> str:
        found = run.found
        if column == NAME:
            inside = found.folder.is_relative_to(self._root) and found.folder != self._root
            name = str(found.folder.relative_to(self._root)) if inside else found.folder.name
            return f"{name}  (overlaid)" if found.folder in self._overlaid else name
        if column == STATUS:
            return found.status.capitalize()
        if run.info is None:
            return found.reason if column == REASON else ""
        return _COLUMNS[column].text(run.info, run)

    @staticmethod
    def _tip(run: ListedRun, column: int) -> str:
        found = run.found
        if column == NAME:
            return f"{found.folder}\n{begun(run.kind)}"
        if column == STATUS or run.info is None:
            return found.reason or found.status
        if column == PICTURE and run.verdict:
            return "\n".join(run.verdict.reasons)
        if column == NOTE and str(run.note):
            return "\n".join(filter(None, (run.note.sample, run.note.comment)))
        if column == REASON:
            return str(run.info.scan.path or "not read from a file")
        return _COLUMNS[column].tip


def _small(run: ListedRun) -> QPixmap | None:
    if run.picture is None:
        return None
    picture = run.picture.scaledToHeight(PICTURE_HEIGHT, Qt.TransformationMode.SmoothTransformation)
    return QPixmap.fromImage(picture)
