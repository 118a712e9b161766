"""`ResultActions`: what is done with checkpoints, reconstructions and other runs' curves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.errors import Problem
from ptycho_core.preprocessing import open_scan
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.note import Note
from ptycho_core.runs.record import RunInfo
from ptycho_gui.apply.apply_dialog import Application, ApplyDialog
from ptycho_gui.apply.model_choice import ModelChoice
from ptycho_gui.apply.watch_dialog import WatchDialog
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.result.export_checkpoint_dialog import ExportCheckpointDialog
from ptycho_gui.result.export_reconstruction_dialog import ExportReconstructionDialog
from ptycho_gui.result.jobs.course import Course, animation_job
from ptycho_gui.result.jobs.export import Page, export_checkpoint_job, export_reconstruction_job, page_job
from ptycho_gui.result.jobs.reconstruct import compare_with_training_job
from ptycho_gui.runs.checkpoints_panel import CheckpointsPanel
from ptycho_gui.runs.jobs.runs import OpenedRun, curves_of_run, read_note_job, remove_checkpoint_job, write_note_job
from ptycho_gui.runs.note_dialog import NoteDialog
from ptycho_gui.runs.runs_panel import RunsPanel
from ptycho_gui.train.curves_panel import CurvesPanel
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.session import Session

_ANIMATIONS = "Animated GIF (*.gif);;Animated PNG (*.png)"


class ResultActions(QObject):
    """Asks where results go, and hands the work to threads.

    Parameters
    ----------
    session
        Has run and reconstruction.
    checkpoints, runs, curves
        The panels that show them.
    preferences
        Knows folders and formats used last.
    window
        Over which dialogs appear.
    """

    watching = Signal()
    """A folder is watched from now on."""

    def __init__(
        self,
        session: Session,
        checkpoints: CheckpointsPanel,
        runs: RunsPanel,
        curves: CurvesPanel,
        preferences: Preferences,
        window: QWidget,
    ) -> None:
        super().__init__(window)
        self._session, self._shown = session, session.shown
        self._checkpoints, self._runs, self._curves = checkpoints, runs, curves
        self._preferences, self._window = preferences, window
        self._overlaid: dict[str, Path] = {}  # by what the curves call them
        self._to_overlay: list[Path] = []
        self._exporting_checkpoint, self._exporting, self._paging = (WorkerSlot(self) for _ in range(3))
        self._deleting, self._overlaying, self._comparing, self._noting = (WorkerSlot(self) for _ in range(4))
        self._comparing.ended.connect(self._end_comparing)
        self._exporting_checkpoint.succeeded.connect(self._tell_checkpoint)
        self._exporting.succeeded.connect(self._tell_files)
        self._deleting.succeeded.connect(session.keep_record)
        self._deleting.succeeded.connect(self._show_left)
        self._overlaying.succeeded.connect(self._overlay)
        self._overlaying.failed.connect(self._mark_what_is_overlaid)
        self._overlaying.ended.connect(self._read_next_overlay)
        for slot in self._slots:
            slot.failed.connect(self._show_failure)
        checkpoints.reconstruct_requested.connect(session.reconstruct)
        checkpoints.compare_requested.connect(session.compare)
        checkpoints.export_requested.connect(self.export_checkpoint)
        checkpoints.delete_requested.connect(self._delete)
        runs.note_requested.connect(self.write_note)
        runs.overlay_requested.connect(self._read_overlay)
        runs.remove_overlay_requested.connect(self._remove_overlay)
        curves.overlays_changed.connect(self._mark_overlaid)

    @property
    def _slots(self) -> tuple[WorkerSlot, ...]:
        return (
            self._exporting_checkpoint,
            self._exporting,
            self._deleting,
            self._overlaying,
            self._comparing,
            self._noting,
            self._paging,
        )

    def why_no_checkpoint(self) -> str | None:
        """Say why there is no best checkpoint; None if there is one."""
        return None if self._best() else "There is no checkpoint with a finite loss yet."

    def why_no_reconstruction(self) -> str | None:
        """Say that there is no reconstruction; None if there is one."""
        return None if self._shown.reconstruction else "There is no reconstruction yet."

    def _best(self) -> Path | None:
        return self._shown.run.history.best_checkpoint if self._shown.run else None

    def why_not_unpolished(self) -> str | None:
        """Say why it makes no difference to leave out polishing; None if it may."""
        if (reason := self.why_no_checkpoint()) or self._shown.run is None:
            return reason
        if ENGINES[self._shown.run.history.config.engine].polish_epochs:
            return None
        return "The direct engine's picture is not polished anyway."

    def reconstruct_best(self, polish_epochs: int | None = None) -> None:
        """Reconstruct with the best checkpoint."""
        if best := self._best():
            self._session.reconstruct(best, polish_epochs)

    def reconstruct_unpolished(self) -> None:
        """Reconstruct with the best checkpoint, and leave it at that."""
        self.reconstruct_best(0)

    def export_best(self) -> None:
        """Ask where the best checkpoint goes."""
        if best := self._best():
            self.export_checkpoint(best)

    @Slot(Path)
    def export_checkpoint(self, checkpoint: Path) -> None:
        """Ask where a checkpoint goes, and write it there."""
        run = self._shown.run
        epoch = run.history.epoch_of(checkpoint) if run else None
        name = f"{run.folder.name}-epoch-{epoch}.zip" if run and epoch is not None else f"{checkpoint.stem}.zip"
        dialog = ExportCheckpointDialog(checkpoint, self._folder() / name, self._window)
        if dialog.exec():
            target = dialog.target()
            self._preferences.set_folder("export", target.parent)
            self._exporting_checkpoint.start(export_checkpoint_job(checkpoint, target))

    @Slot()
    def export_reconstruction(self) -> None:
        """Ask where the reconstruction that is shown goes, and write it there."""
        reconstruction = self._shown.reconstruction
        if reconstruction is None or self._shown.folder is None:
            return
        formats = self._preferences.texts("export_formats") or ["npz", "tiff", "png"]
        dialog = ExportReconstructionDialog(self._folder(), formats, self._window)
        dialog.setWindowTitle(f"Export reconstruction: {self._shown.name}")
        if dialog.exec():
            self._preferences.set_folder("export", dialog.folder)
            self._preferences.set_texts("export_formats", dialog.formats)
            noted = self._shown.folder
            self._exporting.start(export_reconstruction_job(reconstruction, noted, dialog.folder, dialog.formats))

    @Slot(object)
    def export_animation(self, course: Course) -> None:
        """Ask where the course of a run goes as a moving picture, and write it there."""
        proposed = str(self._folder() / f"{course.name}.gif")
        name, _ = QFileDialog.getSaveFileName(self._window, "Export animation", proposed, _ANIMATIONS)
        if name:
            self._preferences.set_folder("export", Path(name).parent)
            self._exporting.start(animation_job(course, Path(name)))

    @Slot()
    def make_page(self) -> None:
        """Write the logbook page of what is shown beside it, and copy it."""
        if self._shown.reconstruction is not None and self._shown.folder is not None:
            self._paging.start(page_job(self._shown.reconstruction, self._shown.folder), self._copy_page)

    def _copy_page(self, page: Page) -> None:
        QGuiApplication.clipboard().setImage(page.picture)
        names = " and ".join(path.name for path in page.files)
        self._session.message.emit("info", f"Wrote {names} to {page.files[0].parent}; the page is on the clipboard.")

    def why_nothing_shown(self) -> str | None:
        """Say that neither a run nor a picture is shown; None if one is."""
        return None if self._shown.folder else "No run is shown yet."

    def note_shown(self) -> None:
        """Ask for a note on what is shown."""
        if folder := self._shown.folder:
            self.write_note(folder)

    @Slot(Path)
    def write_note(self, folder: Path) -> None:
        """Ask for a note on a run or a reconstruction, and write it into its folder."""
        self._noting.start(read_note_job(folder), partial(self._ask_note, folder))

    def _ask_note(self, folder: Path, note: Note) -> None:
        dialog = NoteDialog(folder.name, note, self._window)
        if dialog.exec():
            self._noting.start(write_note_job(folder, dialog.note), self._tell_note)

    def _tell_note(self, folder: Path) -> None:
        self._session.message.emit("info", f"Wrote the note to {folder}.")
        self._shown.recorded.emit()

    def apply(self) -> None:
        """Ask for a checkpoint and a scan, and reconstruct."""
        source = self._session.loader.source
        folder = self._folder() / (f"{source.file.stem}-applied" if source else "applied")
        checkpoint = self._best()
        looked = self._session.loader.looked
        models = ModelChoice(self._models_folder(), looked.scan) if looked else None
        dialog = ApplyDialog(checkpoint, source, folder, self._session.accelerator(), models, self._window)
        if dialog.exec():
            if models is not None and models.folder.path is not None:
                self._preferences.set_folder("models", models.folder.path)
            self._compare_and_apply(dialog.application())

    def watch(self) -> None:
        """Ask for a folder and a checkpoint, and watch it."""
        text, source = self._preferences.text("folder_watch"), self._session.loader.source
        dialog = WatchDialog(Path(text) if text else None, self._best(), source, self._window)
        if dialog.exec() and self._is_free():
            watched = dialog.watched()
            self._preferences.set_folder("watch", watched.folder)
            self._session.watch(watched)
            self.watching.emit()

    def _compare_and_apply(self, application: Application) -> None:
        """Reconstruct, once the operator knows in what the scan differs from that of the training."""
        source = application.source
        self._session.working.emit("comparing the scan with that of the training", None)
        job = compare_with_training_job(lambda: open_scan(source), application.checkpoint)
        self._comparing.start(job, partial(self._apply, application))

    def _apply(self, application: Application, differing: list[Problem]) -> None:
        if differing:
            listed = "\n".join(f"- {problem.message}" for problem in differing)
            question = (
                f"{application.checkpoint.name} was trained on another kind of scan:\n\n{listed}\n\n"
                "The picture may be poor. Reconstruct all the same?"
            )
            if not confirmed(self._window, "Apply", question, "&Reconstruct"):
                return
        if self._is_free():
            self._session.apply(application)

    def _is_free(self) -> bool:
        """Return whether a job can begin, as another one may have while the operator was asked; say why not."""
        if reason := self._session.why_busy():
            self._session.message.emit("warning", reason)
        return reason is None

    @Slot()
    def _end_comparing(self) -> None:
        if not self._session.busy:
            self._session.working.emit("", None)

    def shut_down(self) -> None:
        """Leave off what runs and wait for it."""
        for slot in self._slots:
            slot.shut_down()

    def _models_folder(self) -> Path:
        """Return the folder of models used last, or else where checkpoints are exported to."""
        return self._preferences.folder("models") if self._preferences.text("folder_models") else self._folder()

    def _folder(self) -> Path:
        """Return the folder used last, or else that of the run."""
        if self._preferences.text("folder_export"):
            return self._preferences.folder("export")
        return self._shown.run.folder if self._shown.run else self._preferences.folder("open")

    @Slot(Path)
    def _delete(self, checkpoint: Path) -> None:
        self._deleting.start(remove_checkpoint_job(checkpoint))

    @Slot(object)
    def _show_left(self, info: RunInfo) -> None:
        if self._shown.run is not None and self._shown.run.folder == info.folder:
            self._checkpoints.show_run(info)

    @Slot(Path)
    def _read_overlay(self, folder: Path) -> None:
        self._to_overlay.append(folder)
        if not self._overlaying.busy:
            self._read_next_overlay()

    @Slot()
    def _read_next_overlay(self) -> None:
        if self._to_overlay:
            self._overlaying.start(curves_of_run(self._to_overlay.pop(0)))

    @Slot(object)
    def _overlay(self, opened: OpenedRun) -> None:
        folder = opened.info.folder
        self._overlaid[_label(folder)] = folder
        self._curves.overlay(_label(folder), RunHistory.from_run(opened.info, opened.columns))

    @Slot(Path)
    def _remove_overlay(self, folder: Path) -> None:
        self._curves.remove_overlay(_label(folder))

    @Slot()
    def _mark_what_is_overlaid(self) -> None:
        self._mark_overlaid(self._curves.overlays)

    @Slot(object)
    def _mark_overlaid(self, labels: tuple[str, ...]) -> None:
        self._runs.set_overlaid({self._overlaid[label] for label in labels})

    @Slot(object)
    def _tell_checkpoint(self, path: Path) -> None:
        self._session.message.emit("info", f"Wrote the checkpoint to {path}.")

    @Slot(object)
    def _tell_files(self, files: list[Path]) -> None:
        names = ", ".join(path.name for path in files)
        self._session.message.emit("info", f"Wrote {names} to {files[0].parent}.")

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self._session.message.emit("error", failure.sentence)


def _label(folder: Path) -> str:
    """Return a name of a run that tells it from one of the same name elsewhere."""
    return f"{folder.parent.name}/{folder.name}"
