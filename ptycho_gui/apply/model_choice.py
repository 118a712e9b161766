"""`ModelChoice`: the models in a folder that suit a scan, the best first."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from ptycho_core.runs.models import Suitability
from ptycho_core.scan.scan import Scan
from ptycho_gui.apply.jobs.models import find_suitable_job
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure

_LOOKING = "looking for models that suit the scan…"
_NONE = "no model here is of such a network"


class ModelChoice(QWidget):
    """A folder, and a list of the models in it.

    Parameters
    ----------
    folder
        Looked into at first.
    scan
        That the models are to suit.
    """

    chosen = Signal(Path)
    """The bundle of the model that the operator has chosen."""

    def __init__(self, folder: Path, scan: Scan, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scan = scan
        self.folder = PathField("folder", "Folder of models", "Fo&lder…")
        self.models = QComboBox()
        self.models.setAccessibleName("Models that suit the open scan")
        self.models.activated.connect(self._choose)
        self._slot = WorkerSlot(self)
        self._slot.succeeded.connect(self._show)
        self._slot.failed.connect(self._show_failure)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.folder)
        column.addWidget(self.models)
        self.setFocusProxy(self.models)
        self.folder.path_changed.connect(self._look)
        self.folder.set_path(folder)
        self._look()

    def shut_down(self) -> None:
        """Wait for what is read."""
        self._slot.shut_down()

    @Slot()
    def _look(self) -> None:
        self._say(_LOOKING)
        self._slot.start(find_suitable_job(self.folder.path or Path(), self._scan))

    def _say(self, words: str) -> None:
        self.models.clear()
        self.models.addItem(words)
        allow(self.models, words)

    @Slot(object)
    def _show(self, fits: list[Suitability]) -> None:
        if not fits:
            self._say(_NONE)
            return
        self.models.clear()
        allow(self.models, None)
        self.models.addItem("choose a model, or name a checkpoint below", None)
        for fit in fits:
            told = "suits the scan" if fit.suits else f"differs in {len(fit.differences)} respects"
            self.models.addItem(f"{fit.model.path.name}: {told}", fit.model.path)
            self.models.setItemData(self.models.count() - 1, _tip(fit), Qt.ItemDataRole.ToolTipRole)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self._say(failure.sentence)

    @Slot(int)
    def _choose(self, place: int) -> None:
        path = self.models.itemData(place)
        if path is not None:
            self.chosen.emit(path)


def _tip(fit: Suitability) -> str:
    model = fit.model
    lines = [str(model.path), f"beam {model.beam_px:.3g} px, trained on {model.summary['patterns']} patterns"]
    lines += filter(None, (model.date[:10], model.note, *(problem.message for problem in fit.differences)))
    return "\n".join(lines)
