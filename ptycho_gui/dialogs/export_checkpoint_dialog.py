"""`ExportCheckpointDialog`: where a checkpoint is written to, and as what."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QRadioButton, QWidget

from ptycho_gui.dialogs.checked_path import CheckedPath
from ptycho_gui.forms.path_field import PathField
from ptycho_gui.workers.checks import look_at_target
from ptycho_gui.workers.worker import Job

_BUNDLE = (
    "For use elsewhere: weights, settings, metrics and command in one file that holds nothing that runs. Use it with "
    "Run > Apply to a scan, or with ptycho reconstruct --checkpoint."
)
_CKPT = "A copy of the file as it was saved, with the optimiser's state, for other programs."


class ExportCheckpointDialog(QDialog):
    """Asks for kind and target of a checkpoint's export.

    Parameters
    ----------
    checkpoint
        To be exported.
    target
        Suggested; ending in ``.zip`` or ``.ckpt``.
    """

    def __init__(self, checkpoint: Path, target: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export checkpoint")
        self.bundle, self.ckpt = QRadioButton("&Bundle (.zip)"), QRadioButton("&Lightning checkpoint (.ckpt)")
        filters = "Bundle (*.zip);;Lightning checkpoint (*.ckpt)"
        self.file = CheckedPath(
            PathField("save", "File to write", "Bro&wse…", filters), self._look, "Name a file first."
        )
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        name = QLabel(checkpoint.name)
        name.setToolTip(str(checkpoint))
        form.addRow("Checkpoint:", name)
        for button, help in ((self.bundle, _BUNDLE), (self.ckpt, _CKPT)):
            button.setToolTip(help)
            said = QLabel(help)
            said.setWordWrap(True)
            said.setContentsMargins(24, 0, 0, 4)
            form.addRow(button)
            form.addRow(said)
        label = QLabel("&File:")
        label.setBuddy(self.file.field.line)
        form.addRow(label, self.file)
        form.addRow(self.buttons)
        self.setMinimumWidth(600)
        self.file.looked.connect(self._allow)
        self.bundle.toggled.connect(self._follow_kind)
        self.file.set_path(target)

    def target(self) -> Path:
        """Return the file to write; its ending says as what."""
        return self.file.path

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        self.file.shut_down()
        super().done(result)

    def _look(self, path: Path) -> Job:
        return look_at_target(path, (".zip", ".ckpt"))

    @Slot()
    def _follow_kind(self) -> None:
        suffix = ".zip" if self.bundle.isChecked() else ".ckpt"
        if self.file.field.path and self.target().suffix != suffix:
            self.file.set_path(self.target().with_suffix(suffix))

    @Slot()
    def _allow(self) -> None:
        for button, suffix in ((self.bundle, ".zip"), (self.ckpt, ".ckpt")):
            if self.target().suffix == suffix:
                button.setChecked(True)
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(self.file.reason is None)
        save.setToolTip(self.file.reason or "Write the file")
