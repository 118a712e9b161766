"""The run directory: what is in it, how it is written, found again and resumed. No torch here.

::

    out/run.json                          the record: config, scan, status, checkpoints, metrics
    out/events.jsonl                      what happened, an event a line, appended as it happens
    out/note.json                         sample and comment, of the operator
    out/checkpoints/, out/reconstruction/ of the newest run
    out/previews/                         pictures of the object while it went on
    out/warm_start.ckpt                   what the direct engine found before a network trained
    out/scans/2-<name>/                   warm start and reconstruction of each further scan
    out/lightning_logs/version_<k>/       metrics.csv and hparams.yaml of every run
    out/previous/version_<k>/             all but the logs of the runs before
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptycho_core.base import events
from ptycho_core.base.atomic import explain_write_errors, write_json
from ptycho_core.base.choices import EPOCH_METRICS
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.environment import versions
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.previews import PreviewKeeper
from ptycho_core.runs.record import (
    CHECKPOINTS,
    EVENTS,
    LOGS,
    NOTE,
    PREVIEWS,
    PREVIOUS,
    RECONSTRUCTION,
    RECORD,
    SCANS,
    WARM_START,
    FurtherScan,
    RunInfo,
    checkpoint_table,
    note_untold_end,
    read_run,
)
from ptycho_core.runs.recorded_scan import RecordedScan

_log = logging.getLogger(__name__)
_STEPS_WAIT_S = 1.0

OWNED = (CHECKPOINTS, WARM_START, PREVIEWS, RECONSTRUCTION, SCANS, NOTE, EVENTS, RECORD)
"""What moves with a run; the record last: a crash before it can be made good."""


class Run:
    """The record and the events of the run that this process trains; every change is on the disk at once.

    Only steps may wait for a second, so that a slow network folder does not slow training.

    Parameters
    ----------
    info
        What its folder is to tell of it.
    earlier
        Where the run is now that had the folder before, if any had.
    """

    def __init__(self, info: RunInfo, earlier: Path | None = None) -> None:
        self.info, self.earlier = info, earlier
        self._unwritten: list[str] = []
        self._written = -math.inf
        self._previews: dict[int, PreviewKeeper] = {}
        note_untold_end(info.folder, None)
        self.update()

    def update(self, **changes: Any) -> None:
        """Change fields of `RunInfo` and write run.json anew."""
        self.info = dataclasses.replace(self.info, updated=_now(), **changes)
        write_json(self.info.folder / RECORD, self.info.to_dict())

    def _update_scan(self, place: int, **changes: Any) -> None:
        """Change what is known of one of the scans."""
        if not place:
            self.update(**changes)
        else:
            further = list(self.info.further_scans)
            further[place - 1] = dataclasses.replace(further[place - 1], **changes)
            self.update(further_scans=tuple(further))

    def record(self, event: events.Event) -> None:
        """Write down what an event tells. Call it before anyone else hears of the event.

        Raises
        ------
        PtychoError
            It cannot be written; of a failure that is no error, as whoever tells of it raises the failure itself.
        """
        try:
            self._write(event)
        except PtychoError:
            if isinstance(event, events.RunFinished | events.RunFailed):
                note_untold_end(self.info.folder, (self.info.status, self.info.reason))
            if not isinstance(event, events.RunFailed):
                raise

    def _keeper_of(self, place: int) -> PreviewKeeper:
        """Return who keeps the pictures of one of the scans."""
        if place not in self._previews:
            self._previews[place] = PreviewKeeper(self.info.folder_of_scan(place))
        return self._previews[place]

    def _write(self, event: events.Event) -> None:
        if isinstance(event, events.PreviewReady):  # up to 3 MB as a line
            self._keeper_of(event.scan or 0).keep(event)
            return
        if isinstance(event, events.RunFinished | events.RunFailed):
            for keeper in self._previews.values():
                keeper.finish()
        log_event(event)
        self._record(event)
        self._unwritten.append(events.to_json(event))
        now = time.monotonic()
        if not isinstance(event, events.BatchDone) or now - self._written >= _STEPS_WAIT_S:
            _append_lines(self.info.folder / EVENTS, self._unwritten)
            self._unwritten, self._written = [], now

    def _record(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self.update(device=event.device)
            case events.ProbeSearched():
                left = self.info.own_probe_left or event.own_left
                self.update(probe_search=event.why, own_probe_left=left)
            case events.ModesChosen():
                self.update(modes_chosen=event.why)
            case events.PictureChosen():
                self._update_scan(event.scan, picture_chosen=event.why)
            case events.EpochDone():
                self.update(metrics=dict(event.metrics), epochs_done=event.epoch)
            case events.CheckpointSaved() | events.CheckpointRemoved():
                table = checkpoint_table(self.info.checkpoints, event)
                best = Path(table[0].path) if table and table[0].rank else None
                self.update(checkpoints=table, best_checkpoint=best)
            case events.RolledBack():
                self.update(rollbacks=(*self.info.rollbacks, event.message))
            case events.RefinementChecked():
                checks = self.info.of_scan(event.scan).checks
                self._update_scan(event.scan, checks={**checks, event.knob: dataclasses.asdict(event)})
            case events.Judged():
                self._update_scan(event.scan, verdict=event.verdict)
            case events.RunFinished():
                best = Path(event.best_checkpoint).absolute() if event.best_checkpoint else None
                self.update(
                    status=event.status,
                    reason=event.reason,
                    ended=_now(),
                    best_checkpoint=best,
                    metrics=dict(event.metrics),
                )
            case events.RunFailed():
                self.update(status=events.Status.FAILED, reason=event.message, ended=_now())


def _append_lines(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    with explain_write_errors(path), open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a crash has cut the last line short
                text = b"\n" + text
        file.write(text)


def log_event(event: events.Event) -> None:
    """Log what an event tells; a failure is raised as well, and logged by whoever catches it."""
    match event:
        case events.RunStarted():
            epochs = f"{event.max_epochs - event.epochs_done} epochs of {event.steps_per_epoch} steps to do"
            _log.info("training in %s on %s; %s, %d parameters", event.run_dir, event.device, epochs, event.parameters)
            if event.earlier:
                _log.info("the run that was in the folder before is now in %s", event.earlier)
        case events.ProbeSearched() | events.ModesChosen() | events.PictureChosen():
            _log.info("%s", event.why)
        case events.EpochDone():
            known = [f"{name} {event.metrics[name]:.4g}" for name in EPOCH_METRICS if name in event.metrics]
            _log.debug("epoch %d is done: %s", event.epoch, ", ".join(known))
        case events.CheckpointSaved():
            _log.log(logging.INFO if event.rank == 1 else logging.DEBUG, "saved %s", event.path)
        case events.CheckpointRemoved():
            _log.debug("removed %s", event.path)
        case events.RolledBack():
            _log.warning("%s", event.message)
        case events.RefinementChecked():
            _log.info("%s", event.message)
        case events.Judged():
            _log.info("%s", event.verdict)
        case events.RunFinished():
            _log.info("the run in %s is %s: %s", event.run_dir, event.status, event.reason)


def refuse_folder(folder: Path) -> None:
    """Raise `InputError` where no run can begin in a folder: it is a file, cannot be written, or a run is alive in it.

    Quick enough to ask before a scan is read.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest} is a file: name a folder for the run")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{nearest} cannot be written to: name another folder for the run")
    if (folder / RECORD).exists():
        refuse_alive(read_run(folder))


