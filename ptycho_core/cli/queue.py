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


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "what",
        choices=("list", "run"),
        metavar="WHAT",
        help="list: the runs that wait; run: do them, one after another",
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="the queue [default the one of the window]")
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def run(args: argparse.Namespace) -> int:
    """List the queue, or do what waits."""
    from ptycho_core.runs.queue import Queue, queue_path

    queue = Queue(args.file or queue_path(os.environ))
    code = 0 if args.what == "list" else _work_off(queue, args.quiet)
    rows = [_row(entry) for entry in queue.entries]
    if args.json:
        print_json(rows)
    elif args.what == "list":
        _print(rows, queue)
    return code


def _work_off(queue: Queue, quiet: bool) -> int:
    """Do what waits; return 0 when all ended well, 3 when one did not, 130 when it was interrupted."""
    from ptycho_core.base.events import Cancelled
    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.runs.queue import QueueState

    if (other := queue.running) is not None:
        raise PtychoError(f"another program works on the queue: {other.run.folder} is being trained")
    failed = False
    if not any(entry.state == QueueState.WAITING for entry in queue.entries):
        say(f"nothing waits in {queue.path}: the window adds runs (Add open scan, in its panel Queue)")
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
    from ptycho_core.preprocessing import open_scan
    from ptycho_core.runs.command_line import command_line
    from ptycho_core.runs.queue import QueueState, state_after

    queued = entry.run
    scan = open_scan(queued.source)
    for path, body in queued.source.needed_files(queued.folder).items():  # which the command of the record names
        write_json(path, body)
    command = command_line(queued.settings, queued.source, queued.folder)
    info = train(build_config(queued.settings), scan, queued.folder, events=events, stop=stop, command=command)
    if stop.stop_requested or info.why_no_picture:
        return state_after(info.status), info.why_no_picture or info.reason
    found = reconstruct(scan, info.best_checkpoint or info.last_checkpoint, events=events, stop=stop)
    write_results(found, info.folder)
    return QueueState.DONE, info.reason


def _row(entry: Entry) -> dict[str, object]:
    return {
        "state": entry.state,
        "scan": entry.run.source.file,
        "settings": entry.run.settings,
        "folder": entry.run.folder,
        "reason": entry.reason,
    }


def _print(rows: list[dict[str, object]], queue: Queue) -> None:
    if not rows:
        say(f"the queue is empty ({queue.path})")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for entry, row in zip(queue.entries, rows, strict=True):
        settings = ", ".join(f"{name} {value}" for name, value in entry.run.settings.items()) or "defaults"
        table.add_row(*(str(value) for value in {**row, "settings": settings}.values()))
    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 1000, highlight=False, markup=False).print(table)
