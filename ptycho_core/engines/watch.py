"""Watch a folder: a picture of each scan while it is measured, and its reconstruction once it is complete.

A scan is complete when its writer has closed it, or when it has as many patterns as it says that it will have, and both
its patterns and its positions are there; or when nothing has changed for `Rules.quiet_s`, with what is there then.
Reconstructions are made one at a time in a thread of their own, while the next scan is followed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ptycho_core.base import events as happenings
from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.choices import ENGINES
from ptycho_core.base.errors import InputError, PtychoError, sentence_of
from ptycho_core.base.events import EventHandler, StopToken
from ptycho_core.base.verdict import verdict_in
from ptycho_core.engines.checkpoints import check_checkpoint, load_checkpoint
from ptycho_core.engines.live import LiveScan
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.reconstruct import reconstruct, write_results
from ptycho_core.engines.trainer import device_of
from ptycho_core.formats.writers.exports import export, files_of_export
from ptycho_core.preprocessing import open_scan, preprocess
from ptycho_core.runs.arrivals import GLOBS, Arrival, Arrivals
from ptycho_core.runs.journal import DONE, FAILED, Journal, Line, content_of
from ptycho_core.runs.presence import alone_in, stand_in_for
from ptycho_core.runs.record import RECONSTRUCTION
from ptycho_core.runs.results import find_results
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Step

_log = logging.getLogger(__name__)

JOURNAL = "journal.csv"
_PICTURE = "measured.pt"
"""Of a scan that is still being measured, in the folder of its results."""
_FEWEST = 64
"""Patterns with which a picture begins."""
_NOT_ALL_THERE = {("missing", "skip"), ("pairing", "order")}
"""Answers by which a scan opens of which patterns or positions are still to come."""
_WATCHED = "watched"
_NAP_S = 0.1


@dataclass(frozen=True)
class Rules:
    """What is done with the scans of a folder.

    Parameters
    ----------
    checkpoint
        Of a network: a ``.ckpt`` or a bundle.
    source
        How each is read; its path is not used. A ``*`` in the name of the positions' file stands for the name of the
        scan as far as the star of its glob goes, and the file lies in the watched folder.
    globs
        Which files are scans.
    exports
        Formats of `exports.EXPORTERS` beside the `exports.USUAL` ones.
    options
        Of `reconstruct`, by name.
    every_s
        Seconds between two looks.
    quiet_s
        Seconds without a change after which a scan counts as complete, or as failed if it cannot be opened.
    once
        Whether to end when all scans that are there are over.
    """

    checkpoint: Path
    source: ScanSource = field(default_factory=ScanSource)
    globs: tuple[str, ...] = GLOBS
    exports: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    every_s: float = 2.0
    quiet_s: float = 60.0
    once: bool = False

    def source_of(self, arrival: Arrival) -> ScanSource:
        """Return how a scan is read."""
        positions = self.source.positions_file
        if positions is not None and "*" in positions.name:
            positions = arrival.path.parent / positions.name.replace("*", arrival.name)
        return dataclasses.replace(self.source, path=arrival.path, positions_file=positions)


def watch(folder: Path, out: Path, rules: Rules, events: EventHandler, stop: StopToken) -> None:
    """Watch a folder until stopped.

    Parameters
    ----------
    folder
        Where scans arrive.
    out
        Gets a folder for each scan, named as the scan is, with a reconstruction as `write_results` writes it, and the
        journal. What it says is done is not done again.
    rules
        What is done.
    events
        Told of each picture, `ScanGrew` and `PreviewReady`, of the end of each scan, `ScanOver`, and `WatchTold`.
    stop
        Ends it; a reconstruction that is being made is left, and made anew the next time.

    Raises
    ------
    InputError
        The folder cannot be read, the model serves its own scan alone, or another watcher is at work in the folder or
        in ``out``.
    PtychoError
        ``out`` cannot be written.
    """
    for format in rules.exports:
        files_of_export(out, format)
    model = load_checkpoint(rules.checkpoint).model()
    if ENGINES[model.config.engine].serves_one_scan:
        raise InputError(f"{rules.checkpoint} serves the scan of its training alone: take one of the network engine")
    assert isinstance(model, PinnModel)  # the only engine that serves others
    arrivals = Arrivals(folder, rules.globs)
    arrivals.look(())
    with explain_write_errors(out):
        out.mkdir(parents=True, exist_ok=True)

    def tell(message: str) -> None:
        events(happenings.WatchTold(message))

    with contextlib.ExitStack() as kept:
        kept.enter_context(alone_in(out, stop, tell))
        if not out.samefile(folder):
            kept.enter_context(alone_in(folder, stop, tell, stand_in=stand_in_for(folder, os.environ)))
        pool = kept.enter_context(ThreadPoolExecutor(1, thread_name_prefix="reconstruct"))
        _Watch(model, arrivals, out, rules, events, stop, pool).go()


class _Watch:
    def __init__(
        self,
        model: PinnModel,
        arrivals: Arrivals,
        out: Path,
        rules: Rules,
        events: EventHandler,
        stop: StopToken,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.model, self.arrivals, self.out, self.rules = model, arrivals, out, rules
        self.events, self.stop, self.pool = events, stop, pool
        self.device = device_of(rules.options.get("accelerator", "auto"))
        self.journal = Journal(out / JOURNAL)
        self.live: dict[str, LiveScan] = {}
        self.ending: dict[str, Future[tuple[Line, str] | None]] = {}
        self.place, self.lost = _number_of(out), False

    def go(self) -> None:
        while not self.stopped():
            arrived = self.arrived()
            if arrived is not None and self.look_at(arrived) and self.rules.once:
                break
            end = time.monotonic() + self.rules.every_s
            while time.monotonic() < end and not self.stopped():
                time.sleep(_NAP_S)
        for live in self.live.values():
            with contextlib.suppress(PtychoError):  # out of reach: its picture is begun anew
                live.keep()
        for future in self.ending.values():
            future.cancel()  # those that did not begin; the one that did sees the token

    def stopped(self) -> bool:
        return self.stop.stop_requested

    def arrived(self) -> list[Arrival] | None:
        """Return the scans that are not over; None, which is told once, while their folder or the results' is lost."""
        try:
            found, lost = self.arrivals.look(self.journal), ""
            if not self.has_place():
                lost = f"the folder {self.out} is out of reach"
        except InputError as error:
            lost = str(error)
        if lost and not self.lost:
            self.tell(f"{lost}; waiting for it to come back")
        self.lost = bool(lost)
        return None if lost else found

    def has_place(self) -> bool:
        """Return whether the folder for results is there, and not another in its place, as where a share is mounted."""
        return _number_of(self.out) == self.place

    def look_at(self, arrived: list[Arrival]) -> bool:
        """Look at each scan, and write down what has ended; return whether all are over."""
        names = {arrival.path.name for arrival in arrived}
        self.live = {name: live for name, live in self.live.items() if name in names}
        for arrival in arrived:
            if self.stopped():
                break
            if arrival.path.name not in self.ending:
                self.look(arrival)
        self.collect()
        return not self.ending and all(arrival.stamp in self.journal for arrival in arrived)

    def look(self, arrival: Arrival) -> None:
        """Put what is new of a scan into its picture; once it is complete, have it reconstructed."""
        name, now = arrival.path.name, self.arrivals.clock()
        live, quiet = self.live.get(name) or self.begun(arrival), arrival.quiet_s(now) >= self.rules.quiet_s
        try:
            scan, source, lacking = _open_so_far(self.rules.source_of(arrival))
            arrival.files = scan.files
            if self.journal.knows(name, content := content_of(scan)):  # touched, or copied over itself
                self.journal.remember(arrival.stamp, content)
                return
        except Exception as error:  # whatever a file does to a library, the others go on
            _log.debug("%s cannot be opened yet: %s", arrival.path, error)
            if quiet:
                self.write(dataclasses.replace(_line(arrival), remarks=sentence_of(error)), "")
            return
        more = len(scan) != live.seen
        grows = scan.growing or bool(lacking) or (more and live.seen > 0) or live.mosaic is not None
        if more:  # also where the share still lists the file as it was
            live.seen, quiet = len(scan), False
            arrival.stir(now)
        if grows and live.pictured and live.is_time_for(source.steps, len(scan)):
            self.grow(name, live, scan, source.steps)
        closed = not lacking and (scan.has_all or (not scan.growing and arrival.looks > 0))
        if closed or quiet:
            self.ending[name] = self.pool.submit(self.finish, arrival, source, content, lacking)

    def begun(self, arrival: Arrival) -> LiveScan:
        """Return the picture of a scan as an earlier watcher has left it, or an empty one."""
        kept = self.out / arrival.name / _PICTURE
        self.live[arrival.path.name] = live = LiveScan(self.model, self.rules.checkpoint, self.device, kept)
        return live

    def tell(self, message: str) -> None:
        self.events(happenings.WatchTold(message))

    def grow(self, name: str, live: LiveScan, scan: Scan, steps: tuple[Step, ...]) -> None:
        """Do the steps, put the new patterns of a scan into its picture, and show it."""
        try:
            prepared = preprocess(scan, steps)
        except InputError as error:  # not enough is there for them, or the end tells
            _log.debug("%s: %s", name, error)
            return
        if len(prepared) < _FEWEST:
            return
        try:
            if not live.grow(prepared) or live.mosaic is None:
                return
        except Exception as error:
            self.tell(f"no picture of {name} while it is measured: {sentence_of(error)}")
            live.pictured = False
            return
        told, (picture, probe, binning) = live.mosaic.progress(), live.mosaic.preview()
        misfit = told.free_misfit if math.isfinite(told.free_misfit) else None
        self.events(
            happenings.ScanGrew(name, told.patterns, told.covered_pixels, round(told.median_coverage, 2), misfit)
        )
        stage, pixel = happenings.Stage.MEASURING, prepared.pixel_size_m
        self.events(happenings.PreviewReady(0, told.patterns, picture, probe, binning, stage, pixel))

    def finish(self, arrival: Arrival, source: ScanSource, content: str, lacking: str) -> tuple[Line, str] | None:
        """Reconstruct a scan, in a thread of its own; return its line and its verdict's folder, None to do it again."""
        begun, folder = time.monotonic(), self.folder_of(arrival)
        known = {"scan": arrival.path.name, "content": content}
        line = dataclasses.replace(_line(arrival), content=content)
        try:
            results = find_results(folder)
            if results and results[0].metrics.get(_WATCHED) == known:  # all but the line was done
                metrics, remarks = results[0].metrics, []
            else:
                if self.stopped():
                    return None
                scan = open_scan(source)
                remarks = [p.message for p in check_checkpoint(load_checkpoint(self.rules.checkpoint), scan)]
                made = reconstruct(scan, self.rules.checkpoint, stop=self.stop, **self.rules.options)
                if self.stopped() or not self.has_place():  # it is made anew once there is a place for it
                    return None
                metrics = {**made.metrics, _WATCHED: known}
                made = dataclasses.replace(made, metrics=metrics)
                folder.mkdir(exist_ok=True)
                write_results(made, folder)
                for format in self.rules.exports:
                    export(made, folder / RECONSTRUCTION, format)
        except Exception as error:
            if self.stopped() or not self.has_place():
                return None
            _log.info("%s: %s", arrival.path, sentence_of(error), exc_info=True)
            return dataclasses.replace(line, remarks=sentence_of(error)), ""
        verdict = verdict_in(metrics)
        reasons = list(verdict.reasons) if verdict else []
        line = dataclasses.replace(
            line,
            outcome=DONE,
            patterns=metrics.get("patterns"),
            verdict=str(verdict.level) if verdict else "",
            free_misfit=metrics.get("free_misfit"),
            resolution_px=metrics.get("half_scans_resolution_px"),
            seconds=round(time.monotonic() - begun, 1),
            folder=folder.name,
            remarks="; ".join(filter(None, [lacking, *remarks, *reasons])),
        )
        return line, str(folder)

    def folder_of(self, arrival: Arrival) -> Path:
        """Return the folder for a scan's results: named as the scan is, or as its file where it has another file's."""
        folder, file = self.out / arrival.name, arrival.path.name
        of = [result.metrics.get(_WATCHED) for result in find_results(folder)[:1]]
        return self.out / file if any(other and other["scan"] != file for other in of) else folder

    def collect(self) -> None:
        """Write down which reconstructions have ended, and how."""
        for name, future in list(self.ending.items()):
            if future.done():
                del self.ending[name]
                if (ended := future.result()) is not None:
                    self.write(*ended)

    def write(self, line: Line, folder: str) -> None:
        """Put the line of a scan that is over into the journal."""
        self.journal.write(line)
        if (live := self.live.pop(line.scan, None)) is not None:
            live.forget()
        failed, remarks = (line.remarks, "") if line.outcome == FAILED else ("", line.remarks)
        self.events(happenings.ScanOver(line.scan, folder, line.verdict, failed, remarks))


def _open_so_far(source: ScanSource) -> tuple[Scan, ScanSource, str]:
    """Open a scan as far as it is there, without its steps.

    Returns
    -------
    tuple[Scan, ScanSource, str]
        The scan, how it was read and is to be prepared, and in a sentence what is still to come, if anything is.
    """
    told: list[str] = []
    while True:
        try:
            return open_scan(source.without_steps()), source, "; ".join(told)
        except InputError as error:
            fix = next((fix for fix in error.fixes if (fix.field, fix.value) in _NOT_ALL_THERE), None)
            if fix is None or fix.field in source.settings:
                raise
            told.append(str(error))
            source = source.fixed(fix)


def _number_of(folder: Path) -> int | None:
    """Return by which number its file system knows a folder; None where it is not there."""
    try:
        return os.stat(folder).st_ino
    except OSError:
        return None


def _line(arrival: Arrival) -> Line:
    """Return the line of a scan that failed so far."""
    date, (name, size, modified) = datetime.now(UTC).isoformat(timespec="seconds"), arrival.stamp
    return Line(date, name, FAILED, bytes=size, modified=modified)