def start_run(
    folder: Path,
    *,
    config: Config,
    scan: RecordedScan,
    command: str,
    test_scan: RecordedScan | None = None,
    further_scans: tuple[FurtherScan, ...] = (),
) -> Run:
    """Make ``folder`` the directory of a new run; what an earlier one left moves to ``previous/version_<k>``.

    Parameters
    ----------
    folder
        The output directory; made if it is missing.
    config, command
        Of the run.
    scan, test_scan, further_scans
        On which it trains, which validates it in place of a part of that, and which it trains on too.

    Raises
    ------
    InputError
        A run in the folder is still alive.
    PtychoError
        The folder cannot be written.
    """
    folder = folder.absolute()
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        earlier = set_aside(folder)
        now = _now()
        return Run(
            RunInfo(
                folder=folder,
                config=config,
                command=command,
                scan=scan,
                test_scan=test_scan,
                further_scans=further_scans,
                process=ProcessMark.current(),
                log_version=_next_version(folder),
                started=now,
                updated=now,
                versions=versions(),
            ),
            earlier,
        )


def resumable(folder: Path) -> RunInfo:
    """Return the run in ``folder`` if it can be resumed.

    Raises
    ------
    InputError
        There is no run, it is still alive, or it kept no checkpoint of its last epoch.
    """
    info = read_run(folder)
    if not info.process.left_by_this_job:
        refuse_alive(info)
    if not info.last_checkpoint.is_file():
        raise InputError(f"the run in {folder} cannot be resumed because {info.last_checkpoint} is missing")
    return info


