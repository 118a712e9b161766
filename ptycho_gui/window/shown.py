"""`Shown`: the run that the window shows, and the picture, whether these go on here, elsewhere, or no more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from ptycho_core.base.events import Status
from ptycho_core.base.verdict import verdict_in
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.record import RunInfo, read_run
from ptycho_core.runs.recorded_scan import open_recorded
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_gui.result.jobs.reconstruct import Reconstructed
from ptycho_gui.runs.jobs.runs import OpenedRun
from ptycho_gui.window.elsewhere import Elsewhere

IN_ORDER = (Status.FINISHED, Status.STOPPED)
"""How a run ends that leaves a picture."""


@dataclass(frozen=True, eq=False)
class ShownRun:
    """Where a run is, of which scan, its numbers, its record once that was read, and the place of the scan shown."""

    folder: Path
    scan: Path | None
    history: RunHistory
    info: RunInfo | None = None
    place: int = 0

    @property
    def scans(self) -> tuple[str, ...]:
        """The names of several scans, once the run has a folder to tell of each."""
        return self.history.scans if self.info or self.history.device else ()

    @property
    def scan_name(self) -> str:
        """The name of the scan that is looked at; empty where the run has no other."""
        return self.history.scans[self.place] if self.history.scans else ""

    def folder_of_scan(self, place: int) -> Path:
        """Return the folder of what is made of the scan at a place among those of the run."""
        return self.info.folder_of_scan(place) if self.info else self.folder

    def has_beside(self, folder: Path) -> bool:
        """Tell whether a folder is of another scan of the run than the one that is looked at."""
        others = set(range(len(self.info.recorded_scans) if self.info else 1)) - {self.place}
        return folder in map(self.folder_of_scan, others)


def shortcomings(info: RunInfo) -> list[str]:
    """Return what an operator has to know of a run that has ended, beside the reason why it did."""
    missing = info.why_no_picture if info.status in IN_ORDER else ""
    return [*([f"there is no picture, as {missing}"] if missing else []), *info.rollbacks]


class Shown(QObject):
    """One run and one picture, which need not be of that run.

    Parameters
    ----------
    elsewhere
        Follows the run where another process trains it.
    parent
        Owner.
    """

    run_shown = Signal(object)
    """`ShownRun`: another run, or the same from the beginning."""
    run_opened = Signal(object)
    """`OpenedRun`: after ``run_shown``, where it was read from its directory."""
    scan_shown = Signal(object)
    """`OpenedRun`: another scan of the run, with its picture."""
    heard = Signal(object)
    """Events of the run, in their order; none where something else of it is other than before."""
    reconstructed = Signal(object)
    """`Reconstructed`: another picture."""
    recorded = Signal()
    """The run or its results on the disk are other than before."""
    message = Signal(str, str)
    """Severity and sentence for the operator."""

    def __init__(self, elsewhere: Elsewhere, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run: ShownRun | None = None
        self.reconstruction: Reconstruction | None = None
        self.label = ""
        """What the picture was made with, in words; empty where that is not known."""
        self.folder: Path | None = None
        """Of the run, or of the picture where that is of none."""
        self.applied: ScanSource | None = None
        """The scan of the picture, where that is of no run."""
        self._scan: Scan | None = None  # of the run, where it is at hand
        self._elsewhere = elsewhere
        elsewhere.heard.connect(self._hear_elsewhere)
        elsewhere.ended.connect(self._end_elsewhere)
        elsewhere.pictured.connect(self._take_picture_of_job)
        elsewhere.lost.connect(self._lose_sight)

    @property
    def name(self) -> str:
        """What is shown, in words."""
        folder = self.folder.name if self.folder else ""
        return f"{folder}: {self.label}" if self.label else folder

    @property
    def follows(self) -> bool:
        """Whether the run goes on in another process."""
        return self.run is not None and self.run.history is self._elsewhere.history

    def begin(self, run: ShownRun, scan: Scan | None = None) -> None:
        """Show a run that begins here, or goes on, and keep its scan at hand."""
        self._elsewhere.follow(None, None)
        self.run = dataclasses.replace(run, place=0)
        self._scan, self.applied, self.folder = scan, None, run.folder
        if run.info is None:
            self.reconstruction = None
        self.run_shown.emit(self.run)

    def open(self, opened: OpenedRun) -> None:
        """Show a run as its directory tells of it, and hear of it if another process trains it."""
        info = opened.info
        history = opened.heard or RunHistory.from_run(info, opened.columns)
        history.verdict = opened.verdict
        self.run = ShownRun(info.folder, info.scan.path, history, info)
        self.reconstruction, self.label, self.folder = opened.reconstruction, "", info.folder
        self.applied = self._scan = None
        self.run_shown.emit(self.run)
        self.run_opened.emit(opened)
        self._elsewhere.follow(opened.follower, opened.heard)
        if opened.preview is not None:
            self.heard.emit((opened.preview,))

    def show_scan(self, opened: OpenedRun) -> None:
        """Show another scan of the run, and the picture that there is of it."""
        if self.run is None or self.run.folder != opened.info.folder:
            return
        self.run = dataclasses.replace(self.run, place=opened.place)
        self.run.history.verdict = opened.verdict
        self.reconstruction, self.label, self.applied = opened.reconstruction, "", None
        self.folder = opened.info.folder_of_scan(opened.place)
        self._elsewhere.look_at(opened.place)
        self.scan_shown.emit(opened)
        self.heard.emit((opened.preview,) if opened.preview else ())

    def hear(self, events: tuple[Any, ...]) -> None:
        """Add up and tell what a run says as it goes on."""
        if self.run is not None and events:
            for event in events:
                self.run.history.hear(event)
            self.heard.emit(events)

    def end(self, status: Status, reason: str) -> None:
        """Note the end of the run, of which no event has told if it had not begun."""
        if self.run is not None:
            self.run.history.end(status, reason)
            self.heard.emit(())

    def take_record(self, info: RunInfo, ended: bool = True) -> None:
        """Take what a record says, if it is that of the run; of one that has not ended it changes no numbers."""
        if self.run is None or self.run.folder != info.folder:
            return
        if ended:
            self.run.history.end(info.status, info.reason)
            self.run.history.checkpoints = info.checkpoints
        self.run = dataclasses.replace(self.run, info=info)
        self.heard.emit(())

    def take_picture(self, made: Reconstructed, applied: ScanSource | None = None) -> None:
        """Show a picture that was made of the run, or of a scan by a checkpoint of another.

        That of another scan of the run than is looked at waits in its place.
        """
        if applied is None and self.run and self.run.has_beside(made.folder):
            self.recorded.emit()
            return
        self.reconstruction, self.folder, self.applied = made.reconstruction, made.folder, applied
        metrics = made.reconstruction.metrics
        polished = f", polished for {metrics['polish_epochs']} epochs" if metrics["polish_epochs"] else ""
        name = self.run.history.name_of(made.checkpoint) if self.run else made.checkpoint.name
        self.label = f"{name}{polished}"
        if self.run is not None and applied is None:
            self.run.history.verdict = verdict_in(metrics)
            self.heard.emit(())
        self.reconstructed.emit(made)
        self.recorded.emit()

    def reader(self, run: ShownRun, place: int) -> Callable[[], Scan]:
        """Return how to come by the scan at a place among those of the run that is shown."""
        scan = None if place else self._scan
        return lambda: scan or open_recorded(read_run(run.folder).of_scan(place).scan)

    def source_of_picture(self) -> ScanSource | None:
        """Return of which scan the picture is, if that is known."""
        record = self.run.info.of_scan(self.run.place).scan if self.run and self.run.info else None
        return self.applied or (record.source if record and record.path else None)

    @Slot(object)
    def _hear_elsewhere(self, events: tuple[Any, ...]) -> None:
        if self.follows:
            self.hear(events)

    @Slot(object)
    def _end_elsewhere(self, info: RunInfo) -> None:
        if self.run is None or not self.follows:
            return
        self._elsewhere.history = None
        self.run = dataclasses.replace(self.run, folder=info.folder)  # a later run may have taken the first
        self.take_record(info)
        self.recorded.emit()
        if info.status in (Status.FAILED, Status.INTERRUPTED):
            self.message.emit("error", f"{info.folder.name} is {info.status}: {info.reason}.")

    @Slot(object)
    def _take_picture_of_job(self, made: Reconstructed | None) -> None:
        """Show what the job that trained the run has made of it, unless something else is shown by now."""
        run = self.run
        if made is not None and run and run.folder_of_scan(run.place) == made.folder and self.applied is None:
            self.take_picture(made)

    @Slot(str)
    def _lose_sight(self, sentence: str) -> None:
        if self.follows:
            self._elsewhere.history = None
            self.end(Status.INTERRUPTED, sentence)
        self.message.emit("error", sentence)
