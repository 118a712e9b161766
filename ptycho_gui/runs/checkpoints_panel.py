"""`CheckpointsPanel`: the checkpoints of the run that is shown, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptycho_core.base.events import Event, RunFailed, RunFinished, RunStarted, Status
from ptycho_core.runs.record import RunInfo
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.table import Table, TableActions
from ptycho_gui.runs.checkpoint_table import CheckpointRow, CheckpointTable


class CheckpointsPanel(QWidget):
    """A table of checkpoints, best first, with its actions."""

    reconstruct_requested = Signal(Path)
    compare_requested = Signal(Path, Path)
    export_requested = Signal(Path)
    delete_requested = Signal(Path)
    """The operator has confirmed it."""
    scan_chosen = Signal(int)
    """The place of the scan that is to be looked at and reconstructed, where the run has several."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy: str | None = None
        self._training = False
        self.table = CheckpointTable(self)
        self.view = Table(
            self.table, "Checkpoints", "No checkpoints yet. The first ones are saved after the first epoch."
        )
        self.buttons = TableActions(self.view, self)
        add = self.buttons.add
        self.reconstruct = add(
            "Reco&nstruct",
            "reconstruct",
            "Reconstruct the run's scan with this checkpoint",
            self._reconstruct,
            "Return",
            why_not=lambda: self._busy or self._why_not_one(),
        )
        self.compare = add(
            "Co&mpare",
            "compare",
            "Reconstruct with two checkpoints and show both side by side",
            self._compare,
            why_not=lambda: self._busy or self._why_not_two(),
        )
        self.export = add(
            "E&xport…",
            "export-checkpoint",
            "Write this checkpoint as a bundle or a .ckpt, for use elsewhere",
            self._export,
            why_not=self._why_not_one,
        )
        self.show_in_folder = add(
            "Sho&w in folder",
            "folder",
            "Open the folder of this checkpoint in the file manager",
            self._show_folder,
            why_not=self._why_not_one,
        )
        self.delete = add(
            "De&lete…",
            "trash",
            "Delete this checkpoint from the disk",
            self._delete,
            "Delete",
            why_not=self._why_not_delete,
        )
        self.scans = QComboBox()
        self.scans.setToolTip("Of several scans that the run was trained on, the one that is shown and reconstructed")
        self.scans.activated.connect(self.scan_chosen)
        self._which = QLabel("Scan")
        self._which.setBuddy(self.scans)
        of_scan = QHBoxLayout()
        of_scan.addWidget(self._which)
        of_scan.addWidget(self.scans, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.buttons)
        layout.addLayout(of_scan)
        layout.addWidget(self.view)
        self.show_scans(())
        self.setFocusProxy(self.view)
        self.setWhatsThis(
            "<b>Checkpoints</b> are the states of the model that were saved while it was trained. The best one has the "
            "lowest monitored loss: take it for the final reconstruction and for export. A run resumes from the last."
        )
        self.view.selectionModel().selectionChanged.connect(self.buttons.follow)
        self.view.doubleClicked.connect(self.reconstruct.trigger)
        for signal in (self.table.rowsInserted, self.table.rowsRemoved, self.table.dataChanged):
            signal.connect(self.buttons.follow)
        self.buttons.follow()

    def hear(self, event: Event) -> None:
        """Follow the run that is shown."""
        match event:
            case RunStarted():
                self._training = True
            case RunFinished() | RunFailed():
                self._training = False
        self.table.hear(event)
        self.buttons.follow()

    def show_run(self, info: RunInfo | None) -> None:
        """Show the checkpoints of a run, or none."""
        self._training = info is not None and info.status == Status.RUNNING
        self.table.show_run(info)
        self.buttons.follow()

    def show_scans(self, names: Sequence[str], place: int = 0) -> None:
        """Offer the scans of a run on several, the one at ``place`` being looked at; none of a run on one."""
        if list(names) != [self.scans.itemText(row) for row in range(self.scans.count())]:
            self.scans.clear()
            self.scans.addItems(names)
        self.scans.setCurrentIndex(place if names else -1)
        for widget in (self._which, self.scans):
            widget.setVisible(bool(names))

    def set_free_misfit(self, path: Path, value: float) -> None:
        """Show what a reconstruction with a checkpoint has found."""
        self.table.set_free_misfit(path, value)

    def set_busy(self, reason: str | None) -> None:
        """Say why nothing can be computed now; None if something can."""
        self._busy = reason
        self.buttons.follow()

    def selected(self) -> list[Path]:
        """Return the files that are selected, from the top."""
        return [row.path for row in self._rows()]

    def _rows(self) -> list[CheckpointRow]:
        rows = self.table.rows
        return [rows[row] for row in self.view.selected_rows()]

    def _why_not_one(self) -> str | None:
        return None if len(self.view.selected_rows()) == 1 else "Select one checkpoint first."

    def _why_not_two(self) -> str | None:
        return None if len(self.view.selected_rows()) == 2 else "Select two checkpoints first (Ctrl + click)."

    def _why_not_delete(self) -> str | None:
        if self._training:
            return "The run is training and keeps its checkpoints itself: stop it first."
        return self._why_not_one()

    def _reconstruct(self) -> None:
        self.reconstruct_requested.emit(self.selected()[0])

    def _compare(self) -> None:
        self.compare_requested.emit(*self.selected())

    def _export(self) -> None:
        self.export_requested.emit(self.selected()[0])

    def _show_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.selected()[0].parent)))

    def _delete(self) -> None:
        (row,) = self._rows()
        consequence = {
            "best": "It is the best one of this run. ",
            "last": "The run cannot be resumed without it. ",
        }.get(row.name, "")
        question = f"Delete {row.path.name}? {consequence}It cannot be brought back."
        if confirmed(self, "Delete checkpoint", question, "&Delete"):
            self.delete_requested.emit(row.path)
