"""`ptycho stop`."""

from __future__ import annotations

import argparse
import shlex
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
    asked = ask(args.folder, wish)
    if args.json:
        print_json({"folder": args.folder.absolute(), "asked": asked})
    say(f"{asked}; see how it ends with: ptycho follow {shlex.quote(str(args.folder))}")
    return 0
