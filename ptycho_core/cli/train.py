"""`ptycho train`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.base.build_config import build_config, check_used, read_settings
from ptycho_core.base.choices import loss_of_scan
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError, TrainingError
from ptycho_core.cli.arguments import (
    add_knobs,
    add_reading,
    given_knobs,
    given_source,
    reads_as_given,
    refuse_accelerator,
)
from ptycho_core.cli.output import duration, print_json, report_problems, say, tell_verdict
from ptycho_core.cli.parser import Parser
from ptycho_core.runs.named_scans import named_scans

if TYPE_CHECKING:
    from ptycho_core.base.verdict import Verdict
    from ptycho_core.runs.record import RunInfo
    from ptycho_core.runs.reopening import RunScans
    from ptycho_core.scan.source import ScanSource


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.usage = (
        "ptycho train --train_data_file SCAN --output_dir OUT [settings]\n"
        "       ptycho train --scans LIST --output_dir OUT [settings]\n"
        "       ptycho train --resume OUT [settings]"
    )
    parser.add_argument(
        "--train-data-file",
        type=Path,
        action="append",
        default=[],
        metavar="SCAN",
        help="the scan to train on; given several times, or a folder of scans, one network is trained on all of them",
    )
    parser.add_argument(
        "--scans",
        type=Path,
        action="append",
        default=[],
        metavar="LIST",
        help="text file that names scans and folders to train on, one a line",
    )
    parser.add_argument("--test-data-file", type=Path, metavar="SCAN", help="another scan, to validate on")
    parser.add_argument("--output-dir", type=Path, metavar="OUT", help="folder for all that the run makes")
    parser.add_argument("--resume", type=Path, metavar="OUT", help="go on with the run in this folder")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON file of settings, which flags override",
    )
    add_reading(parser, trains=True)
    add_knobs(parser, KNOBS, Config())


def run(args: argparse.Namespace) -> int:
    """Train, print what came of it."""
    first = _is_first_process()
    config, scans = _read_resumed(args, first) if args.resume else _read_new(args, first)
    from ptycho_core.inspection.run_checks import check_run

    unused = check_used(given_knobs(args, KNOBS), config.engine)
    if first and report_problems(check_run(config, scans.first, scans.test, scans.further) + unused):
        return 2

    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.engines.training import train
    from ptycho_core.runs.record import read_run

    folder = args.resume or args.output_dir
    with progress(config.quiet) as events, stopped_by_signals(first) as stop:
        try:
            info = train(
                config,
                scans.first,
                folder,
                test_scan=scans.test,
                further_scans=scans.further,
                events=events,
                stop=stop,
                command=shlex.join(args.words),
                resume=bool(args.resume),
            )
        except TrainingError:
            if first:
                with contextlib.suppress(InputError):  # no record to read: the failure itself is told
                    _tell_failure(read_run(folder))
            raise
    if first:
        report(info, args.json)
    return 130 if stop.stop_requested else 0


def _is_first_process() -> bool:
    """Tell whether this is the first of several processes (torchrun, SLURM, Lightning), or the only one."""
    ranks = [os.environ[name] for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if name in os.environ]
    return not ranks or ranks[0] == "0"


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was set: in the config file, and over it by flags."""
    return {**(read_settings(args.config) if args.config else {}), **given_knobs(args, KNOBS)}


def names_scans(args: argparse.Namespace) -> bool:
    """Return whether a scan to train on was named."""
    return bool(args.train_data_file or args.scans)


def _read_new(args: argparse.Namespace, first: bool) -> tuple[Config, RunScans]:
    if not (names_scans(args) and args.output_dir):
        raise InputError("ptycho train needs --train_data_file SCAN and --output_dir OUT, or --resume OUT")
    first_path, *further = named_scans(args.train_data_file, args.scans)
    config = build_config(settings(args))
    refuse_accelerator(config.accelerator)
    from ptycho_core.preprocessing import open_scan
    from ptycho_core.runs.reopening import open_alike
    from ptycho_core.runs.run import refuse_folder

    if first:  # the others find the run of the first one there
        refuse_folder(args.output_dir)
    scans = open_alike(as_set(given_source(args, first_path, args.positions), config), further)
    test = open_scan(as_set(given_source(args, args.test_data_file), config)) if args.test_data_file else None
    return config, dataclasses.replace(scans, test=test)


