"""`ptycho inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.cli.arguments import Parser, add_reading, read
from ptycho_core.cli.output import print_json, say


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan to look at")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw patterns, positions and probe to this picture")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Print what the scan is; exit code 2 where something in it prevents a reconstruction."""
    from ptycho_core.inspection import describe, inspect_scan, plot_scan

    scan = read(args, args.scan, args.positions)
    info = inspect_scan(scan)
    if args.json:
        print_json(info)
    else:
        say(describe(info))
    if args.plot:
        plot_scan(scan, args.plot)
        say(f"wrote {args.plot}")
    return 2 if any(problem["severity"] == "error" for problem in info["problems"]) else 0
