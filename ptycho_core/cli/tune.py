"""`ptycho tune`."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ptycho_core.base.atomic import write_json
from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import Status
from ptycho_core.cli.arguments import add_knobs, add_reading, given_source, refuse_accelerator
from ptycho_core.cli.output import duration, print_json, report_problems, say
from ptycho_core.cli.parser import Parser
from ptycho_core.cli.train import as_set, settings

if TYPE_CHECKING:
    from ptycho_core.runs.trials import Outcome


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.usage = "ptycho tune SCAN --output-dir OUT --vary NAME=VALUE,VALUE [--vary ...] [settings]"
    parser.add_argument("scan", type=Path, metavar="SCAN", help="the scan to try them on")
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="OUT", help="folder of the search: a run for each trial"
    )
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="NAME=VALUE,VALUE",
        help="a setting, and the values to try; may be repeated: each combination is a trial",
    )
    parser.add_argument(
        "--patterns", type=int, metavar="N", help="about how many patterns of the middle are used [default all]"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="JSON file of settings, which flags override")
    add_reading(parser, trains=True)
    add_knobs(parser, KNOBS, Config())


def run(args: argparse.Namespace) -> int:
    """Make the trials that are not done yet; print all of them, the best first, and what makes a run of the best."""
    from ptycho_core.runs.trials import BEST, parse_varied, plan, ranked

    varied, shared = parse_varied(args.vary), settings(args)
    trials = plan(shared, varied, args.output_dir)
    config, source = build_config(shared), given_source(args, args.scan, args.positions)
    refuse_accelerator(config.accelerator)
    from ptycho_core.inspection.run_checks import check_run
    from ptycho_core.preprocessing import open_scan

    scan = open_scan(as_set(source, config))
    problems = {problem: None for trial in trials for problem in check_run(trial.config, scan)}
    if report_problems(problems):
        return 2

    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.engines.tune import tune

    with progress(config.quiet) as events, stopped_by_signals() as stop:
        outcomes = tune(
            scan,
            args.output_dir,
            shared,
            varied,
            patterns=args.patterns,
            events=events,
            stop=stop,
            command=shlex.join(args.words),
        )
    if args.json:
        print_json([_row(outcome) for outcome in outcomes])
    _table(outcomes)
    best, left = ranked(outcomes), [one for one in outcomes if one.left]
    if best:
        for path, body in source.needed_files(args.output_dir).items():
            write_json(path, body)
        words = ["ptycho", "train", "--train-data-file", args.scan, "--output-dir", "OUT"]
        words += [*source.to_flags(args.output_dir), "--config", args.output_dir / BEST]
        say(f"best: {best[0].trial.in_words}; for a run of it: {shlex.join(map(str, words))}")
    if left:
        say(f"{len(left)} trials are left: the same command goes on with them")
    if stop.stop_requested:
        return 130
    for reason in {one.reason: None for one in outcomes if one.status == Status.FAILED}:
        say(f"failed: {reason}")
    return 0 if best else TrainingError.exit_code


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "trial": outcome.trial.number,
        "settings": outcome.trial.settings,
        "status": outcome.status,
        "reason": outcome.reason,
        "deviance": outcome.deviance if math.isfinite(outcome.deviance) else None,
        "epochs": outcome.epochs,
        "seconds": outcome.seconds,
        "folder": outcome.trial.folder,
    }


def _table(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("trial", *outcomes[0].trial.settings, "deviance", "epochs", "time", "status"):
        table.add_column(heading, overflow="fold")
    for one in sorted(outcomes, key=lambda one: one.deviance):
        values = (KNOBS[name].text(value) for name, value in one.trial.settings.items())
        deviance = f"{one.deviance:.4f}" if math.isfinite(one.deviance) else "-"
        status = "not begun" if one.status is None else str(one.status)
        time = duration(one.seconds) if one.status else ""
        table.add_row(str(one.trial.number), *values, deviance, str(one.epochs), time, status)
    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 1000, highlight=False, markup=False).print(table)
