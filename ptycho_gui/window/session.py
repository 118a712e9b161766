"""`Session`: the one job at a time that computes, on what is open: a scan, settings, and the run that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import KNOBS
from ptycho_core.base.events import PartBegan, PreviewReady, ScanOver, Stage, StageChanged, Status, WatchTold
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.preprocessing import open_scan
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.queue import QueuedRun
from ptycho_core.runs.record import RunInfo
from ptycho_core.runs.requests import Wish
from ptycho_core.runs.trials import Outcome
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_gui.apply.apply_dialog import Application
from ptycho_gui.apply.jobs.watch import Watched, watch_job
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure, Job, Progress
from ptycho_gui.kit.words import begun
from ptycho_gui.result.jobs.best_picture import BestPictured, best_picture_job
from ptycho_gui.result.jobs.reconstruct import Reconstructed, Wanted, compare_job, reconstruct_job
from ptycho_gui.runs.jobs.runs import OpenedRun, open_run
from ptycho_gui.runs.queue import RunQueue
from ptycho_gui.scan.scan_loader import ScanLoader
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.jobs.search import tune_job
from ptycho_gui.train.jobs.train import record_job, resume_job, train_job
from ptycho_gui.window import sentences
from ptycho_gui.window.elsewhere import Elsewhere
from ptycho_gui.window.queue_turn import QueueTurn
from ptycho_gui.window.shown import IN_ORDER, Shown, ShownRun, shortcomings

_BUSY = "Another run can be opened when nothing runs any more."


class Session(QObject):
    """The window's one observable state: panels are shown what its signals tell, actions call its methods."""

    previewed = Signal(object)
    """`PreviewReady` of a picture that is being made: those of runs that train `Shown` tells."""
    trained = Signal(object)
    """`RunInfo` of a run that has ended, after its reconstruction has begun."""
    compared = Signal(object, object)
    """Two pairs of words and `Reconstruction`."""
    scans_reopened = Signal(object)
    """`RunInfo` of a run that was opened, once its first scan is open."""
    waiting = Signal(object)
    """As `Elsewhere.waiting`."""
    planned = Signal(object)
    """`PartBegan`: the part of a longer task that is done now; None when the task is over."""
    tried = Signal(object)
    """`Outcome` of a trial in a search of settings."""
    working = Signal(str, object)
    """What is done besides training, in words ("" when it is over), and the part that is done or None."""
    changed = Signal()
    """What may be done now may be other than before."""
    message = Signal(str, str)
    """Severity and sentence for the operator."""
    began = Signal()
    """A scan is being opened, or a job begins to compute: what was said before is out of date."""
    idle = Signal()
    """Nothing computes any more, and nothing is to follow."""

    def __init__(self, parent: QObject | None = None, queue_file: Path | None = None) -> None:
        super().__init__(parent)
        self.draft, self.loader, self.queue = Draft(self), ScanLoader(self), RunQueue(self, queue_file)
        self._elsewhere = Elsewhere(self)
        self.shown = Shown(self._elsewhere, self)
        self.training = False
        self.turn = QueueTurn(self.queue)
        self.closing = False
        self.at_work = ""
        """What computes, or did last, in words."""
        self._applied: ScanSource | None = None  # the scan of the picture that is being made, where that is of no run
        self._compute, self._reading, self._recording = WorkerSlot(self), WorkerSlot(self), WorkerSlot(self)
        self.loader.began.connect(self.began)
        self.loader.opened.connect(self._take_scan)
        self.loader.counted.connect(self._take_scan)
        self.draft.changed.connect(self.changed)
        self.queue.refused.connect(partial(self.message.emit, "error"))
        self._compute.events.connect(self._hear)
        self._compute.failed.connect(self._fail)
        self._compute.cancelled.connect(self._leave)
        self._compute.ended.connect(self._go_on)
        self._reading.failed.connect(self._fail_reading)
        self._recording.succeeded.connect(self.keep_record)
        for part in (self._elsewhere, self.shown):
            part.message.connect(self.message)
        self.shown.heard.connect(self.changed)
        self._elsewhere.submitted.connect(self.shown.recorded)
        self._elsewhere.waiting.connect(self.waiting)

    @property
    def busy(self) -> bool:
        """Whether something computes."""
        return self._compute.busy

    def why_busy(self) -> str | None:
        """Say that something computes; None if nothing does."""
        return f"{begun(self.at_work)} goes on: stop it first." if self.busy else None

    @property
    def to_end(self) -> str:
        """What a stop or a cancel ends, in words."""
        run = self.shown.run
        return f"the run {run.folder.name}" if run and self.shown.follows and not self.busy else self.at_work

    def why_idle(self) -> str | None:
        """Say that there is nothing to stop, here or in another process; None if there is."""
        return None if self.busy or self.shown.follows else "Nothing is running."

    def why_not_start(self) -> str | None:
        """Say why no training can start; None if one can."""
        return self.why_busy() or self.draft.reason_not_to_start()

    def why_not_resume(self) -> str | None:
        """Say why the run that is shown cannot go on; None if it may be tried."""
        if reason := self.why_busy():
            return reason
        info = self.shown.run.info if self.shown.run else None
        if info is None:
            return "Train first, or open a run in the history of runs."
        if self.shown.follows:
            return "The run goes on in another process."
        if not info.config.enable_checkpointing:
            return "The run kept no checkpoints."
        done, config = info.epochs_done, self.draft.config()
        if config is not None and done >= config.max_epochs:
            return f"All {done} epochs are done: to go on, raise Epochs in Training."
        return None

    def start(self, folder: Path) -> None:
        """Train on the open scan with the settings of the draft."""
        looked = self.loader.looked
        if looked is not None and self.why_not_start() is None:
            further = self.draft.further_files()
            self._train(QueuedRun(looked.scan.source, self.draft.settings(), folder, further), looked.scan)

    def submit(self, folder: Path) -> None:
        """Hand the run that the draft describes over, and show it when its job has begun it."""
        looked = self.loader.looked
        if looked is not None and self.draft.reason_not_to_submit() is None:
            settings, further = self.draft.used_settings(), self.draft.further_files()
            self._elsewhere.submit(QueuedRun(looked.scan.source, settings, folder, further), self.open_run)

    def submit_queue(self) -> None:
        """Hand over what waits in the queue, as one array of jobs."""
        if self.queue.path is not None:
            self._elsewhere.submit_queue(self.queue.path)

    def wait_for_run(self, folder: Path) -> None:
        """Show a run when the job that waits for it has begun it, or gone on with it."""
        self._elsewhere.wait_for(folder, self.open_run)

    def best_picture(self, folder: Path, minutes: float) -> None:
        """Make the best picture of the open scan that some minutes allow; the draft's device alone is asked."""
        source = self.loader.source
        if source is not None and self.why_busy() is None:
            job = best_picture_job(source, folder, minutes, self.accelerator())
            self._compute_job(job, self._show_best_picture, f"the best picture in {folder.name}")

    def search_settings(self, folder: Path, varied: dict[str, list[Any]], patterns: int) -> None:
        """Try settings on a part of the open scan; those that are not varied are the draft's."""
        looked = self.loader.looked
        if looked is not None and self.why_busy() is None:
            job = tune_job(looked.scan, folder, self.draft.settings(), varied, patterns)
            self._compute_job(job, self._show_search, f"the search in {folder.name}")

    def start_queue(self) -> None:
        """Train what waits, one run after another."""
        self.turn.active = True
        if not self.busy:
            self._go_on()

    def resume(self) -> None:
        """Go on with the run that is shown, with what the draft says otherwise of its settings."""
        run, config = self.shown.run, self.draft.config()
        if run is None or run.info is None or config is None or self.why_not_resume():
            return
        before = run.info.config
        changes = {name: getattr(config, name) for name in KNOBS if getattr(config, name) != getattr(before, name)}
        run.history.config = config
        self._begin(run)
        self._compute_job(resume_job(run.folder, changes), self._trained, f"the run {run.folder.name}")

    def pause_queue(self) -> None:
        """Begin no other run of the queue when the present one has ended."""
        self.turn.active = False
        self.changed.emit()

    def resume_run(self, folder: Path) -> None:
        """Open a run and go on with it, or say why it cannot."""
        self.open_run(folder, self._resume_or_say)

    def _resume_or_say(self, opened: OpenedRun) -> None:
        if reason := self.why_not_resume():
            self.message.emit("warning", reason)
        else:
            self.resume()

    def stop(self) -> None:
        """End what runs in good order, here or else in the process whose run is shown; the queue waits."""
        self.turn.active = False
        self._ask(Wish.STOP)
        self._compute.stop()
        if self.training:
            self.shown.hear((StageChanged(Stage.STOPPING),))

    def cancel(self) -> None:
        """End what runs at once, here or else in the process whose run is shown; the queue waits."""
        self.turn.active = False
        self._ask(Wish.CANCEL)
        self._compute.cancel()

    def _ask(self, wish: Wish) -> None:
        run = self.shown.run
        if run is not None and self.shown.follows and not self.busy:
            self._elsewhere.ask(run.folder, wish)

    def shut_down(self) -> None:
        """End everything, and wait for all threads."""
        self.loader.shut_down()
        for part in (self._reading, self._recording, self._elsewhere, self._compute):
            part.shut_down()

    def open_run(self, folder: Path, then: Callable[[OpenedRun], object] | None = None) -> None:
        """Show a run from its directory alone; its scan and its settings come with it.

        Parameters
        ----------
        folder
            Of the run.
        then
            Called when it is shown.
        """
        if self.busy:
            self.message.emit("warning", _BUSY)
            return
        self.working.emit(f"opening the run in {folder.name}", None)
        self._reading.start(open_run(folder), partial(self._show_opened, then))

    def show_scan(self, place: int) -> None:
        """Show the scan at a place among those of the run that is shown, and the picture that there is of it."""
        if (run := self.shown.run) is not None:
            self._reading.start(open_run(run.folder, place), self._show_scan)

    def reconstruct(self, checkpoint: Path, polish_epochs: int | None = None) -> None:
        """Reconstruct the scan that is shown of a run with one of its checkpoints, polished as its engine thinks."""
        if (run := self.shown.run) is not None:
            self._reconstruct(run, [run.place], checkpoint, polish_epochs)

    def _reconstruct(
        self, run: ShownRun, places: Iterable[int], checkpoint: Path, polish_epochs: int | None = None
    ) -> None:
        wanted = [Wanted(self.shown.reader(run, place), run.folder_of_scan(place), place) for place in places]
        job = reconstruct_job(wanted, checkpoint, polish_epochs=polish_epochs, accelerator=self.accelerator())
        self._make_pictures(job, f"the reconstruction in {run.folder.name}")

    def apply(self, application: Application) -> None:
        """Reconstruct any scan with a trained checkpoint."""
        source = application.source
        job = reconstruct_job(
            [Wanted(lambda: open_scan(source), application.folder)],
            application.checkpoint,
            polish_epochs=application.polish_epochs,
            accelerator=application.accelerator,
        )
        self._make_pictures(job, f"the reconstruction in {application.folder.name}", source)

    def watch(self, watched: Watched) -> None:
        """Show the scans that arrive in a folder, and reconstruct each, until stopped."""
        what = f"watching {watched.folder}"
        self._compute_job(watch_job(watched, self.accelerator()), self._end_watching, what)

    def with_scan_of_picture(self, then: Callable[[], object]) -> None:
        """Do something once the scan of the picture that is shown is open; it is opened where another one is."""
        source = self.shown.source_of_picture()
        if source is None or (self.loader.source and self.loader.source.path == source.path):
            then()
        else:
            self.loader.open(source, lambda looked: then())

    def take_settings_of_picture(self) -> None:
        """Let the draft have the settings of the run of the picture that is shown, where that is of one."""
        if self.shown.applied is None and self.shown.run and self.shown.run.info:
            self._load_settings(self.shown.run.info)

    def compare(self, first: Path, second: Path) -> None:
        """Reconstruct the scan of the run that is shown with two checkpoints, to look at both."""
        if (run := self.shown.run) is not None:
            named = tuple((run.history.name_of(path), path) for path in (first, second))
            job = compare_job(self.shown.reader(run, run.place), named, self.accelerator())
            self._compute_job(job, self._show_both, f"the comparison of {named[0][0]} with {named[1][0]}")

    def accelerator(self) -> str:
        """Return the device that the draft asks for."""
        config = self.draft.config()
        return config.accelerator if config else "auto"

    def _load_settings(self, info: RunInfo) -> None:
        self.draft.load({name: getattr(info.config, name) for name in KNOBS})

    def _train(self, queued: QueuedRun, scan: Scan | None = None) -> None:
        """Train as it is described, on its scan, which is at hand or is read, and on further ones."""
        names = [queued.source.name, *(path.name for path in queued.further)] if queued.further else []
        history = RunHistory(build_config(queued.settings), scans=names)
        self._begin(ShownRun(queued.folder, queued.source.path, history), scan)
        self._compute_job(train_job(queued, scan), self._trained, f"the run {queued.folder.name}")

    def _begin(self, run: ShownRun, scan: Scan | None = None) -> None:
        self.training = True
        self.shown.begin(run, scan)

    def _make_pictures(self, job: Job, what: str, applied: ScanSource | None = None) -> None:
        """Reconstruct scans of the run that is shown, or one that is of no run."""
        self._applied = applied
        self._compute_job(job, lambda done: None, what)

    def _compute_job(self, job: Job, then: Callable[[Any], None], what: str) -> None:
        self.at_work = what
        self.began.emit()
        self._compute.start(job, then)
        self.changed.emit()

    @Slot(object)
    def _take_scan(self, looked: Inspection) -> None:
        self.draft.set_scan(looked)

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        for event in events:
            if isinstance(event, PartBegan):
                self._begin_part(event)
            elif isinstance(event, Outcome):
                self.tried.emit(event)
            elif isinstance(event, WatchTold):
                self.message.emit("warning", f"{begun(event.message)}.")
            elif isinstance(event, Reconstructed):
                self.shown.take_picture(event, self._applied)
            elif isinstance(event, ScanOver):
                self.message.emit(*sentences.of_scan(event))
                self.shown.recorded.emit()
            elif self.training and not isinstance(event, Progress):
                continue  # what a run tells is heard below
            elif isinstance(event, PreviewReady):
                self.previewed.emit(event)
            elif (doing := sentences.doing(event)) is not None:
                self.working.emit(*doing)
        told = tuple(event for event in events if not isinstance(event, Progress | PartBegan | Outcome))
        if self.training and told:
            self.working.emit("", None)
            self.shown.hear(told)

    def _begin_part(self, part: PartBegan) -> None:
        """Go on with a task of several parts, of which some train, or with a run that has several itself."""
        if not part.run_dir:
            self.training = False
        elif part.config is not None:
            source = self.loader.source
            self._begin(ShownRun(Path(part.run_dir), source.path if source else None, RunHistory(part.config)))
        self.planned.emit(part)

    def _trained(self, info: RunInfo) -> None:
        """Keep the record, and show what the best checkpoint makes of each scan."""
        self._end_training(info.status, info.reason, "; ".join([info.reason, *shortcomings(info)]))
        self.keep_record(info)
        run, pictured = self.shown.run, info.status in IN_ORDER and not info.why_no_picture
        if run is not None and pictured and not self.closing:
            places = range(len(info.recorded_scans))
            self._reconstruct(run, places, info.best_checkpoint or info.last_checkpoint)
        self.trained.emit(info)

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        self.message.emit(*sentences.of_failure(failure.sentence, self.shown.run if self.training else None))
        self.turn.fail_picture(failure.sentence)
        self._break_off(Status.FAILED, failure.sentence)

    @Slot()
    def _leave(self) -> None:
        self._break_off(Status.CANCELLED, "cancelled before it began")

    def _break_off(self, status: Status, reason: str) -> None:
        """Note the end of a run that returned no record, and read what there is of one."""
        if self.training and self.shown.run is not None:
            self._end_training(status, reason)
            self._recording.start(record_job(self.shown.run.folder))

    def _end_training(self, status: Status, reason: str, remark: str = "") -> None:
        """Note the end of a run, of which no event has told if it had not begun; the queue is told the ``remark``."""
        self.training = False
        self.planned.emit(None)
        self.shown.end(status, reason)
        self.turn.end_training(status, remark or reason)
        self.shown.recorded.emit()

    @Slot(object)
    def keep_record(self, info: RunInfo) -> None:
        """Take what the record of the run that is shown says, which may have changed."""
        self.shown.take_record(info, ended=not self.training)  # a resumption that was refused has changed nothing

    @Slot()
    def _go_on(self) -> None:
        """Something has ended: take the next run of the queue, if it is being worked off."""
        self.working.emit("", None)
        self.planned.emit(None)
        shown, run = self.shown.run, self.turn.next()
        if shown is not None and shown.info is None:  # made by a task of several parts
            self._recording.start(record_job(shown.folder))
        if run is None:
            self.changed.emit()
            self.idle.emit()
        else:
            self._train(run)

    def _show_search(self, outcomes: list[Outcome]) -> None:
        """Say which trial is best."""
        self.training = False
        self.message.emit(*sentences.of_search(outcomes))
        self.shown.recorded.emit()

    def _end_watching(self, watched: Watched) -> None:
        self.message.emit("info", f"{watched.folder} is watched no more; the journal is in {watched.out}.")

    def _show_best_picture(self, best: BestPictured) -> None:
        """Show a picture and the last run that was made for it."""
        self.training = False
        self.keep_record(best.fits[-1])
        self.shown.take_picture(best.made)
        self.message.emit(*sentences.of_best_picture(best))

    def _show_both(self, both: tuple[Any, Any]) -> None:
        self.compared.emit(*both)

    def _show_scan(self, opened: OpenedRun) -> None:
        self.shown.show_scan(opened)
        if opened.problem:
            self.message.emit("warning", opened.problem)

    def _show_opened(self, then: Callable[[OpenedRun], object] | None, opened: OpenedRun) -> None:
        self.working.emit("", None)
        if self.busy:
            self.message.emit("warning", _BUSY)
            return
        info = opened.info
        self._load_settings(info)
        if info.scan.path:
            self.loader.open(info.scan.source, lambda looked: self.scans_reopened.emit(info))
        self.shown.open(opened)
        if opened.problem:
            self.message.emit("warning", opened.problem)
        elif info.status == Status.FAILED:
            self.message.emit("warning", f"{info.folder.name} has failed: {info.reason}.")
        self.changed.emit()
        if then is not None:
            then(opened)

    @Slot(object)
    def _fail_reading(self, failure: Failure) -> None:
        self.working.emit("", None)
        self.shown.heard.emit(())  # another scan may have been chosen, in vain
        self.message.emit("error", failure.sentence)
