"""`StepsMenu`: preprocessing steps from and to files, and as flags of the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from ptycho_core.base.errors import InputError
from ptycho_core.scan.steps import Step
from ptycho_core.scan.steps_json import steps_to_flags
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.prepare.jobs.steps import read_steps_job, save_steps_job
from ptycho_gui.prepare.step_list import StepList

_FILES = "Steps (*.json)"


class StepsMenu(QMenu):
    """Acts on a list of steps.

    Parameters
    ----------
    model
        The list.
    """

    told = Signal(str)
    """A sentence for the operator: what was done, or why not."""

    def __init__(self, model: StepList, parent: QWidget) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        self._model = model
        self._slot = WorkerSlot(self)
        self._slot.failed.connect(self._tell_failure)
        self._load = self.addAction(icon("open"), "&Load steps…", self._ask_what_to_load)
        self._save = self.addAction(icon("save"), "&Save steps…", self._ask_where_to_save)
        self._copy = self.addAction(icon("copy"), "&Copy flags for the command line", self.copy_flags)
        self._load.setToolTip("Put the steps of a file in the place of these")
        self._save.setToolTip("Write the steps that are switched on, for other scans and for the command line")
        self._copy.setToolTip("Copy the flags that do the same on the command line")

    def allow(self, no_scan: str, problem: str) -> None:
        """Say why nothing can be loaded, saved and copied now; nothing if it can."""
        allow(self._load, no_scan)
        allow(self._save, no_scan or problem)
        allow(self._copy, no_scan or problem)

    def shut_down(self) -> None:
        """Leave off reading and writing, and wait."""
        self._slot.shut_down()

    @Slot(str)
    def load(self, path: str) -> None:
        """Put the steps of a file in the place of all."""
        self._slot.start(read_steps_job(Path(path)), self._take_steps)

    @Slot(str)
    def save(self, path: str) -> None:
        """Write the steps that are switched on to a file."""
        self._slot.start(save_steps_job(self._model.steps(), Path(path)), self._tell_saved)

    @Slot()
    def copy_flags(self) -> None:
        """Put the flags onto the clipboard."""
        try:
            flags = shlex.join(steps_to_flags(self._model.steps()))
        except InputError as error:
            self.told.emit(str(error))
            return
        QGuiApplication.clipboard().setText(flags)
        self.told.emit(f"Copied: {flags}" if flags else "There are no steps to copy.")

    @Slot()
    def _ask_what_to_load(self) -> None:
        dialog = self._dialog("Load steps")
        dialog.fileSelected.connect(self.load)
        dialog.open()

    @Slot()
    def _ask_where_to_save(self) -> None:
        dialog = self._dialog("Save steps")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("json")
        dialog.fileSelected.connect(self.save)
        dialog.open()

    def _dialog(self, title: str) -> QFileDialog:
        dialog = QFileDialog(self.parentWidget(), title, filter=_FILES)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog

    def _take_steps(self, steps: tuple[Step, ...]) -> None:
        self._model.replace_all(steps, "load steps")

    def _tell_saved(self, path: Path) -> None:
        self.told.emit(f"Saved as {path}")

    @Slot(object)
    def _tell_failure(self, failure: Failure) -> None:
        self.told.emit(failure.sentence)
