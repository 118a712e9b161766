"""`WatchDialog`: which folder to watch, for which scans, with which network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QWidget

from ptycho_core.formats.writers.exports import EXPORTERS, USUAL
from ptycho_core.runs.arrivals import GLOBS, OUT
from ptycho_core.scan.source import ScanSource
from ptycho_gui.apply.jobs.watch import Watched, look_at_watched
from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.checked_path import CheckedPath
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.jobs.checks import look_at_checkpoint, look_at_result_folder
from ptycho_gui.kit.threads.worker import Job

_LABELS = {"cxi": "C&XI", "page": "&Logbook page"}


class WatchDialog(CheckedDialog):
    """Asks for folders, checkpoint and names of scans, and says below each path what is wrong with it.

    Parameters
    ----------
    folder, checkpoint
        Suggested, or None.
    source
        The scan that is open, as which others may be read, or None.
    """

    def __init__(
        self, folder: Path | None, checkpoint: Path | None, source: ScanSource | None, parent: QWidget | None = None
    ) -> None:
        does = "Show scans while they are measured, and reconstruct each once it is complete"
        super().__init__("Watch a folder", "&Start watching", does, parent)
        self._open = source
        self.names = QLineEdit(" ".join(GLOBS))
        self.names.setAccessibleName("Names of scans")
        self.names.setToolTip("Which files are scans, as *_master.h5; several with spaces between")
        self.folder = CheckedPath(
            PathField("folder", "Folder in which scans arrive", "&Browse…"),
            self._look_at_folder,
            "Choose a folder first.",
        )
        self.checkpoint = CheckedPath(
            PathField("open", "Checkpoint to use", "Br&owse…", "Checkpoints and bundles (*.ckpt *.zip)"),
            look_at_checkpoint,
            "Choose a checkpoint first.",
        )
        self.out = CheckedPath(
            PathField("folder", "Folder for the results", "Bro&wse…"), look_at_result_folder, "Choose a folder first."
        )
        self.positions = QLineEdit(placeholderText="none: they are in the scan's own file")
        self.positions.setAccessibleName("Positions file")
        self.positions.setToolTip(
            "Where positions lie in a file of their own: its name in the folder, as *_positions.csv, whose star stands "
            "for the scan's name; or the path of one file for all scans"
        )
        self.exports = {name: QCheckBox(_LABELS[name]) for name in EXPORTERS if name not in USUAL}
        further = QWidget()
        row = QHBoxLayout(further)
        row.setContentsMargins(0, 0, 0, 0)
        for name, box in self.exports.items():
            box.setToolTip(EXPORTERS[name].help)
            row.addWidget(box)
        row.addStretch(1)
        self.alike = QCheckBox("&Read and prepare them like the open scan")
        self.alike.setToolTip("With its answers, mapping and steps")
        self.alike.setVisible(source is not None)
        self._proposed: Path | None = None
        self._lay_out(
            "Scans that arrive in a folder are shown while they are measured, and reconstructed as soon as they are "
            "complete, until you stop it. What is done already is not done again.",
            (
                ("&Folder:", self.folder),
                ("&Names of scans:", self.names),
                ("&Positions file:", self.positions),
                ("", self.alike),
                ("&Checkpoint:", self.checkpoint),
                ("R&esults:", self.out),
                ("Written too:", further),
            ),
        )
        self.names.textEdited.connect(self.folder.look_again)
        self.folder.field.path_changed.connect(self._propose)
        self._watch(self.folder, self.checkpoint, self.out)
        self.folder.set_path(folder)
        self.checkpoint.set_path(checkpoint)
        self.out.set_path(None)
        self._propose()

    def watched(self) -> Watched:
        """Return what was asked for."""
        alike = self._open if self.alike.isChecked() else None
        positions = self.positions.text().strip()
        source = dataclasses.replace(
            alike or ScanSource(), path=None, positions_file=self.folder.path / positions if positions else None
        )
        exports = tuple(name for name, box in self.exports.items() if box.isChecked())
        return Watched(self.folder.path, self.out.path, self.checkpoint.path, source, self._globs, exports)

    @property
    def _globs(self) -> tuple[str, ...]:
        return tuple(self.names.text().split()) or GLOBS

    def _look_at_folder(self, path: Path) -> Job:
        return look_at_watched(path, self._globs)

    @Slot()
    def _propose(self) -> None:
        """Propose where results go, unless the operator chose another folder."""
        if self.out.field.path == self._proposed:
            self._proposed = self.folder.path / OUT if self.folder.field.path else None
            self.out.set_path(self._proposed)
