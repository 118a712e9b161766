"""What a run directory tells: one run's record, all runs below a folder, a run's metrics. No torch here."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import CheckpointRemoved, CheckpointSaved, Status
from ptycho_core.base.process import ProcessMark
from ptycho_core.base.verdict import Verdict
from ptycho_core.runs.recorded_scan import RecordedScan

RECORD = "run.json"
NOTE = "note.json"
EVENTS = "events.jsonl"
CHECKPOINTS = "checkpoints"
PREVIEWS = "previews"
WARM_START = "warm_start.ckpt"
"""The direct engine's object and probe from which a network began, as a checkpoint of that engine."""
RECONSTRUCTION = "reconstruction"
SCANS = "scans"
"""A folder for each scan of a run on several beside the first: what is made of it."""
LOGS = "lightning_logs"
JOB = "job"
"""What a job was handed over with, and what it prints; not of one run."""
PREVIOUS = "previous"


@dataclass(frozen=True)
class FurtherScan:
    """A scan that a network is trained on beside the first, with what `RunInfo` has of that one."""

    scan: RecordedScan
    free_indexes: tuple[int, ...]
    validation_indexes: tuple[int, ...]
    picture_chosen: str = ""
    checks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True)
class RunInfo:
    """What a run directory tells of its run.

    Parameters
    ----------
    folder
        The run directory: ``out``, or ``out/previous/version_<k>`` of an earlier run.
    status, reason
        How it is, and why.
    command
        The command line that does the same again.
    scan, test_scan
        On which it was trained, and which validated it in place of a part of that.
    further_scans
        On which it was trained too.
    free_indexes, validation_indexes
        Places in ``scan`` of the patterns that nothing saw, and of those that validated.
    started, updated, ended
        Times, UTC.
    process
        That trains or trained.
    log_version
        k of ``lightning_logs/version_<k>``.
    checkpoints
        The files in ``checkpoints/``; ranks are up to date.
    probe_search
        What the search for the beam found, in a sentence; empty where there was none.
    own_probe_left
        Whether the run began with what it found in place of the scan's own probe.
    modes_chosen
        How many probe modes were chosen, and why, in a sentence; empty where their number was given.
    picture_chosen
        Whether the network's picture or that of its warm start explains the validation patterns better, in a sentence.
    epochs_done
        Over all its resumptions.
    metrics
        The latest, by their names in metrics.csv.
    checks
        What each knob that stood at ``check`` was found to be worth, by its name: `events.RefinementChecked`.
    verdict
        On the picture as the run ended; that of a reconstruction is in its metrics.
    rollbacks
        For each time that the run diverged and went back to its best state, what was seen, in a sentence.
    resumed
        For each time that the run was resumed: when, from which status, by which command, after how many seconds.
    """

    LAYOUT: ClassVar[int] = 1

    folder: Path
    config: Config
    command: str
    scan: RecordedScan
    process: ProcessMark
    log_version: int
    started: datetime
    updated: datetime
    test_scan: RecordedScan | None = None
    further_scans: tuple[FurtherScan, ...] = ()
    status: Status = Status.RUNNING
    reason: str = ""
    ended: datetime | None = None
    device: str = ""
    probe_search: str = ""
    own_probe_left: bool = False
    modes_chosen: str = ""
    picture_chosen: str = ""
    epochs_done: int = 0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    free_indexes: tuple[int, ...] = ()
    validation_indexes: tuple[int, ...] = ()
    best_checkpoint: Path | None = None
    checkpoints: tuple[CheckpointSaved, ...] = ()
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None
    rollbacks: tuple[str, ...] = ()
    resumed: tuple[dict[str, str], ...] = ()

    @property
    def scan_names(self) -> list[str]:
        """What the scans that it was trained on are called."""
        return [one.path.name if one.path else "in memory" for one in self.recorded_scans]

    @property
    def recorded_scans(self) -> list[RecordedScan]:
        """All scans that it was trained on, the first one first."""
        return [self.scan, *(further.scan for further in self.further_scans)]

    def of_scan(self, place: int) -> RunInfo | FurtherScan:
        """Return what is known of the scan at a place, from 0: of the first one the record itself tells."""
        return self.further_scans[place - 1] if place else self

    def folder_of_scan(self, place: int) -> Path:
        """Return the folder of what is made of the scan at a place: the run's own for the first one."""
        return folder_of_scan(self.folder, place, self.recorded_scans[place].path)

    @property
    def taken_s(self) -> float:
        """Seconds that the run has taken, over all of its resumptions; records of version 0.1 know the last alone."""
        return self.session_s + (float(self.resumed[-1].get("taken_s", 0.0)) if self.resumed else 0.0)

    @property
    def session_s(self) -> float:
        """Seconds that it has taken since it began, or was resumed last."""
        began = datetime.fromisoformat(self.resumed[-1]["at"]) if self.resumed else self.started
        return ((self.ended or self.updated) - began).total_seconds()

    @property
    def logs(self) -> Path:
        """Folder of metrics.csv and hparams.yaml."""
        root = self.folder.parent.parent if self.folder.parent.name == PREVIOUS else self.folder
        return root / LOGS / f"version_{self.log_version}"

    @property
    def best_value(self) -> float | None:
        """The monitored metric of the best checkpoint, or else of the last epoch; None where neither is known."""
        best = [saved.value for saved in self.checkpoints if saved.rank == 1]
        return best[0] if best else self.metrics.get(self.config.monitor)

    @property
    def last_checkpoint(self) -> Path:
        """Where the last epoch's checkpoint is, if there is one."""
        return self.folder / CHECKPOINTS / "last.ckpt"

    @property
    def why_no_picture(self) -> str:
        """Why nothing can be reconstructed with what the run has left; empty where something can."""
        if not self.epochs_done:
            return "no epoch was done"
        return "" if self.checkpoints else "no checkpoint was kept"

    @property
    def reconstruction(self) -> Path:
        """Folder of the reconstruction, if there is one."""
        return self.folder / RECONSTRUCTION

    def to_dict(self) -> dict[str, Any]:
        """Return the content of run.json; its paths of checkpoints are relative to the folder."""
        body = encode(self._with_paths(lambda path: Path(os.path.relpath(path, self.folder)).as_posix()))
        del body["folder"]
        return {**body, "seed": self.config.seed}

    @classmethod
    def from_dict(cls, body: object, folder: Path, source: str) -> RunInfo:
        """Return the record that `to_dict` wrote, of a run that is now in ``folder``.

        Raises
        ------
        InputError
            As `ptycho_core.base.codec.decode`; ``source`` is what it names.
        """
        if isinstance(body, dict):
            body = {**body, "folder": str(folder)}
            body.pop("seed", None)  # that of the config
        return decode(cls, body, source)._with_paths(lambda path: str(folder / path))

    def _with_paths(self, change: Callable[[str | Path], str]) -> RunInfo:
        best = self.best_checkpoint and Path(change(self.best_checkpoint))
        saved = tuple(dataclasses.replace(saved, path=change(saved.path)) for saved in self.checkpoints)
        return dataclasses.replace(self, best_checkpoint=best, checkpoints=saved)


