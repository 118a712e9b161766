"""`ptycho watch`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.base.events import Event, ScanOver, WatchTold
from ptycho_core.base.knobs import Knob
from ptycho_core.cli.arguments import add_reading, given_source
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser
from ptycho_core.cli.reconstruct import add_options, given_options
from ptycho_core.runs.arrivals import GLOBS, OUT

_KNOBS = {
    "look_every": Knob(float, "Watching", "seconds between two looks at the folder", above=0),
    "quiet_time": Knob(
        float,
        "Watching",
        "seconds without a change after which a scan counts as complete though its file is still open, or parts are "
        "missing; or as failed if it cannot be opened",
        above=0,
    ),
}


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where scans arrive")
    parser.add_argument(
        "--checkpoint", required=True, metavar="FILE", help="a network's .zip or .ckpt file, or its run's folder"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"gets a folder for each scan, and the journal [default {OUT} in FOLDER]",
    )
    parser.add_argument(
        "--glob",
        action="append",
        metavar="NAME",
        help=f"which files are scans, as '*_master.h5'; may be repeated [default {', '.join(GLOBS)}]",
    )
    parser.add_argument("--look-every", default="2", metavar="X", help=f"{_KNOBS['look_every'].help} [default 2]")
    parser.add_argument("--quiet-time", default="60", metavar="X", help=f"{_KNOBS['quiet_time'].help} [default 60]")
    parser.add_argument(
        "--export",
        action="append",
        default=[],
        metavar="FORMAT",
        help="a format beside npz, product, tiff and png: cxi or page; may be repeated",
    )
    parser.add_argument("--once", action="store_true", help="end when the scans that are there are done")
    add_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C, and tell of each scan."""
    every, quiet_time = (knob.parse(name, getattr(args, name)) for name, knob in _KNOBS.items())
    options = given_options(args)

    from ptycho_core.cli.progress import stopped_by_signals, told
    from ptycho_core.engines.checkpoints import find_checkpoint
    from ptycho_core.engines.watch import JOURNAL, Rules, watch

    rules = Rules(
        find_checkpoint(None, args.checkpoint),
        given_source(args, args.folder, args.positions),
        tuple(args.glob or GLOBS),
        tuple(args.export),
        options,
        every,
        quiet_time,
        args.once,
    )
    out = args.out or args.folder / OUT

    def show(event: Event) -> None:
        if isinstance(event, ScanOver | WatchTold) or not args.quiet:
            for line in told(event):
                say(line)

    if not args.quiet:
        say(f"watching {args.folder}: what comes of each scan goes to {out}")
    with stopped_by_signals() as stop:
        watch(args.folder, out, rules, show, stop)
    if args.json:
        print_json({"journal": out / JOURNAL})
    say(f"the journal is {out / JOURNAL}")
    return 0
