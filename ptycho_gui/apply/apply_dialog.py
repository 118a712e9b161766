"""`ApplyDialog`: reconstruct a scan with a trained checkpoint, without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QComboBox, QSpinBox, QWidget

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import KNOBS
from ptycho_core.scan.source import ScanSource
from ptycho_gui.apply.model_choice import ModelChoice
from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.checked_path import CheckedPath
from ptycho_gui.kit.forms.path_field import SCANS, PathField
from ptycho_gui.kit.jobs.checks import Looked, look_at_checkpoint, look_at_result_folder, look_at_scan
from ptycho_gui.kit.threads.worker import Job

_MAX_POLISH = 10_000
_MODELS = "Checkpoints and bundles (*.ckpt *.zip)"


@dataclass(frozen=True)
class Application:
    """What is to be reconstructed, with which checkpoint, how, and where the results go."""

    checkpoint: Path
    source: ScanSource
    folder: Path
    polish_epochs: int
    accelerator: str


class ApplyDialog(CheckedDialog):
    """Asks for checkpoint, scan and output folder, and says below each what it is or what is wrong with it.

    Parameters
    ----------
    checkpoint
        Suggested, or None.
    source
        The scan that is open, suggested, or None.
    folder
        Suggested output folder.
    accelerator
        Suggested.
    models
        That suit the open scan; None where none is open.
    """

    def __init__(
        self,
        checkpoint: Path | None,
        source: ScanSource | None,
        folder: Path,
        accelerator: str = "auto",
        models: ModelChoice | None = None,
        parent: QWidget | None = None,
    ) -> None:
        does = "Reconstruct, and write the results into the output folder"
        super().__init__("Apply a checkpoint to a scan", "&Reconstruct", does, parent)
        self._open = source
        self.models = models
        self.checkpoint = CheckedPath(
            PathField("open", "Checkpoint to use", "&Browse…", _MODELS),
            look_at_checkpoint,
            "Choose a checkpoint first.",
        )
        self.scan = CheckedPath(
            PathField("open", "Scan to reconstruct", "Br&owse…", SCANS), self._look_at_scan, "Choose a scan first."
        )
        self.folder = CheckedPath(
            PathField("folder", "Folder for the results", "Bro&wse…"), look_at_result_folder, "Choose a folder first."
        )
        self.polish = QSpinBox(minimum=0, maximum=_MAX_POLISH, suffix=" epochs")
        self.polish.setSpecialValueText("none")
        self.polish.setValue(ENGINES["pinn"].polish_epochs)
        self.polish.setAccessibleName("Polish")
        self.polish.setToolTip(
            "Epochs of the direct engine after the network: seconds to minutes, and usually a better picture"
        )
        self.accelerator = QComboBox()
        self.accelerator.addItems(list(KNOBS["accelerator"].choices))
        self.accelerator.setCurrentText(accelerator)
        self.accelerator.setAccessibleName("Accelerator")
        self.accelerator.setToolTip(KNOBS["accelerator"].help)
        self._lay_out(
            "Reconstruct a scan at once with a network that was trained before, on this or on a similar scan. "
            "Nothing is trained.",
            (
                *((("&Models:", models),) if models is not None else ()),
                ("&Checkpoint:", self.checkpoint),
                ("&Scan:", self.scan),
                ("Output &folder:", self.folder),
                ("&Polish:", self.polish),
                ("&Accelerator:", self.accelerator),
            ),
        )
        if models is not None:
            models.chosen.connect(self.checkpoint.set_path)
        self._watch(self.checkpoint, self.scan, self.folder)
        self.checkpoint.set_path(checkpoint)
        self.scan.set_path(source.path if source else None)
        self.folder.set_path(folder)

    def application(self) -> Application:
        """Return what was asked for."""
        return Application(
            self.checkpoint.path,
            self._source(self.scan.path),
            self.folder.path,
            self.polish.value(),
            self.accelerator.currentText(),
        )

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        if self.models is not None:
            self.models.shut_down()
        super().done(result)

    def _source(self, path: Path) -> ScanSource:
        """Return how to read a path: as in the window, if it is the scan that is open there."""
        return self._open if self._open and path == self._open.path else ScanSource(path)

    def _look_at_scan(self, path: Path) -> Job:
        if self._source(path) is self._open:
            return lambda emit, token: Looked(about="The scan that is open, as it is prepared in the window.")
        return look_at_scan(path)
