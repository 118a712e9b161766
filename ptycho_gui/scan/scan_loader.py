"""`ScanLoader`: opens scans in a worker, and the present one again when the operator answers what it left open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from ptycho_core.base.errors import Fix, UnknownFormatError
from ptycho_core.base.file_state import FileState
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Step
from ptycho_gui.kit.jobs.load import count_all, load, watch
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure, Progress

_WATCH_EVERY_MS = 5000


class ScanLoader(QObject):
    """Knows which scan is open. One that cannot be opened leaves the one before as it was."""

    began = Signal()
    """A scan is being opened."""
    progressed = Signal(str, object)
    """What is done, in words, and the part that is done (0 to 1) or None."""
    opened = Signal(object)
    """`Inspection`."""
    counted = Signal(object)
    """`Inspection` of the same scan: now all of its patterns were looked at, which were too many to do so at once."""
    failed = Signal(str, str)
    """A sentence, and the file."""
    advised = Signal(object)
    """The `errors.Fix`es that may help, after ``failed``: `try_again` takes them."""
    unknown = Signal(object)
    """The path of a file of no known format, after ``failed``: a mapping may read it."""
    left = Signal()
    """Loading was cancelled."""
    changed = Signal(str)
    """What became of the scan's files on the disk since it was opened, once: `reload` opens them again."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.looked: Inspection | None = None
        self._asked: ScanSource | None = None
        self._loading, self._counting, self._watching = WorkerSlot(self), WorkerSlot(self), WorkerSlot(self)
        self._watch = QTimer(self, interval=_WATCH_EVERY_MS)  # network drives tell nobody of what is written there
        self._watch.timeout.connect(self.look_for_changes)
        self._loading.events.connect(self._hear)
        self._loading.succeeded.connect(self._show)
        self._loading.failed.connect(self._fail)
        self._loading.cancelled.connect(self.left)
        self._counting.succeeded.connect(self._show_counts)
        self._watching.succeeded.connect(self._tell_change)

    @property
    def busy(self) -> bool:
        """Whether a scan is being opened."""
        return self._loading.busy

    @property
    def source(self) -> ScanSource | None:
        """How the scan that is open is read again."""
        return self.looked.scan.source if self.looked else None

    @property
    def _latest(self) -> ScanSource | None:
        """What is being opened, or else what is open."""
        return self._asked if self.busy else self.source

    def open(self, source: ScanSource, then: Callable[[Inspection], object] | None = None) -> None:
        """Open a scan in the place of the present one.

        Parameters
        ----------
        source
            Where it is.
        then
            Called after ``opened``, if it is this scan that is opened.
        """
        self._asked = source
        self.began.emit()
        self.progressed.emit(f"Opening {source.file.name}", None)
        self._loading.start(load(source), then)

    def answer(self, key: str, value: str) -> None:
        """Open the scan again with one more setting of `scan.settings.SETTINGS`."""
        if source := self._latest:
            self.open(dataclasses.replace(source, settings={**source.settings, key: value}))

    def withdraw(self, key: str) -> None:
        """Open the scan again without the answer to one of `scan.settings.SETTINGS`."""
        if source := self._latest:
            left = {name: value for name, value in source.settings.items() if name != key}
            self.open(dataclasses.replace(source, settings=left))

    def fix(self, fix: Fix, then: Callable[[Inspection], object] | None = None) -> None:
        """Open the scan that is open again, with an answer or a step more; ``then`` as for `open`."""
        if source := self._latest:
            self.open(source.fixed(fix), then)

    def try_again(self, fix: Fix) -> None:
        """Open the file that could not be opened again, with an answer or a step more."""
        if self._asked is not None:
            self.open(self._asked.fixed(fix))

    def set_steps(self, steps: tuple[Step, ...], then: Callable[[Inspection], object] | None = None) -> None:
        """Open the scan again with other preprocessing; ``then`` as of `open`."""
        if source := self._latest:
            self.open(dataclasses.replace(source, steps=steps), then)

    def reload(self) -> None:
        """Open the scan again as it is on the disk now."""
        if self.source:
            self.open(self.source)

    @Slot()
    def look_for_changes(self) -> None:
        """Look whether another program has changed the scan's files, in a thread; it looks every few seconds."""
        if self.looked is not None and not self._watching.busy:
            self._watching.start(watch(self.looked.scan.files))

    def cancel(self) -> None:
        """Leave off opening."""
        self._loading.cancel()

    def shut_down(self) -> None:
        """Leave off everything and wait."""
        self._watch.stop()
        self._watching.shut_down()
        self._loading.shut_down()
        self._counting.shut_down()

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self.progressed.emit(event.stage, event.done / event.total if event.total else None)

    @Slot(object)
    def _show(self, looked: Inspection) -> None:
        self.looked = looked
        if looked.scan.files and not looked.scan.growing:
            self._watch.start()
        else:
            self._watch.stop()
        self.opened.emit(looked)
        if len(looked.seen.rows) < len(looked.scan):
            self._counting.start(count_all(looked))
        else:
            self._counting.cancel()

    @Slot(object)
    def _tell_change(self, seen: tuple[tuple[FileState, ...], str]) -> None:
        files, sentence = seen
        if sentence and self._watch.isActive() and self.looked is not None and self.looked.scan.files is files:
            self._watch.stop()
            self.changed.emit(sentence)

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        assert self._asked is not None
        self.failed.emit(failure.sentence, str(self._asked.file))
        self.advised.emit(failure.fixes)
        if issubclass(failure.kind, UnknownFormatError):
            self.unknown.emit(self._asked.file)

    @Slot(object)
    def _show_counts(self, looked: Inspection) -> None:
        self.looked = looked
        self.counted.emit(looked)
