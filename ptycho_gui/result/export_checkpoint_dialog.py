"""`ExportCheckpointDialog`: where a checkpoint is written to, and as what."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFormLayout, QLabel, QRadioButton, QWidget

from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.checked_path import CheckedPath
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.jobs.checks import look_at_target
from ptycho_gui.kit.threads.worker import Job

_BUNDLE = (
    "For use elsewhere: weights, settings, metrics and command in one file that holds nothing that runs. Use it with "
    "Run > Apply to a scan, or on the command line."
)
_CKPT = "A copy of the file as it was saved, with the optimiser's state, for other programs."
_FILTERS = "Bundle (*.zip);;Lightning checkpoint (*.ckpt)"


class ExportCheckpointDialog(CheckedDialog):
    """Asks for kind and target of a checkpoint's export.

    Parameters
    ----------
    checkpoint
        To be exported.
    target
        Suggested; ending in ``.zip`` or ``.ckpt``.
    """

    def __init__(self, checkpoint: Path, target: Path, parent: QWidget | None = None) -> None:
        super().__init__("Export checkpoint", "&Export", "Write the file", parent)
        self.bundle, self.ckpt = QRadioButton("&Bundle (.zip)"), QRadioButton("&Lightning checkpoint (.ckpt)")
        self.file = CheckedPath(
            PathField("save", "File to write", "Bro&wse…", _FILTERS), self._look, "Name a file first."
        )
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
        form.addRow(self._label("&File:", self.file), self.file)
        form.addRow(self.buttons)
        self.setMinimumWidth(600)
        self._watch(self.file)
        self.file.looked.connect(self._follow_ending)
        self.bundle.toggled.connect(self._follow_kind)
        self.file.set_path(target)

    def target(self) -> Path:
        """Return the file to write; its ending says as what."""
        return self.file.path

    def _look(self, path: Path) -> Job:
        return look_at_target(path, (".zip", ".ckpt"))

    @Slot()
    def _follow_kind(self) -> None:
        suffix = ".zip" if self.bundle.isChecked() else ".ckpt"
        if self.file.field.path and self.target().suffix != suffix:
            self.file.set_path(self.target().with_suffix(suffix))

    @Slot()
    def _follow_ending(self) -> None:
        for button, suffix in ((self.bundle, ".zip"), (self.ckpt, ".ckpt")):
            if self.target().suffix == suffix:
                button.setChecked(True)
