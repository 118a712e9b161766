"""`Elsewhere`: the run that another process trains, while it is shown here, and jobs that are handed over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from ptycho_core.runs.follow import Follower
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.job import Job
from ptycho_core.runs.queue import Entry, QueuedRun
from ptycho_core.runs.record import RunInfo
from ptycho_core.runs.requests import Wish
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure, Progress
from ptycho_gui.kit.words import begun
from ptycho_gui.result.jobs.reconstruct import read_picture
from ptycho_gui.runs.jobs.follow import ask_job, follow_job
from ptycho_gui.train.jobs.submit import submit_job, submit_queue_job, wait_job


class Elsewhere(QObject):
    """Follows one run at a time through its folder, and asks there that it end."""

    heard = Signal(object)
    """Events of the run that is followed, in their order."""
    ended = Signal(object)
    """`RunInfo` of the run that was followed."""
    pictured = Signal(object)
    """`Reconstructed`: what the job that trained the run has made of it; None where it made nothing."""
    lost = Signal(str)
    """Why the run that was followed is no longer seen."""
    waiting = Signal(object)
    """The folder of the run whose job is waited for; None where that has ended before it began the run."""
    submitted = Signal()
    """Runs of the queue were handed over."""
    message = Signal(str, str)
    """Severity and sentence for the operator."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.history: RunHistory | None = None
        """Of the run that is followed; None for no such run."""
        self._follower: Follower | None = None
        self._following, self._waiting = WorkerSlot(self), WorkerSlot(self)
        self._asking, self._submitting, self._picturing = WorkerSlot(self), WorkerSlot(self), WorkerSlot(self)
        self._following.events.connect(self._hear)
        self._waiting.events.connect(self._tell_progress)
        self._following.failed.connect(self._lose)
        for slot in (self._waiting, self._asking, self._submitting, self._picturing):
            slot.failed.connect(self._tell_failure)
        self._waiting.failed.connect(lambda failure: self.waiting.emit(None))

    def follow(self, follower: Follower | None, history: RunHistory | None) -> None:
        """Hear of a run that another process trains; None for no such run."""
        self._following.cancel()
        self.history, self._follower = history, follower
        if follower is not None:
            process, name = follower.info.process, follower.info.folder.name
            told = f"{name} is trained by process {process.pid} on {process.host}: Stop and Cancel end it there."
            self.message.emit("info", told)
            self._following.start(follow_job(follower), self._end)

    def look_at(self, place: int) -> None:
        """Hear of the pictures of the scan at a place among those of the run that is followed."""
        if self._follower is not None:
            self._follower.scan = place

    def ask(self, folder: Path, wish: Wish) -> None:
        """Ask in the folder of a run that it end."""
        self._asking.start(ask_job(folder, wish), lambda asked: self.message.emit("info", f"{begun(asked)}."))

    def submit(self, queued: QueuedRun, then: Callable[[Path], object]) -> None:
        """Hand a run over as a job, and do something with its folder when the run has begun."""
        self._submitting.start(submit_job(queued), partial(self._wait_for_new, queued.folder, then))

    def submit_queue(self, path: Path) -> None:
        """Hand over what waits in the queue in a file."""
        self._submitting.start(submit_queue_job(path), self._tell_submitted)

    def wait_for(self, folder: Path, then: Callable[[Path], object]) -> None:
        """Do something with the folder of a run when the job that waits for it has begun it."""
        self.message.emit("info", f"{folder.name} is shown when its job has begun it.")
        self._wait(folder, then)

    def shut_down(self) -> None:
        """Leave off, and wait for the threads."""
        for slot in (self._following, self._waiting, self._asking, self._submitting, self._picturing):
            slot.shut_down()

    def _end(self, info: RunInfo) -> None:
        self.ended.emit(info)
        place = self._follower.scan if self._follower else 0
        self._picturing.start(read_picture(info.folder, place), self.pictured.emit)

    def _wait_for_new(self, folder: Path, then: Callable[[Path], object], job: Job) -> None:
        self.message.emit("info", f"Submitted as job {job.id}. {folder.name} is shown when its run begins.")
        self._wait(folder, then)

    def _wait(self, folder: Path, then: Callable[[Path], object]) -> None:
        self.waiting.emit(folder)
        self._waiting.start(wait_job(folder), then)

    def _tell_submitted(self, entries: list[Entry]) -> None:
        if entries:
            which = entries[0].reason if len(entries) == 1 else f"{entries[0].reason} to {entries[-1].reason}"
            self.message.emit("info", f"Submitted as {which}. Runs tells how they go on.")
            self.submitted.emit()

    @Slot(object)
    def _tell_progress(self, events: tuple[Any, ...]) -> None:
        for progress in (event for event in events if isinstance(event, Progress)):
            self.message.emit("info", f"{begun(progress.stage)}.")

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        self._tell_progress(events)
        self.heard.emit(tuple(event for event in events if not isinstance(event, Progress)))

    @Slot(object)
    def _tell_failure(self, failure: Failure) -> None:
        self.message.emit("error", failure.sentence)

    @Slot(object)
    def _lose(self, failure: Failure) -> None:
        self.lost.emit(failure.sentence)