def as_set(source: ScanSource, config: Config) -> ScanSource:
    """Return how a scan is read, in the field of the config, where that names one."""
    if config.propagator is None:
        return source
    return dataclasses.replace(source, settings={"propagator": config.propagator, **source.settings})


def _read_resumed(args: argparse.Namespace, first: bool) -> tuple[Config, RunScans]:
    if args.output_dir or reads_as_given(args):
        raise InputError("--resume goes on in its own folder and reads the scan as before: leave out the other flags")
    from ptycho_core.runs.record import read_run
    from ptycho_core.runs.reopening import open_scans
    from ptycho_core.runs.run import resumable, resumed_config

    info = resumable(args.resume) if first else read_run(args.resume)  # which the first one has begun again by now
    config = resumed_config(info, settings(args))
    refuse_accelerator(config.accelerator)
    return config, open_scans(info, named_scans(args.train_data_file, args.scans), args.test_data_file)


def report(info: RunInfo, as_json: bool) -> None:
    """Print what came of a run, and of its pictures where it has any since its end, and what can be done with it."""
    from ptycho_core.base.verdict import verdict_in
    from ptycho_core.cli.progress import figures
    from ptycho_core.runs.results import picture_of

    began = datetime.fromisoformat(info.resumed[-1]["at"]) if info.resumed else info.started
    seconds = ((info.ended or info.updated) - began).total_seconds()
    last = info.last_checkpoint if info.last_checkpoint.exists() else None
    pictures = [picture_of(info, place) for place in range(len(info.recorded_scans))]
    verdicts = [
        (verdict_in(picture.metrics) if picture else None) or info.of_scan(place).verdict
        for place, picture in enumerate(pictures)
    ]
    if as_json:
        print_json(
            {
                "folder": info.folder,
                "status": info.status,
                "reason": info.reason,
                "epochs": info.epochs_done,
                "seconds": seconds,
                "best_checkpoint": info.best_checkpoint,
                "last_checkpoint": last,
                "metrics": info.metrics,
                "verdict": verdicts[0],
                "picture": pictures[0].folder if pictures[0] else None,
            }
        )
    say(f"{info.status}: {info.reason} ({info.epochs_done} epochs, {duration(seconds)})  {figures(info.metrics)}")
    for place, name in enumerate(info.scan_names if info.further_scans else ()):
        if (loss := info.metrics.get(loss_of_scan(place))) is not None:
            say(f"{loss_of_scan(place)} {loss:.4f}: {name}")
    for message in info.rollbacks:
        say(message)
    for place, name in enumerate(info.scan_names):
        for check in info.of_scan(place).checks.values():
            say(check["message"])
        _tell_verdict(info, place, verdicts[place], name if info.further_scans else "")
    if info.best_checkpoint:
        epochs = [saved.epoch for saved in info.checkpoints if Path(saved.path) == info.best_checkpoint]
        say(f"best checkpoint: {info.best_checkpoint}" + "".join(f" (epoch {epoch})" for epoch in epochs))
    folder = shlex.quote(str(info.folder))
    if last and info.epochs_done < info.config.max_epochs:
        say(f"resume with: ptycho train --resume {folder}")
    for made in filter(None, pictures):
        say(f"the picture is in {made.folder}")
    if last and not any(pictures):
        say("two halves of the scan were not compared yet: ptycho reconstruct does that, and judges once more")
        say(f"reconstruct with: ptycho reconstruct {folder}")


def _tell_verdict(info: RunInfo, place: int, verdict: Verdict | None, scan: str) -> None:
    """Print the verdict on a run's picture of the scan at a place, and what to do next; or why there is none."""
    from ptycho_core.runs.command_line import Pictured

    if verdict is None:
        why = info.why_no_picture or f"the run was {info.status} before it was judged"
        say(f"no verdict{f' on {scan}' if scan else ''}: {why}")
        return
    tell_verdict(verdict, Pictured.of_run(info, place), scan)


def _tell_failure(info: RunInfo) -> None:
    """Print what to do next where a run has made no picture of a scan."""
    for place, name in enumerate(info.scan_names):
        if verdict := info.of_scan(place).verdict:
            _tell_verdict(info, place, verdict, name if info.further_scans else "")
