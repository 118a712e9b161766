"""`TrainingPanel`: where the next run goes, its settings, and the same as a file, a command or a job of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptycho_core.base.errors import InputError, Problem
from ptycho_core.inspection.memory import memory_of
from ptycho_core.runs.command_line import JobLimits, command_line, job_script, proposed_limits
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.forms.scroll_area import scroll_area
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.further_scans import FurtherScans
from ptycho_gui.train.job_script_dialog import JobScriptDialog
from ptycho_gui.train.jobs.settings_files import read_settings_job, write_files_job
from ptycho_gui.train.output_folder import OutputFolder
from ptycho_gui.train.settings_form import SettingsForm

_JSON = "Settings (*.json);;All files (*)"
_SCRIPT = "Scripts (*.sh);;All files (*)"


class TrainingPanel(QWidget):
    """Edits a `Draft`.

    Parameters
    ----------
    draft
        Holds the settings and the scan.
    parent
        Owner.
    """

    output_folder_changed = Signal(object)
    """Its `Path`, or None."""

    def __init__(self, draft: Draft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self._limits: JobLimits | None = None  # as asked for last
        self.folder = Path.home()
        """Where file dialogs begin."""
        self.output, self.further = OutputFolder(), FurtherScans(draft)
        self.form = SettingsForm(draft)
        self.note, self.done = ProblemNote(), QLabel(wordWrap=True)
        self._files = WorkerSlot(self)
        self._files.failed.connect(self._fail)
        self.load = self._button("&Load settings…", "load", "Take all settings from a file", self._choose_to_load)
        self.save = self._button("&Save settings…", "save", "Write all settings to a file", self._choose_to_save)
        self.reset = self._button("Rese&t all", "reset", "Give every setting its default", self._reset)
        self.copy = self._button("Copy co&mmand line", "copy", "Copy the command that trains alike", self._copy)
        self.script = self._button(
            "Save &job script…", "queue", "Write a script that trains alike on a cluster", self._choose_script
        )
        self._lay_out()
        self.setWhatsThis(
            "The settings of the next run. They are good as they are: choose a preset, and Start. A setting that you "
            "changed is marked with a dot and has a button that resets it. The buttons below keep the settings in a "
            "file, or give the same run as a command or as a job for a cluster with more devices."
        )
        self.output.changed.connect(self.output_folder_changed)
        self.output.looked_at.connect(draft.set_folder)
        draft.changed.connect(self._hear)
        self._hear()

    @property
    def output_folder(self) -> Path | None:
        """Where the next run goes; None while no folder is named."""
        return self.output.path

    @output_folder.setter
    def output_folder(self, path: Path) -> None:
        self.output.set_path(path)

    def renew_output_folder(self, taken: Collection[Path] = ()) -> None:
        """Propose a folder for the run after this one, as `OutputFolder.renew`."""
        self.output.renew(taken)

    def shut_down(self) -> None:
        """Wait for what is read and written."""
        self.output.shut_down()
        self.further.shut_down()
        self._files.shut_down()

    def load_settings(self, path: Path) -> None:
        """Take all settings from a file; what is wrong with it is shown."""
        self._files.start(read_settings_job(path), lambda settings: self._take(settings, path))

    def save_settings(self, path: Path) -> None:
        """Write all settings to a file."""
        config = self._draft.config()
        if config is not None:
            self._write({path: config.to_dict()}, f"Saved the settings as {path.name}.")

    def save_script(self, path: Path, limits: JobLimits) -> None:
        """Write a job script that asks for these limits, and whatever files its command needs."""
        made = self._command()
        config = self._draft.config()
        if made is None or config is None:
            return
        command, needed = made
        try:
            script = job_script(command, config, limits)
            self._write({path: script, **needed}, f"Saved {path.name}: submit it with sbatch.")
        except InputError as error:
            self._show_error(str(error))

    def _button(self, text: str, name: str, tip: str, slot: Callable[[], None]) -> QPushButton:
        button = QPushButton(icon(name), text, self)
        button.setToolTip(tip)
        button.clicked.connect(slot)
        return button

    def _lay_out(self) -> None:
        self.done.hide()
        buttons = QGridLayout()
        for place, button in enumerate((self.load, self.save, self.copy, self.script)):
            buttons.addWidget(button, place // 2, place % 2)
        column = QVBoxLayout(self)
        column.addWidget(self.output)
        column.addWidget(self.further)
        column.addWidget(scroll_area(self.form), 1)
        column.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignLeft)
        for widget in (self.note, self.done):
            column.addWidget(widget)
        column.addLayout(buttons)

    @Slot()
    def _hear(self) -> None:
        self.note.show_problems([])
        self.done.hide()
        looked = self._draft.looked
        wrong_with_folder = self._draft.problems_of("output_folder")
        self.output.note.show_problems(wrong_with_folder)
        self.output.look_again(bool(wrong_with_folder))
        self.output.show_scan(looked.scan.source.path if looked else None)
        wrong = "" if self._draft.config() else "Put right first what is marked as wrong."
        nothing = "" if self._draft.settings() or wrong else "Nothing is changed."
        no_scan = "" if looked else "Open a scan first."
        for button, reason in (
            (self.load, ""),
            (self.save, wrong),
            (self.reset, nothing),
            (self.copy, no_scan or wrong),
            (self.script, no_scan or wrong),
        ):
            allow(button, reason)

    @Slot()
    def _reset(self) -> None:
        self._draft.reset_all()

    @Slot()
    def _choose_to_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load settings", str(self.folder), _JSON)
        if name:
            self._remember(name)
            self.load_settings(Path(name))

    @Slot()
    def _choose_to_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save settings", str(self.folder / "settings.json"), _JSON)
        if name:
            self._remember(name)
            self.save_settings(Path(name))

    @Slot()
    def _choose_script(self) -> None:
        looked, config = self._draft.looked, self._draft.config()
        if looked is None or config is None:
            return
        needed = memory_of(config, looked.scan, looked.near).total
        dialog = JobScriptDialog(self._limits or proposed_limits(config, needed), self)
        if not dialog.exec():
            return
        self._limits = dialog.limits
        name, _ = QFileDialog.getSaveFileName(self, "Save job script", str(self.folder / "ptycho.sh"), _SCRIPT)
        if name:
            self._remember(name)
            self.save_script(Path(name), dialog.limits)

    def _remember(self, name: str) -> None:
        self.folder = Path(name).parent

    @Slot()
    def _copy(self) -> None:
        made = self._command()
        if made is None:
            return
        command, needed = made
        QGuiApplication.clipboard().setText(command)
        names = " and ".join(path.name for path in needed)
        self._write(needed, f"Copied the command line{f', which reads {names}' if names else ''}.")

    def _command(self) -> tuple[str, dict[Path, dict[str, Any]]] | None:
        """Return the command and the files that it needs; None, and say why, where there is none."""
        looked, folder = self._draft.looked, self.output.path
        if looked is None or folder is None:
            self._show_error("name a folder for the run")
            return None
        try:
            source, further = looked.scan.source, self._draft.further_files()
            return command_line(self._draft.used_settings(), source, folder, further), source.needed_files(folder)
        except InputError as error:
            self._show_error(str(error))
            return None

    def _write(self, files: dict[Path, Any], sentence: str) -> None:
        self._files.start(write_files_job(files), lambda paths: self._show_done(sentence))

    def _take(self, settings: dict[str, Any], path: Path) -> None:
        try:
            self._draft.load(settings)
        except InputError as error:
            self._show_error(str(error))
        else:
            self._show_done(f"Loaded {path.name}.")

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        self._show_error(failure.sentence)

    def _show_error(self, sentence: str) -> None:
        self.done.hide()
        self.note.show_problems([Problem("", sentence)])

    def _show_done(self, sentence: str) -> None:
        self.note.show_problems([])
        self.done.setText(sentence)
        self.done.show()
