"""Jobs on run directories: list those of a folder, open one, delete a checkpoint or a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QFile, QSize, Qt
from PySide6.QtGui import QImage, QImageReader

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import PreviewReady, Status, StopToken
from ptycho_core.base.verdict import Verdict, verdict_in
from ptycho_core.runs.follow import Follower
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.listing import Found, Kind, find_listed, info_of, kind_of, stamp_of
from ptycho_core.runs.note import Note, read_note, write_note
from ptycho_core.runs.record import RunInfo, read_metrics, read_run
from ptycho_core.runs.removal import remove_checkpoint, set_apart
from ptycho_core.runs.results import find_results, free_misfit_of_checkpoints, read_newest, verdict_of
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_gui.kit.threads.worker import Job, Progress

_PICTURE_SIDE = 320


@dataclass(frozen=True, eq=False)
class ListedRun:
    """A run as a list shows it.

    Parameters
    ----------
    found
        Its record, or why there is none: it waits for its job, or is broken; or that a job is to go on with it.
    free_misfit
        Of its newest reconstruction, where that is of its own scan.
    picture
        The phase of that reconstruction, small.
    verdict
        On its picture; None before there is one.
    note
        Of the operator.
    """

    found: Found
    free_misfit: float | None = None
    picture: QImage | None = None
    verdict: Verdict | None = None
    note: Note = field(default_factory=Note)

    @property
    def info(self) -> RunInfo | None:
        """Its record; None where there is none to read."""
        return info_of(self.found)

    @property
    def kind(self) -> Kind:
        """What it is to its operator."""
        return kind_of(self.found.folder)

    @property
    def goes_on(self) -> bool:
        """Whether what is told of it may be another the next moment."""
        return self.found.status in (Status.RUNNING, "waiting")


@dataclass(frozen=True, eq=False)
class RunList:
    """The runs of a folder, what waits first and then the newest, and the `stamp_of` the folder before it was read."""

    runs: list[ListedRun]
    stamp: frozenset[tuple[Path, int]]


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """All that the window shows of a run.

    Parameters
    ----------
    info
        Its record.
    place
        Of the scan, among those of the run, that reconstruction and misfits are of.
    columns
        Of its metrics.csv.
    reconstruction
        The newest, or None.
    free_misfit
        By checkpoint, where it is known.
    problem
        Why the reconstruction that is there cannot be shown; or empty.
    follower, heard, preview
        Of a run that another process trains: who reads on in its folder, what was heard of it until now, and the newest
        picture, if it keeps any.
    """

    info: RunInfo
    place: int = 0
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    reconstruction: Reconstruction | None = None
    free_misfit: dict[Path, float] = field(default_factory=dict)
    problem: str = ""
    follower: Follower | None = None
    heard: RunHistory | None = None
    preview: PreviewReady | None = None

    @property
    def verdict(self) -> Verdict | None:
        """On the run's picture: that of the newest reconstruction, or else of its end."""
        told = verdict_in(self.reconstruction.metrics) if self.reconstruction else None
        return told or self.info.of_scan(self.place).verdict


def list_runs(folder: Path) -> Job:
    """Find the runs in a folder and below it, with their pictures. Result: `RunList`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> RunList:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}")
        stamp, listed = stamp_of(folder), []
        for found in find_listed(folder):
            token.leave_if_cancelled()
            listed.append(_listed(found))
        return RunList(listed, stamp)

    return job


def stamp_of_runs(folder: Path) -> Job:
    """Find out whether anything in the runs of a folder is another. Result: as `RunList.stamp`."""
    return lambda emit, token: stamp_of(folder)


def open_run(folder: Path, place: int = 0) -> Job:
    """Read everything that a run directory tells, with the picture of its scan at a place. Result: `OpenedRun`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> OpenedRun:
        emit(Progress("reading the run"))
        info, columns = read_run(folder), read_metrics(folder)
        token.leave_if_cancelled()
        reconstruction, problem = _newest_reconstruction(info.folder_of_scan(place))
        opened = OpenedRun(info, place, columns, reconstruction, free_misfit_of_checkpoints(info, place), problem)
        if info.status != Status.RUNNING:
            return opened
        follower = Follower(folder)
        follower.scan = place
        events = follower.look()
        heard = RunHistory.from_events(follower.info, events)
        preview = next((event for event in events if isinstance(event, PreviewReady)), None)
        return dataclasses.replace(opened, info=follower.info, follower=follower, heard=heard, preview=preview)

    return job


def curves_of_run(folder: Path) -> Job:
    """Read the numbers of a run alone. Result: `OpenedRun` without a reconstruction."""
    return lambda emit, token: OpenedRun(read_run(folder), columns=read_metrics(folder))


def remove_checkpoint_job(path: Path) -> Job:
    """Delete a checkpoint of a run that is over. Result: the run's `RunInfo` without it."""
    return lambda emit, token: remove_checkpoint(path)


def read_note_job(folder: Path) -> Job:
    """Read the operator's note on a run or a reconstruction. Result: `Note`."""
    return lambda emit, token: read_note(folder)


def write_note_job(folder: Path, note: Note) -> Job:
    """Write the operator's note on a run or a reconstruction. Result: the folder."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        write_note(folder, note)
        return folder

    return job


def trash_run(folder: Path) -> Job:
    """Move a run that is over, and nothing else that is in its folder, to the trash. Result: the folder moved."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        emit(Progress(f"moving {folder.name} to the trash"))
        apart = set_apart(folder)
        if not QFile(str(apart)).moveToTrash():
            raise PtychoError(f"{apart} cannot be moved to the trash: its disk may have none. Delete it by hand")
        return folder

    return job


def _listed(found: Found) -> ListedRun:
    if (info := info_of(found)) is None:
        return ListedRun(found)
    results = find_results(found.folder)
    verdict, note = verdict_of(info, results), read_note(found.folder)
    if not results:
        return ListedRun(found, verdict=verdict, note=note)
    told = results[0].metrics
    free_misfit = told.get("free_misfit") if told.get("same_scan") else None
    reader = QImageReader(str(results[0].folder / "phase.png"))
    if reader.canRead():
        wanted = QSize(_PICTURE_SIDE, _PICTURE_SIDE)
        reader.setScaledSize(reader.size().scaled(wanted, Qt.AspectRatioMode.KeepAspectRatio))
    picture = reader.read()
    return ListedRun(found, free_misfit, None if picture.isNull() else picture, verdict, note)


def _newest_reconstruction(folder: Path) -> tuple[Reconstruction | None, str]:
    try:
        return read_newest(folder), ""
    except PtychoError as error:
        return None, str(error)
