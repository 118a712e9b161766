"""`ptycho series`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.cli.arguments import add_overwrite, refuse_existing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "list", type=Path, metavar="LIST", help="CSV file: a run's folder and its angle in degrees a line"
    )
    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="the .h5 file to write; a .csv table goes beside it"
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Write the stack and the table, print what is thought of each projection."""
    from ptycho_core.runs.series import read_series, write_series

    members = read_series(args.list)
    table = args.target.with_suffix(".csv")
    if table.resolve() == args.list.resolve():
        raise InputError(f"the table {table} would take the place of the list: give the stack another name")
    refuse_existing(args, [args.target, table])
    lines = write_series(members, args.target)
    if args.json:
        print_json(
            [
                {
                    "folder": line.member.path,
                    "angle_deg": line.member.angle_deg,
                    "verdict": line.verdict,
                    "failed": line.why,
                }
                for line in lines
            ]
        )
    for line in lines:
        told = f"failed: {line.why}" if line.why else line.verdict or "not judged"
        say(f"{line.member.angle_deg:g} degrees, {line.member.path}: {told}")
    for path in (args.target, table):
        say(f"wrote {path}")
    return 0
