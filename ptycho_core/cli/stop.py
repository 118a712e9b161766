"""`ptycho stop`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder of the run")
    parser.add_argument("--now", action="store_true", help="leave at once; the last saved epoch stays")


def run(args: argparse.Namespace) -> int:
    """Ask a run to finish its batch, validate and save, or to leave at once."""
    from ptycho_core.runs.requests import Wish, ask

    wish = Wish.CANCEL if args.now else Wish.STOP
    info = ask(args.folder, wish)
    if args.json:
        print_json({"folder": info.folder, "asked": wish})
    process = info.process
    say(f"process {process.pid} on {process.host} was asked to {wish}; see it end with: ptycho follow {args.folder}")
    return 0
