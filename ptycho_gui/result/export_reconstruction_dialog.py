"""`ExportReconstructionDialog`: formats and folder of an export."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QGroupBox, QLabel, QWidget

from ptycho_core.formats.writers.exports import EXPORTERS
from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.checked_path import CheckedPath
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.jobs.checks import look_at_targets
from ptycho_gui.kit.threads.worker import Job

_LABELS = {
    "npz": "&NumPy",
    "product": "&Ptychodus product",
    "cxi": "C&XI",
    "tiff": "&TIFF",
    "png": "P&ictures (PNG)",
    "page": "&Logbook page",
}


class ExportReconstructionDialog(CheckedDialog):
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
        super().__init__("Export reconstruction", "&Export", "Write the files", parent)
        chosen = set(formats)
        self.boxes = {name: QCheckBox(_LABELS[name]) for name in EXPORTERS}
        group = QGroupBox("Formats")
        grid = QGridLayout(group)
        grid.setColumnStretch(2, 1)
        grid.setHorizontalSpacing(16)
        for row, (name, box) in enumerate(self.boxes.items()):
            exporter = EXPORTERS[name]
            box.setChecked(name in chosen)
            box.setToolTip(exporter.help)
            grid.addWidget(box, row, 0)
            grid.addWidget(QLabel(", ".join(exporter.files)), row, 1)
            grid.addWidget(QLabel(exporter.help), row, 2)
        self.target = CheckedPath(PathField("folder", "Folder to write into"), self._look, "Choose a folder first.")
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(group)
        form.addRow(self._label("&Folder:", self.target), self.target)
        form.addRow(self.buttons)
        self._watch(self.target)
        for box in self.boxes.values():
            box.toggled.connect(self.target.look_again)
        self.target.set_path(folder)

    @property
    def formats(self) -> list[str]:
        """Keys of `EXPORTERS` that are ticked."""
        return [name for name, box in self.boxes.items() if box.isChecked()]

    @property
    def folder(self) -> Path:
        """Where to write."""
        return self.target.path

    def why_not(self) -> str | None:
        """Return the reason why nothing can be written yet."""
        return super().why_not() if self.formats else "Tick a format first."

    def _look(self, folder: Path) -> Job:
        return look_at_targets(folder, [file for name in self.formats for file in EXPORTERS[name].files])
