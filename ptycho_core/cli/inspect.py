"""`ptycho inspect`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ptycho_core.cli.arguments import add_overwrite, add_reading, given_source, refuse_existing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan to look at")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw patterns, positions and probe to this picture")
    parser.add_argument(
        "--propose-mapping",
        type=Path,
        metavar="FILE",
        help="only write to this JSON file what seems to be what in a scan of no known format, to look over",
    )
    add_overwrite(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Print what the scan is; exit code 2 where something in it prevents a reconstruction."""
    if args.propose_mapping:
        return _propose(args)
    from ptycho_core.formats import installed_readers
    from ptycho_core.inspection.inspection import describe, plot_scan, scan_figures
    from ptycho_core.preprocessing import open_scan

    scan = open_scan(given_source(args, args.scan, args.positions))
    info = scan_figures(scan)
    if args.json:
        print_json(info)
    else:
        say(describe(info))
    for problem in installed_readers().problems:
        say(f"warning: {problem}")
    if args.plot:
        plot_scan(scan, args.plot)
        say(f"wrote {args.plot}")
    return 2 if any(problem["severity"] == "error" for problem in info["problems"]) else 0


def _propose(args: argparse.Namespace) -> int:
    from ptycho_core.formats.mapping.proposal import propose_file
    from ptycho_core.scan.mapping import OPEN, write_mapping

    refuse_existing(args, [args.propose_mapping])
    found = propose_file(args.scan, args.positions)
    mapping = found.mapping
    assert mapping is not None
    write_mapping(mapping, args.propose_mapping)
    if args.json:
        print_json(mapping.to_dict())
    for remark in found.remarks:
        say(remark)
    if mapping.guessed:
        say(f"not stated anywhere, so look at it above all: {', '.join(mapping.guessed)}")
    if mapping.open:
        say(f"still open, '{OPEN}' in the file: {' and '.join(mapping.open)}")
    positions = f" --positions {shlex.quote(str(args.positions))}" if args.positions else ""
    say(f"wrote {args.propose_mapping}: a guess, so look it over, change what is not right, and read the scan with")
    say(f"  ptycho inspect {shlex.quote(str(args.scan))}{positions} --mapping {shlex.quote(str(args.propose_mapping))}")
    return 0
