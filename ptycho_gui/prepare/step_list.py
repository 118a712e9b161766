"""`StepList`: the preprocessing steps as an operator edits them; every change can be undone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from ptycho_core.base.errors import InputError
from ptycho_core.scan.steps import Step
from ptycho_gui.kit.icons import icon
from ptycho_gui.prepare.step_entry import StepEntry, title

Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_ROLE = Qt.ItemDataRole


class StepList(QAbstractListModel):
    """A row for each step: its words, a check mark while it is switched on, a sign when something is wrong with it."""

    edited = Signal(int)
    """The steps are others now, by an edit, undo or redo; the row that it was about, or -1."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo = QUndoStack(self)
        self._entries: tuple[StepEntry, ...] = ()
        self._failure: tuple[int, str] | None = None

    @property
    def entries(self) -> tuple[StepEntry, ...]:
        """All of them, in order."""
        return self._entries

    def active_rows(self) -> list[int]:
        """Return the rows of the steps that are switched on."""
        return [row for row, entry in enumerate(self._entries) if entry.active]

    def steps(self) -> tuple[Step, ...]:
        """Return the steps that are switched on, or raise `InputError` if one has settings that are not valid."""
        return tuple(self._entries[row].step() for row in self.active_rows())

    def valid_steps(self) -> tuple[Step, ...]:
        """Return the steps that are switched on up to the first that is not valid."""
        steps = []
        for row in self.active_rows():
            try:
                steps.append(self._entries[row].step())
            except InputError:
                break
        return tuple(steps)

    def problem(self, row: int) -> str:
        """Return what is wrong with a step, or nothing."""
        try:
            self._entries[row].step()
        except InputError as error:
            return str(error)
        return self._failure[1] if self._failure and self._failure[0] == row else ""

    def first_problem(self) -> str:
        """Return what is wrong with the first step for which something is, or nothing."""
        return next((problem for row in self.active_rows() if (problem := self.problem(row))), "")

    def show_failure(self, row: int, sentence: str) -> None:
        """Mark a step that could not be done; none if the sentence is empty."""
        self._failure = (row, sentence) if sentence else None
        self._tell_changed()

    def load(self, steps: Iterable[Step]) -> None:
        """Begin with these steps; there is nothing to undo."""
        self.undo.clear()
        self.set_entries(tuple(map(StepEntry.of, steps)), -1)

    def replace_all(self, steps: Iterable[Step], words: str) -> None:
        """Put these steps in the place of all."""
        self._push(words, tuple(map(StepEntry.of, steps)), 0)

    def insert(self, row: int, entry: StepEntry) -> None:
        """Put a step before a row."""
        self._push(f"add {title(entry.kind)}", (*self._entries[:row], entry, *self._entries[row:]), row)

    def remove(self, row: int) -> None:
        """Take a step away."""
        kept = (*self._entries[:row], *self._entries[row + 1 :])
        self._push(f"remove {title(self._entries[row].kind)}", kept, min(row, len(kept) - 1))

    def move(self, row: int, by: int) -> None:
        """Move a step down by this many rows, or up if negative; not beyond the ends."""
        to = row + by
        if 0 <= to < len(self._entries):
            entries = list(self._entries)
            entries.insert(to, entries.pop(row))
            self._push(f"move {title(entries[to].kind)}", tuple(entries), to)

    def set_value(self, row: int, name: str, value: object) -> None:
        """Change a setting; changes of the same one in a row are undone at once."""
        entry = self._entries[row]
        self._replace(row, entry.replace(name, value), f"change {title(entry.kind)}", key=(row, name))

    def set_active(self, row: int, active: bool) -> None:
        """Switch a step on or off."""
        entry = self._entries[row]
        what = f"switch {title(entry.kind)} {'on' if active else 'off'}"
        self._replace(row, dataclasses.replace(entry, active=active), what)

    def set_entries(self, entries: tuple[StepEntry, ...], row: int) -> None:
        """Show these entries: for undo and redo, which alone may call it."""
        self._failure = None
        if len(entries) == len(self._entries):
            self._entries = entries
            self._tell_changed()
        else:
            self.beginResetModel()
            self._entries = entries
            self.endResetModel()
        self.edited.emit(row)

    def rowCount(self, parent: Index = _NOWHERE) -> int:
        """Qt: how many steps."""
        return 0 if parent.isValid() else len(self._entries)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Qt: a step can be switched on and off."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.isValid() else flags

    def data(self, index: Index, role: int = _ROLE.DisplayRole) -> Any:
        """Qt: words, check mark, sign, help."""
        if not index.isValid():
            return None
        row = index.row()
        entry, problem = self._entries[row], self.problem(row)
        if role == _ROLE.DisplayRole:
            return f"{row + 1}  {entry.words}" + (" (off)" if not entry.active else "")
        if role == _ROLE.CheckStateRole:
            return Qt.CheckState.Checked if entry.active else Qt.CheckState.Unchecked
        if role == _ROLE.DecorationRole:
            return icon("warning") if problem and entry.active else None
        if role == _ROLE.ToolTipRole:
            return problem or entry.kind.help()
        return None

    def setData(self, index: Index, value: Any, role: int = _ROLE.EditRole) -> bool:
        """Qt: the check mark was changed."""
        if role != _ROLE.CheckStateRole or not index.isValid():
            return False
        self.set_active(index.row(), Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def _replace(self, row: int, entry: StepEntry, words: str, key: object = None) -> None:
        if entry != self._entries[row]:
            self._push(words, (*self._entries[:row], entry, *self._entries[row + 1 :]), row, key)

    def _push(self, words: str, entries: tuple[StepEntry, ...], row: int, key: object = None) -> None:
        self.undo.push(_Change(self, words, entries, row, key))

    def _tell_changed(self) -> None:
        if self._entries:
            self.dataChanged.emit(self.index(0), self.index(len(self._entries) - 1))


class _Change(QUndoCommand):
    """From the present entries to others."""

    def __init__(self, model: StepList, words: str, after: tuple[StepEntry, ...], row: int, key: object) -> None:
        super().__init__(words)
        self.model, self.before, self.after, self.row, self.key = model, model.entries, after, row, key

    def redo(self) -> None:
        self.model.set_entries(self.after, self.row)

    def undo(self) -> None:
        self.model.set_entries(self.before, min(self.row, len(self.before) - 1))

    def id(self) -> int:
        return -1 if self.key is None else 1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Change) or other.key != self.key:
            return False
        self.after = other.after
        return True
