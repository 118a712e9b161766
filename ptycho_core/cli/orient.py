"""`ptycho orient`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.base.config import KNOBS
from ptycho_core.cli.arguments import add_accelerator, add_reading, given_source, refuse_accelerator
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser
from ptycho_core.scan.orientation import half_turn_of, rivals


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan whose patterns may be turned")
    parser.add_argument(
        "--patterns", type=int, default=200, metavar="N", help="how many, in the scan's middle, to try [default 200]"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="of the direct engine for each orientation [default 8 for 200 patterns, more for fewer]",
    )
    add_accelerator(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Try all orientations, print them with the best first."""
    accelerator = KNOBS["accelerator"].parse("accelerator", args.accelerator)
    refuse_accelerator(accelerator)
    from ptycho_core.preprocessing import open_scan

    scan = open_scan(given_source(args, args.scan, args.positions))

    from ptycho_core.cli.progress import stopped_by_signals
    from ptycho_core.engines.orientation_search import search_orientation

    with stopped_by_signals() as stop:
        trials = search_orientation(
            scan, patterns=args.patterns, epochs=args.epochs, accelerator=accelerator, stop=stop
        )
    if args.json:
        print_json(trials)
    for trial in trials:
        say(f"--orient {trial.orientation}  deviance {trial.deviance:.4f}  misfit {trial.misfit:.3f}")
    if stop.stop_requested:
        return 130
    best, close = trials[0], rivals(trials)
    if close == [half_turn_of(best.orientation)]:
        say(
            f"add --orient {best.orientation}, or {close[0]}, which fits as well with the phases of object and probe "
            "reversed: only a probe that is known, or an object, tells them apart"
        )
    elif close:
        say(f"{', '.join(close)} fit nearly as well as {best.orientation}: try more --epochs, or more --patterns")
    elif best.orientation == "+y+x":
        say("the patterns fit the positions as they are")
    else:
        say(f"add --orient {best.orientation} to the flags of the commands that read this scan")
    return 0
