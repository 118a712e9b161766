"""`LatestSlot`: jobs that are asked for faster than they are done, as by a slider."""

from __future__ import annotations

from PySide6.QtCore import QObject, Slot

from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Job


class LatestSlot(WorkerSlot):
    """A slot whose jobs come to their end; of those asked for meanwhile, only the latest is done after that."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: Job | None = None
        self.ended.connect(self._go_on)

    def ask(self, job: Job) -> None:
        """Do a job as soon as the present one is done, in the place of any that waits."""
        self._waiting = job
        if not self.busy:
            self._go_on()

    def shut_down(self) -> None:
        """Drop what waits, and wait for what runs."""
        self._waiting = None
        super().shut_down()

    @Slot()
    def _go_on(self) -> None:
        if self._waiting is not None:
            job, self._waiting = self._waiting, None
            self.start(job)
