"""`ptycho follow`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.cli.output import say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder of the run; Ctrl-C leaves the run alone")
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def run(args: argparse.Namespace) -> int:
    """Print what happens in a run until it has ended, and its job with it, then what came of it."""
    from ptycho_core.base.events import Status, StopToken
    from ptycho_core.cli.progress import progress
    from ptycho_core.cli.train import report
    from ptycho_core.runs.follow import Follower, follow, wait_for_run

    wait_for_run(args.folder, StopToken(), say)
    follower = Follower(args.folder)
    with progress(args.quiet) as show:
        for event in follow(follower, StopToken(), say):
            show(event)
    report(follower.info, args.json)
    return 0 if follower.info.status in (Status.FINISHED, Status.STOPPED) else 3
