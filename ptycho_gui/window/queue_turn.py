"""`QueueTurn`: whose turn it is in the queue, while that is worked off, and what the queue is told of it."""

from __future__ import annotations

from ptycho_core.base.events import Status
from ptycho_core.runs.queue import Entry, QueuedRun, QueueState, state_after
from ptycho_gui.runs.queue import RunQueue


class QueueTurn:
    """Takes runs from the queue one after another, as long as it is ``active``.

    A run has its turn until its picture is made: so long it can fail.

    Parameters
    ----------
    queue
        Worked off.
    """

    def __init__(self, queue: RunQueue) -> None:
        self._queue = queue
        self.active = False
        self._trains: Entry | None = None
        self._pictured: Entry | None = None  # has been trained, and is being reconstructed

    def next(self) -> QueuedRun | None:
        """Return the run that is to be trained now; where there is none, the queue is worked off no more."""
        self._pictured = None
        self._trains = self._queue.next() if self.active else None
        self.active = self._trains is not None
        return self._trains.run if self._trains else None

    def end_training(self, status: Status, remark: str) -> None:
        """Tell the queue how the training of the run has ended whose turn it is, if it is one's."""
        if (entry := self._trains) is None:
            return
        self._queue.end(entry, state_after(status), remark)
        self._pictured, self._trains = entry, None

    def fail_picture(self, sentence: str) -> None:
        """Tell the queue that a run of it was trained and has no picture, if the failure is of such a run."""
        if self._pictured is not None:
            self._queue.end(self._pictured, QueueState.FAILED, f"trained, but not reconstructed: {sentence}")
