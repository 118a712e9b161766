"""What a run directory tells: one run's record, all runs below a folder, a run's metrics. No torch here."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import CheckpointRemoved, CheckpointSaved
from ptycho_core.base.process import ProcessMark

VERSION = 1
STATUSES = ("running", "finished", "stopped", "cancelled", "failed", "interrupted")

RECORD = "run.json"
CHECKPOINTS = "checkpoints"
RECONSTRUCTION = "reconstruction"
LOGS = "lightning_logs"
PREVIOUS = "previous"


@dataclass(frozen=True)
class RunInfo:
    """What a run directory tells of its run.

    Parameters
    ----------
    folder
        The run directory: ``out``, or ``out/previous/version_<k>`` of an earlier run.
    status, reason
        One of `STATUSES`, and why.
    command
        The command line that does the same again.
    scan, test_scan
        As `recorded_scan.record_scan` returns them.
    free_indexes, validation_indexes
        Places in the scan of the patterns that nothing saw, and of those that validated.
    started, updated, ended
        Times, UTC.
    process
        That trains or trained.
    log_version
        k of ``lightning_logs/version_<k>``.
    checkpoints
        The files in ``checkpoints/``; ranks are up to date.
    epochs_done
        Over all its resumptions.
    metrics
        The latest, by their names in metrics.csv.
    resumed
        For each time that the run was resumed: when, from which status, by which command.
    """

    folder: Path
    config: Config
    command: str
    scan: dict[str, Any]
    process: ProcessMark
    log_version: int
    started: datetime
    updated: datetime
    test_scan: dict[str, Any] | None = None
    status: str = "running"
    reason: str = ""
    ended: datetime | None = None
    device: str = ""
    epochs_done: int = 0
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    free_indexes: tuple[int, ...] = ()
    validation_indexes: tuple[int, ...] = ()
    best_checkpoint: Path | None = None
    checkpoints: tuple[CheckpointSaved, ...] = ()
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    resumed: tuple[dict[str, str], ...] = ()

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
    def reconstruction(self) -> Path:
        """Folder of the reconstruction, if there is one."""
        return self.folder / RECONSTRUCTION

    def to_dict(self) -> dict[str, Any]:
        """Return the content of run.json; its paths of checkpoints are relative to the folder."""
        body = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "folder"}
        body |= {name: value.isoformat() for name, value in body.items() if isinstance(value, datetime)}
        body["config"] = self.config.to_dict()
        body["seed"] = self.config.seed
        body["process"] = dataclasses.asdict(self.process)
        body["best_checkpoint"] = self.best_checkpoint and self._relative(self.best_checkpoint)
        body["checkpoints"] = [
            {**dataclasses.asdict(saved), "path": self._relative(saved.path)} for saved in self.checkpoints
        ]
        return {"version": VERSION, **body}

    def _relative(self, path: str | Path) -> str:
        return Path(os.path.relpath(path, self.folder)).as_posix()


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


def read_run(folder: Path) -> RunInfo:
    """Return what ``folder`` tells of its run; one whose process died unheard is ``interrupted``.

    Raises
    ------
    InputError
        There is no run in the folder, or its record cannot be read.
    """
    folder = folder.absolute()
    path = folder / RECORD
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        info = _from_dict(folder, body)
    except FileNotFoundError:
        raise InputError(f"there is no run in {folder} (no {RECORD})") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (InputError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} is not the record of a run: {error}") from error
    if info.status == "running" and not info.process.alive(info.updated):
        reason = f"its process ({info.process.pid} on {info.process.host}) ended without a word"
        info = dataclasses.replace(info, status="interrupted", reason=reason, ended=info.updated)
    return info


def find_runs(root: Path, depth: int = 5) -> list[RunInfo | BrokenRun]:
    """Return the runs in ``root`` and up to ``depth`` folders below it, newest first, broken ones last."""
    found: list[RunInfo] = []
    broken: list[BrokenRun] = []
    for folder in _run_folders(root.absolute(), depth):
        try:
            found.append(read_run(folder))
        except InputError as error:
            broken.append(BrokenRun(folder, str(error)))
    return [*sorted(found, key=lambda info: info.started, reverse=True), *broken]


def read_metrics(folder: Path) -> dict[str, NDArray[np.float64]]:
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


def _from_dict(folder: Path, body: dict[str, Any]) -> RunInfo:
    if body["version"] != VERSION:
        raise ValueError(f"it has version {body['version']!r}; this program reads version {VERSION}")
    if body["status"] not in STATUSES:
        raise ValueError(f"it has the unknown status {body['status']!r}")
    values = {f.name: body[f.name] for f in dataclasses.fields(RunInfo) if f.name != "folder"}
    values |= {name: datetime.fromisoformat(body[name]) for name in ("started", "updated", "ended") if body[name]}
    values["config"] = Config.from_dict(body["config"], "its config")
    values["process"] = ProcessMark(**body["process"])
    values["best_checkpoint"] = folder / body["best_checkpoint"] if body["best_checkpoint"] else None
    values["checkpoints"] = tuple(
        CheckpointSaved(**{**saved, "path": str(folder / saved["path"])}) for saved in body["checkpoints"]
    )
    values["metrics"] = {name: math.nan if v is None else float(v) for name, v in body["metrics"].items()}
    for name in ("free_indexes", "validation_indexes", "resumed"):
        values[name] = tuple(body[name])
    return RunInfo(folder=folder, **values)


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / RECORD).exists():
        yield folder
    if depth == 0:
        return
    try:
        below = sorted(e.path for e in os.scandir(folder) if e.is_dir(follow_symlinks=False))
    except OSError:
        return
    for path in map(Path, below):
        if path.name not in (CHECKPOINTS, RECONSTRUCTION, LOGS) and not path.name.startswith("."):
            yield from _run_folders(path, depth - 1)
