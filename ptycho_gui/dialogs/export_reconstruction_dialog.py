"""`ExportReconstructionDialog`: formats and folder of an export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFormLayout, QGridLayout, QGroupBox, QLabel, QWidget

from ptycho_core.formats.exports import EXPORTERS
from ptycho_gui.dialogs.checked_path import CheckedPath
from ptycho_gui.forms.path_field import PathField
from ptycho_gui.workers.checks import look_at_targets
from ptycho_gui.workers.worker import Job

LABELS = {"npz": "&NumPy", "product": "&Ptychodus product", "cxi": "C&XI", "tiff": "&TIFF", "png": "P&ictures (PNG)"}


class ExportReconstructionDialog(QDialog):
    """Asks in which formats a reconstruction is written, and into which folder.

    Parameters
    ----------
    folder
        Suggested: the one used last.
    formats
        Keys of `EXPORTERS` that are ticked at first: those used last.
    """

    def __init__(
        self, folder: Path, formats: Iterable[str] = ("npz", "tiff", "png"), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export reconstruction")
        chosen = set(formats)
        box = QGroupBox("Formats")
        grid = QGridLayout(box)
        grid.setColumnStretch(2, 1)
        grid.setHorizontalSpacing(16)
        self.boxes = {name: QCheckBox(LABELS[name]) for name in EXPORTERS}
        for row, (name, tick) in enumerate(self.boxes.items()):
            exporter = EXPORTERS[name]
            tick.setChecked(name in chosen)
            tick.setToolTip(exporter.help)
            help = QLabel(exporter.help)
            help.setWordWrap(True)
            grid.addWidget(tick, row, 0)
            grid.addWidget(QLabel(", ".join(exporter.files)), row, 1)
            grid.addWidget(help, row, 2)
        self.target = CheckedPath(PathField("folder", "Folder to write into"), self._look, "Choose a folder first.")
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(box)
        label = QLabel("&Folder:")
        label.setBuddy(self.target.field.line)
        form.addRow(label, self.target)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form.addRow(self.buttons)
        self.setMinimumWidth(680)
        self.target.looked.connect(self._allow)
        for tick in self.boxes.values():
            tick.toggled.connect(self.target.look_again)
        self.target.set_path(folder)

    @property
    def formats(self) -> list[str]:
        """Keys of `EXPORTERS` that are ticked."""
        return [name for name, tick in self.boxes.items() if tick.isChecked()]

    @property
    def folder(self) -> Path:
        """Where to write."""
        return self.target.path

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        self.target.shut_down()
        super().done(result)

    def _look(self, folder: Path) -> Job:
        return look_at_targets(folder, [file for name in self.formats for file in EXPORTERS[name].files])

    @Slot()
    def _allow(self) -> None:
        reason = self.target.reason if self.formats else "Tick a format first."
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(reason is None)
        save.setToolTip(reason or "Write the files")
