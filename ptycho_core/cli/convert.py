"""`ptycho convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.cli.arguments import add_overwrite, add_reading, given_source, refuse_existing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan to read")
    parser.add_argument("target", type=Path, metavar="TARGET", help="to write: .cxi, or .npz as PtychoPINN reads it")
    parser.add_argument("--no-compress", action="store_true", help="a larger file that is read faster")
    add_overwrite(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Read, write, print what was written."""
    from ptycho_core.formats.writers.exports import scan_format_of, write_scan
    from ptycho_core.preprocessing import open_scan

    format = scan_format_of(args.target)
    refuse_existing(args, [args.target])
    scan = open_scan(given_source(args, args.scan, args.positions))
    path = write_scan(scan, args.target, format, compress=not args.no_compress)
    if args.json:
        print_json({"files": [path], "history": scan.history})
    for sentence in scan.history:
        say(sentence)
    say(f"wrote {path}")
    return 0