def folder_of_scan(folder: Path, place: int, path: Path | None) -> Path:
    """Return where a run in a folder keeps what is made of the scan at a place, from 0, that is in a file or in none.

    It is the run's folder for the first one, and one below it for each other, by number and name.
    """
    name = f"{place + 1}-{path.stem}" if path else f"{place + 1}"
    return folder if place == 0 else folder / SCANS / name


@dataclass(frozen=True)
class BrokenRun:
    """A run directory whose run.json cannot be read, and why."""

    folder: Path
    reason: str
    status: str = "broken"


def checkpoint_table(
    table: Iterable[CheckpointSaved], event: CheckpointSaved | CheckpointRemoved
) -> tuple[CheckpointSaved, ...]:
    """Return the table of a run's checkpoints after an event, ranked anew: the monitored ones, best first, then others.

    Parameters
    ----------
    table
        Before the event.
    event
        A file that was saved, perhaps in place of one of the same name, or removed.
    """
    left = [saved for saved in table if Path(saved.path).absolute() != Path(event.path).absolute()]
    if isinstance(event, CheckpointSaved):
        left.append(event)
    ranked = sorted((saved for saved in left if saved.rank), key=_worth)
    others = (saved for saved in left if not saved.rank)
    return (*(dataclasses.replace(saved, rank=place) for place, saved in enumerate(ranked, 1)), *others)


