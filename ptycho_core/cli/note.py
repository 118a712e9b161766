"""`ptycho note`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ptycho_core.cli.arguments import refuse_missing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.usage = "ptycho note OUT [COMMENT] [--sample TEXT]"
    parser.add_argument("folder", type=Path, metavar="OUT", help="the folder of the run or the reconstruction")
    parser.add_argument("comment", nargs="?", metavar="COMMENT", help="write this comment; an empty one removes it")
    parser.add_argument("--sample", metavar="TEXT", help="write the name of the sample; an empty one removes it")


def run(args: argparse.Namespace) -> int:
    """Write what was given, print the note as it is now."""
    refuse_missing(args.folder)
    from ptycho_core.runs.note import read_note, write_note

    note = read_note(args.folder)
    given = {name: text for name in ("sample", "comment") if (text := getattr(args, name)) is not None}
    if given:
        note = dataclasses.replace(note, **given)
        write_note(args.folder, note)
    if args.json:
        print_json(note)
    say(str(note) or f"there is no note in {args.folder}")
    return 0
