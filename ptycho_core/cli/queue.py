"""`ptycho queue`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ptycho_core.base.errors import PtychoError, sentence_of
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser

if TYPE_CHECKING:
    from ptycho_core.base.events import EventHandler, StopToken
    from ptycho_core.runs.queue import Entry, Queue, QueueState

_log = logging.getLogger(__name__)

_NOTHING = "nothing waits in {}: the window adds runs (Add open scan, in its panel Queue)"


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "what",
        choices=("list", "run", "submit"),
        metavar="WHAT",
        help="list: the runs that wait; run: do them, one after another; submit: hand them to SLURM, as one array of "
        "jobs",
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="the queue [default the one of the window]")
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def run(args: argparse.Namespace) -> int:
    """List the queue, or do what waits, or hand it over."""
    from ptycho_core.runs.queue import Queue, queue_path

    queue = Queue(args.file or queue_path(os.environ))
    code = _work_off(queue, args.quiet) if args.what == "run" else 0
    if args.what == "submit":
        _submit(queue)
    if args.json:
        print_json([_row(entry) for entry in queue.entries])
    elif args.what == "list":
        _print(queue)
    return code


def _submit(queue: Queue) -> None:
    from ptycho_core.runs.site import read_site
    from ptycho_core.runs.submission import submit_queue

    handed = submit_queue(queue, read_site(os.environ))
    if not handed:
        say(_NOTHING.format(queue.path))
    for entry in handed:
        say(f"submitted as {entry.reason}: {entry.run.source.file} into {entry.run.folder}")
    if handed:
        say("see one go on with: ptycho follow OUT")


def _work_off(queue: Queue, quiet: bool) -> int:
    """Do what waits; return 0 when all ended well, 3 when one did not, 130 when it was interrupted."""
    from ptycho_core.base.events import Cancelled
    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.runs.queue import QueueState

    if (other := queue.running) is not None:
        raise PtychoError(f"another program works on the queue: {other.run.folder} is being trained")
    failed = False
    if not any(entry.state == QueueState.WAITING for entry in queue.entries):
        say(_NOTHING.format(queue.path))
    with progress(quiet) as events, stopped_by_signals() as stop:
        while not stop.stop_requested and (entry := queue.take()) is not None:
            say(f"begins: {entry.run.source.file} into {entry.run.folder}")
            state, reason = QueueState.SKIPPED, "interrupted"
            try:
                state, reason = _do(entry, events, stop)
            except Cancelled:
                raise
            except Exception as error:  # one that fails does not stop the rest
                state, reason = QueueState.FAILED, sentence_of(error)
                _log.debug("how it came to this:", exc_info=True)
            finally:
                queue.end(entry.key, state, reason)
            failed = failed or state == QueueState.FAILED
            say(f"{state}: {entry.run.folder}: {reason}")
    if stop.stop_requested:
        return 130
    return 3 if failed else 0


def _do(entry: Entry, events: EventHandler, stop: StopToken) -> tuple[QueueState, str]:
    """Train and reconstruct, as the window does; return what became of it."""
    from ptycho_core.base.atomic import write_json
    from ptycho_core.base.build_config import build_config
    from ptycho_core.engines.reconstruct import reconstruct, write_results
    from ptycho_core.engines.training import train
    from ptycho_core.runs.command_line import command_line
    from ptycho_core.runs.previews import kept_previews
    from ptycho_core.runs.queue import QueueState, state_after
    from ptycho_core.runs.reopening import open_alike

    queued = entry.run
    scans = open_alike(queued.source, queued.further)
    for path, body in queued.source.needed_files(queued.folder).items():  # which the command of the record names
        write_json(path, body)
    info = train(
        build_config(queued.settings),
        scans.first,
        queued.folder,
        further_scans=scans.further,
        events=events,
        stop=stop,
        command=command_line(queued.settings, queued.source, queued.folder, queued.further),
    )
    if stop.stop_requested or info.why_no_picture:
        return state_after(info.status), info.why_no_picture or info.reason
    for place, scan in enumerate((scans.first, *scans.further)):
        folder = info.folder_of_scan(place)
        with kept_previews(folder, events) as heard:
            found = reconstruct(scan, info.best_checkpoint or info.last_checkpoint, events=heard, stop=stop)
        write_results(found, folder)
    return QueueState.DONE, info.reason


def _row(entry: Entry) -> dict[str, object]:
    return {
        "state": entry.state,
        "scan": entry.run.source.file,
        "further_scans": list(entry.run.further),
        "settings": entry.run.settings,
        "folder": entry.run.folder,
        "reason": entry.reason,
    }


def _print(queue: Queue) -> None:
    if not queue.entries:
        say(f"the queue is empty ({queue.path})")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("state", "scan", "settings", "folder", "reason"):
        table.add_column(heading, overflow="fold")
    for entry in queue.entries:
        run = entry.run
        settings = ", ".join(f"{name} {value}" for name, value in run.settings.items()) or "defaults"
        scan = f"{run.source.file} and {len(run.further)} more" if run.further else str(run.source.file)
        table.add_row(entry.state, scan, settings, str(run.folder), entry.reason)
    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 1000, highlight=False, markup=False).print(table)