def _worth(saved: CheckpointSaved) -> float:
    if saved.value is None:
        return math.inf
    return saved.value if saved.mode == "min" else -saved.value


def read_run(folder: str | Path) -> RunInfo:
    """Return what ``folder`` tells of its run; one whose process died unheard is ``interrupted``.

    Raises
    ------
    InputError
        There is no run in the folder, or its record cannot be read.
    """
    folder = Path(folder).absolute()
    path = folder / RECORD
    try:
        body = read_json(path, "the run's record")
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(f"there is no run in {folder} (no {RECORD})") from None
        raise
    info = RunInfo.from_dict(body, folder, f"the run's record {path}")
    if info.status == Status.RUNNING and folder in _untold:
        status, reason = _untold[folder]
        info = dataclasses.replace(info, status=status, reason=reason, ended=info.updated)
    elif info.status == Status.RUNNING and not info.process.alive(max(info.updated, _changed(path))):
        reason = f"its process ({info.process.pid} on {info.process.host}) ended without a word"
        info = dataclasses.replace(info, status=Status.INTERRUPTED, reason=reason, ended=info.updated)
    return info


_untold: dict[Path, tuple[Status, str]] = {}


def note_untold_end(folder: Path, end: tuple[Status, str] | None) -> None:
    """Keep in mind how a run of this process has ended whose record cannot be written, as on a full disk; None forgets.

    The process goes on in the window, and its being there would be taken for the run's.
    """
    _untold.pop(folder, None)
    if end is not None:
        _untold[folder] = end


def _changed(path: Path) -> datetime:
    """Return the time of a file, which the process of a run renews as long as it is there."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def find_runs(root: str | Path, depth: int = 5) -> list[RunInfo | BrokenRun]:
    """Return the runs in ``root`` and up to ``depth`` folders below it, newest first, broken ones last."""
    found: list[RunInfo] = []
    broken: list[BrokenRun] = []
    for folder in folders_with(Path(root).absolute(), depth, RECORD):
        try:
            found.append(read_run(folder))
        except InputError as error:
            broken.append(BrokenRun(folder, str(error)))
    return [*sorted(found, key=lambda info: info.started, reverse=True), *broken]


def read_metrics(folder: str | Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the run's metrics.csv, NaN where a cell is empty; no columns before the first epoch.

    Raises
    ------
    InputError
        As `read_run`.
    """
    path = read_run(folder).logs / "metrics.csv"
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in (rows[0] if rows else ()) if name]
    return {name: np.array([_number(row[name]) for row in rows]) for name in names}


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:  # a line that is being written
        return math.nan


def folders_with(folder: Path, depth: int, *names: str) -> Iterator[Path]:
    """Yield a folder, and those up to ``depth`` below it, that hold a file so named; not what belongs to runs."""
    if any(os.path.exists(folder / name) for name in names):  # no, where the folder may not be read
        yield folder
    if depth == 0:
        return
    try:
        below = sorted(e.path for e in os.scandir(folder) if e.is_dir(follow_symlinks=False))
    except OSError:
        return
    for path in map(Path, below):
        if path.name not in (CHECKPOINTS, PREVIEWS, RECONSTRUCTION, LOGS) and not path.name.startswith("."):
            yield from folders_with(path, depth - 1, *names)