def resumed_config(info: RunInfo, changes: dict[str, Any]) -> Config:
    """Return the config to resume a run with.

    Raises
    ------
    InputError
        A change would make it another model or other data, or leave no epoch to do.
    """
    fixed = [
        name for name, value in changes.items() if not KNOBS[name].resumable and value != getattr(info.config, name)
    ]
    if fixed:
        raise InputError(
            f"{', '.join(fixed)} cannot change when a run is resumed: start a new run, "
            f"or change only {', '.join(sorted(name for name, setting in KNOBS.items() if setting.resumable))}"
        )
    config = info.config.replace(**changes)
    if info.epochs_done >= config.max_epochs:
        raise InputError(
            f"the run in {info.folder} has done all of its {info.epochs_done} epochs: "
            f"to go on, set max_epochs above that"
        )
    return config


def resume_run(folder: Path, *, config: Config, command: str) -> Run:
    """Take up the run in ``folder`` again, under the same log version.

    Raises
    ------
    InputError
        As `resumable`.
    """
    info = resumable(folder)
    taken = f"{info.taken_s:.3f}"
    entry = {"at": _now().isoformat(), "from": info.status, "command": command, "taken_s": taken}
    return Run(
        dataclasses.replace(
            info,
            config=config,
            status=events.Status.RUNNING,
            reason="",
            ended=None,
            process=ProcessMark.current(),
            versions=versions(),
            resumed=(*info.resumed, entry),
        )
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _next_version(folder: Path) -> int:
    """Return a log version that nothing in the folder has."""
    taken = [*folder.glob(f"{LOGS}/version_*"), *folder.glob(f"{PREVIOUS}/version_*")]
    numbers = [int(found[1]) for path in taken if (found := re.fullmatch(r"version_(\d+)", path.name))]
    return max(numbers, default=-1) + 1


def refuse_alive(info: RunInfo) -> None:
    """Raise `InputError` if the run's process is at work."""
    if info.status == events.Status.RUNNING:
        where = f"process {info.process.pid} on {info.process.host}"
        raise InputError(f"the run in {info.folder} is still training ({where}): stop it, or take another folder")


def set_aside(folder: Path) -> Path | None:
    """Move what an earlier run left in ``folder`` to ``previous/version_<k>``, and return that, if there was any.

    Nothing is overwritten.

    Raises
    ------
    InputError
        The run is alive, or something is in the way.
    """
    left = [folder / name for name in OWNED if (folder / name).exists()]
    if not left:
        return None
    try:
        info = read_run(folder)
        refuse_alive(info)
        version = info.log_version
    except InputError:
        if (folder / RECORD).exists():
            raise
        version = _next_version(folder)  # a reconstruction alone, made elsewhere
    target = folder / PREVIOUS / f"version_{version}"
    target.mkdir(parents=True, exist_ok=True)
    for path in left:
        if (target / path.name).exists():
            raise InputError(f"{target / path.name} is in the way of an earlier run's: take another folder")
        os.rename(path, target / path.name)
    return target


def put_back(earlier: Path, folder: Path) -> None:
    """Move what `set_aside` moved away back into its folder, where no other run came."""
    for name in OWNED:
        if (earlier / name).exists():
            os.rename(earlier / name, folder / name)
    earlier.rmdir()
    with contextlib.suppress(OSError):  # where it holds still earlier ones
        earlier.parent.rmdir()
