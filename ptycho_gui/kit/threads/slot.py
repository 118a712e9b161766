"""`WorkerSlot`: a place for one worker at a time, whose signals are those of the present one alone."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from ptycho_gui.kit.threads.worker import Continuation, Job, Worker


class WorkerSlot(QObject):
    """Runs one job at a time; a new one replaces, and cancels, the one before.

    The signals are those of `Worker`; what a replaced worker still says is dropped. What follows from one job alone
    is given with it: it is forgotten with the job if that fails, is cancelled or replaced.
    """

    events = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    ended = Signal()
    """The present worker's thread is gone; its outcome was told before."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Worker | None = None
        self._alive: list[Worker] = []  # a QThread that is destroyed while it runs takes the program with it

    @property
    def busy(self) -> bool:
        """Whether a job is at work."""
        return self._worker is not None

    def start(self, job: Job, then: Continuation | None = None) -> None:
        """Begin a job; the one before is cancelled and forgotten.

        Parameters
        ----------
        job
            What to do.
        then
            Called with the result, in this thread and after ``succeeded``, if the job succeeds in its place.
        """
        self.cancel()
        worker = self._worker = Worker(job, then)
        self._alive.append(worker)
        worker.events.connect(self._tell_events)
        worker.succeeded.connect(self._tell_success)
        worker.failed.connect(self._tell_failure)
        worker.cancelled.connect(self._tell_cancelled)
        worker.finished.connect(self._clear)
        worker.start()

    def stop(self) -> None:
        """Ask the job for an orderly end."""
        if self._worker:
            self._worker.token.stop()

    def cancel(self) -> None:
        """Ask the job to leave at once."""
        if self._worker:
            self._worker.token.cancel()

    def shut_down(self) -> None:
        """Cancel whatever runs and wait for it; nothing more is told."""
        self._worker = None
        for worker in self._alive:
            worker.token.cancel()
        for worker in self._alive:
            worker.wait()

    @Slot(object)
    def _tell_events(self, events: object) -> None:
        if self.sender() is self._worker:
            self.events.emit(events)

    @Slot(object)
    def _tell_success(self, result: object) -> None:
        worker = self._worker
        if worker is not None and self.sender() is worker:
            self.succeeded.emit(result)
            if worker.then is not None:
                worker.then(result)

    @Slot(object)
    def _tell_failure(self, failure: object) -> None:
        if self.sender() is self._worker:
            self.failed.emit(failure)

    @Slot()
    def _tell_cancelled(self) -> None:
        if self.sender() is self._worker:
            self.cancelled.emit()

    @Slot()
    def _clear(self) -> None:
        worker = self.sender()
        if not isinstance(worker, Worker):
            return
        self._alive.remove(worker)
        worker.deleteLater()
        if worker is self._worker:
            self._worker = None
            self.ended.emit()
