"""`QueuePanel`: runs that wait, in the order in which they will be done."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QAbstractItemView, QVBoxLayout, QWidget

from ptycho_core.runs.queue import QueueState
from ptycho_gui.kit.table import Table, TableActions
from ptycho_gui.runs.queue import RunQueue

_ONE = "Select a run in the queue first."


class QueuePanel(QWidget):
    """The queue, with buttons to add, remove, reorder, run and pause.

    Parameters
    ----------
    queue
        Shown and changed.
    """

    add_requested = Signal()
    run_requested = Signal()
    submit_requested = Signal()
    pause_requested = Signal()
    """The run that is at work goes on to its end; none is begun after it."""

    def __init__(self, queue: RunQueue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.queue = queue
        self._not_add: str | None = None
        self._not_run: str | None = None
        self._active = False
        self.view = Table(
            queue,
            "Queue",
            "The queue is empty. Open a scan, choose the settings, and add them here: the runs are done one after "
            "another, and one that fails does not stop the rest.",
        )
        self.view.stretch("Settings", "Remark")
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.view.setDragDropOverwriteMode(False)
        self.view.setDropIndicatorShown(True)
        self._make_actions()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.buttons)
        layout.addWidget(self.view)
        self.setFocusProxy(self.view)
        self.setWhatsThis(
            "<b>Queue</b>: add the open scan with the present settings as often as you like, then run them one after "
            "another. A run that fails is marked with the reason, and the next one begins."
        )
        self.view.selectionModel().selectionChanged.connect(self.buttons.follow)
        queue.changed.connect(self.buttons.follow)
        self.buttons.follow()

    def _make_actions(self) -> None:
        self.buttons = TableActions(self.view, self)
        add = self.buttons.add
        self.add = add(
            "&Add open scan",
            "queue",
            "Add the open scan with the present settings at the end",
            self.add_requested.emit,
            why_not=lambda: self._not_add,
        )
        self.run = add(
            "Ru&n queue",
            "play",
            "Begin with the first run that waits",
            self.run_requested.emit,
            why_not=self._why_not_run,
        )
        self.submit = add(
            "&Submit",
            "resume",
            "Hand all runs that wait to SLURM, as one array of jobs",
            self.submit_requested.emit,
            why_not=self._why_not_submit,
        )
        self.pause = add(
            "&Pause",
            "pause",
            "Let the present run end, and begin no other",
            self.pause_requested.emit,
            why_not=lambda: None if self._active else "The queue is not running.",
        )
        self.up = add(
            "&Up",
            "up",
            "Do this run earlier",
            lambda: self._move(-1),
            "Alt+Up",
            why_not=lambda: self._why_not_move(-1, "No run that waits is before this one."),
        )
        self.down = add(
            "Do&wn",
            "down",
            "Do this run later",
            lambda: self._move(1),
            "Alt+Down",
            why_not=lambda: self._why_not_move(1, "No run that waits comes after this one."),
        )
        self.remove = add(
            "Re&move",
            "trash",
            "Take this run out of the queue",
            self._remove,
            "Delete",
            why_not=self._why_not_remove,
        )

    def set_active(self, active: bool) -> None:
        """Say whether the queue is being worked off."""
        self._active = active
        self.buttons.follow()

    def set_allowed(self, why_not_add: str | None, why_not_run: str | None) -> None:
        """Say why nothing can be added or run now; None if it can."""
        self._not_add, self._not_run = why_not_add, why_not_run
        self.buttons.follow()

    def _row(self) -> int | None:
        rows = self.view.selected_rows()
        return rows[0] if rows else None

    def _why_not_run(self) -> str | None:
        if self._active:
            return "The queue is running."
        return self._not_run if self.queue.waiting else "No run waits."

    def _why_not_submit(self) -> str | None:
        if not self.queue.waiting:
            return "No run waits."
        return None if self.queue.path else "The queue is not kept in a file."

    def _why_not_move(self, by: int, end: str) -> str | None:
        row = self._row()
        if row is None:
            return _ONE
        return None if self.queue.may_move(row, row + by) else end

    def _why_not_remove(self) -> str | None:
        row = self._row()
        if row is None:
            return _ONE
        return "This run is at work: stop it first." if self.queue.state(row) == QueueState.RUNNING else None

    def _move(self, by: int) -> None:
        row = self._row()
        if row is not None:
            self.queue.move(row, row + by)

    def _remove(self) -> None:
        row = self._row()
        if row is not None:
            self.queue.remove(row)
