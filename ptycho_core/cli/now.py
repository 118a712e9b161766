"""`ptycho now`."""

from __future__ import annotations

import argparse
import math
import shlex
import time
from pathlib import Path

from ptycho_core.cli.arguments import add_accelerator, add_reading, given_source, refuse_accelerator
from ptycho_core.cli.output import duration, print_json, problem_line, say, tell_verdict
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan")
    parser.add_argument(
        "--output-dir", type=Path, metavar="OUT", help="folder for the run and its picture [default SCAN-picture]"
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, metavar="X", help="in how many it is to be over [default 5]"
    )
    add_accelerator(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Make the picture; print what was done, what is thought of it, and where it is."""
    began = time.monotonic()
    refuse_accelerator(args.accelerator)
    source = given_source(args, args.scan, args.positions)
    folder = args.output_dir or Path(f"{args.scan.stem}-picture")
    if not args.quiet:
        say(f"a picture of {args.scan.name}: {duration(60 * args.minutes)} at most")

    from ptycho_core.base.verdict import verdict_in
    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.engines.best_picture import best_picture
    from ptycho_core.runs.command_line import Pictured
    from ptycho_core.runs.run import refuse_folder

    refuse_folder(folder)
    with progress(args.quiet) as events, stopped_by_signals() as stop:
        made = best_picture(
            source,
            folder,
            minutes=args.minutes,
            began=began,
            accelerator=args.accelerator,
            events=events,
            stop=stop,
            command=shlex.join(args.words),
        )
    metrics = made.reconstruction.metrics
    for fix in made.prepared:
        say(f"prepared: {fix.label}")
    for problem in made.looked.problems:
        say(problem_line(problem))
    if args.json:
        print_json({"folder": folder, "metrics": metrics, "files": made.written.files})
    told = {name: metrics[name] for name in ("free_deviance", "free_misfit", "misfit")}
    say("  ".join(f"{name} {value:.4f}" if math.isfinite(value) else f"{name} -" for name, value in told.items()))
    if verdict := verdict_in(metrics):
        config = made.run.config.replace(max_time=None, quiet=False)  # which were set for these minutes alone
        tell_verdict(verdict, Pictured(config, [made.run.scan.source], folder))
    for path in made.written.files.values():
        say(f"wrote {path}")
    return 130 if stop.stop_requested else 0
