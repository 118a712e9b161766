"""`OutputFolder`: where the next run goes; proposed beside the scan, and never the folder of another run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.train.jobs.settings_files import Folder, check_folder_job, propose_folder_job

_AGAIN_MS = 2000
_HELP = "Folder for all that the run makes: checkpoints, metrics, reconstruction. It is made when the run starts."


class OutputFolder(QWidget):
    """A path that is checked as it is typed."""

    changed = Signal(object)
    """Its `Path`, or None."""
    looked_at = Signal(object)
    """`Folder`: whether a run can be there, and how much is free."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scan_path: Path | None = None
        self._by_hand = False
        self.field = PathField("folder", "Output folder", "&Browse…")
        self.field.setToolTip(_HELP)
        self.field.path_changed.connect(self._check)
        self.note = ProblemNote()
        label = QLabel("Output folder of the next run")
        label.setToolTip(_HELP)
        label.setBuddy(self.field)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (label, self.field, self.note):
            column.addWidget(widget)
        self._checks = WorkerSlot(self)
        self._checks.succeeded.connect(self._show)
        self._again = QTimer(self, interval=_AGAIN_MS)
        self._again.timeout.connect(self._look_again)

    @property
    def path(self) -> Path | None:
        """The folder, absolute; None while none is named."""
        return self.field.path and self.field.path.absolute()

    def set_path(self, path: Path) -> None:
        """Name a folder, as if by hand."""
        self.field.set_path(path)
        self._check(path)

    def show_scan(self, path: Path | None) -> None:
        """Propose a folder for a scan that is another than before."""
        if path != self._scan_path:
            self._scan_path, self._by_hand = path, False
            self.renew()

    def renew(self, taken: Collection[Path] = ()) -> None:
        """Propose a folder that does not exist yet nor is taken, unless the operator has named one.

        Parameters
        ----------
        taken
            Folders of runs that have not begun.
        """
        if self._scan_path is not None and not self._by_hand:
            self._checks.start(propose_folder_job(self._scan_path, taken))

    def look_again(self, wrong: bool) -> None:
        """Look every now and then whether what is wrong with the folder, such as a full disk, is so still."""
        if wrong != self._again.isActive():
            (self._again.start if wrong else self._again.stop)()

    def shut_down(self) -> None:
        """Wait for the present check."""
        self._again.stop()
        self._checks.shut_down()

    @Slot(Path)
    def _check(self, path: Path) -> None:
        self._by_hand = True
        self.changed.emit(self.path)
        if self.path is None:
            self._checks.cancel()
            self.looked_at.emit(Folder(path, "name a folder for the run"))
        else:
            self._checks.start(check_folder_job(self.path))

    @Slot()
    def _look_again(self) -> None:
        if self.path is not None and not self._checks.busy:
            self._checks.start(check_folder_job(self.path))

    @Slot(object)
    def _show(self, folder: Folder) -> None:
        if folder.path != self.path:
            self.field.set_path(folder.path)
            self.changed.emit(folder.path)
        self.looked_at.emit(folder)
