"""`ptycho reconstruct`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob
from ptycho_core.base.verdict import verdict_in
from ptycho_core.cli.arguments import (
    add_accelerator,
    add_reading,
    given_source,
    reads_as_given,
    refuse_accelerator,
)
from ptycho_core.cli.output import print_json, report_problems, say, tell_verdict
from ptycho_core.cli.parser import Parser

if TYPE_CHECKING:
    from ptycho_core.runs.command_line import Pictured
    from ptycho_core.scan.scan import Scan

_POLISH = Knob(
    int,
    "Reconstruction",
    "epochs of the direct engine at the end; auto is 10 after the network's pass and none after the direct engine",
    minimum=0,
    none="auto",
)


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="a run's folder, or a new one for the results alone")
    parser.add_argument(
        "--checkpoint",
        default="best",
        metavar="WHICH",
        help="best or last of the run in OUT, or a .ckpt or .zip file, or another run's folder [default best]",
    )
    parser.add_argument("--scan", type=Path, help="the scan to reconstruct [default those of the run]")
    add_options(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")
    add_reading(parser)


def add_options(parser: Parser) -> None:
    """Add the flags that say how a scan is reconstructed."""
    parser.add_argument("--polish", default="auto", metavar="N", help=f"{_POLISH.help} [default auto]")
    parser.add_argument(
        "--no-halves",
        dest="halves",
        action="store_false",
        help="do not compare two halves of the scan, where seconds count: the resolution is not measured then",
    )
    parser.add_argument(
        "--no-final-pass",
        dest="final_pass",
        action="store_false",
        help="leave patterns that validated or were free out of the picture too: it is then the one that is scored",
    )
    parser.add_argument("--tile", type=int, metavar="N", help="width in pixels of the tiles that the network sees")
    add_accelerator(parser)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags of `add_options` say, as `engines.reconstruct.reconstruct` takes it."""
    accelerator = KNOBS["accelerator"].parse("accelerator", args.accelerator)
    refuse_accelerator(accelerator)
    return {
        "polish_epochs": _POLISH.parse("polish", args.polish),
        "halves": args.halves,
        "final_pass": args.final_pass,
        "accelerator": accelerator,
        "tile": args.tile,
    }


def run(args: argparse.Namespace) -> int:
    """Reconstruct, write the results, print where they are."""
    options = given_options(args)
    wanted = _wanted(args)
    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.engines.checkpoints import find_checkpoint

    checkpoint = find_checkpoint(args.folder if _has_run(args.folder) else None, args.checkpoint)
    made: list[dict[str, Any]] = []
    with progress(args.quiet) as events, stopped_by_signals() as stop:
        for one in wanted:
            if made and stop.stop_requested:
                break
            if len(wanted) > 1:
                say(f"scan {len(made) + 1} of {len(wanted)}: {one.name}")
            made.append(_make(one, checkpoint, {**options, "events": events, "stop": stop}))
    if args.json:
        print_json({**made[0], "further_scans": made[1:]} if len(wanted) > 1 else made[0])
    return 130 if stop.stop_requested else 0


@dataclass(frozen=True)
class _Wanted:
    """A scan to reconstruct: what it is called, how it is read, where its results go, and whence it is if of a run."""

    name: str
    read: Callable[[], Scan]
    folder: Path
    pictured: Pictured | None = None


def _make(one: _Wanted, checkpoint: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Reconstruct a scan, write the results, print and return what they are."""
    from ptycho_core.engines.checkpoints import check_checkpoint, load_checkpoint
    from ptycho_core.engines.reconstruct import reconstruct, write_results
    from ptycho_core.runs.command_line import Pictured
    from ptycho_core.runs.previews import kept_previews

    scan = one.read()
    report_problems(check_checkpoint(load_checkpoint(checkpoint), scan))
    with kept_previews(one.folder, options["events"]) as events:
        reconstruction = reconstruct(scan, checkpoint, **{**options, "events": events})
    written = write_results(reconstruction, one.folder)
    shown = {name: reconstruction.metrics[name] for name in ("free_deviance", "free_misfit", "misfit", "r_free")}
    say("  ".join(f"{name} {value:.4f}" if math.isfinite(value) else f"{name} -" for name, value in shown.items()))
    if verdict := verdict_in(reconstruction.metrics):
        config = Config.from_dict(reconstruction.config)
        tell_verdict(verdict, one.pictured or Pictured(config, [scan.source], one.folder))
    if "final_pass" in reconstruction.metrics:
        say(f"final pass: {reconstruction.metrics['final_pass']}")
    for path in written.files.values():
        say(f"wrote {path}")
    if written.earlier:
        say(f"the reconstruction before it is now in {written.earlier}")
    return {"checkpoint": checkpoint, "metrics": reconstruction.metrics, "files": written.files}


def _has_run(folder: Path) -> bool:
    return (folder / "run.json").exists()


def _wanted(args: argparse.Namespace) -> list[_Wanted]:
    """Return the scan that is named, as the run has read it if it is one of its own; else all that the run has."""
    from ptycho_core.preprocessing import open_scan
    from ptycho_core.runs.command_line import Pictured
    from ptycho_core.runs.record import folder_of_scan, read_run
    from ptycho_core.runs.recorded_scan import is_recorded_file, open_recorded

    info = read_run(args.folder) if _has_run(args.folder) else None
    if info and not reads_as_given(args):
        all_of_run = [
            _Wanted(
                name,
                partial(open_recorded, recorded, args.scan),
                folder_of_scan(args.folder, place, recorded.path),
                Pictured.of_run(info, place),
            )
            for place, (name, recorded) in enumerate(zip(info.scan_names, info.recorded_scans, strict=True))
        ]
        if args.scan is None:
            return all_of_run
        for one, recorded in zip(all_of_run, info.recorded_scans, strict=True):
            if recorded.file and is_recorded_file(args.scan, recorded.file):
                return [one]
    if args.scan is None:
        missing = "run in" if args.folder.is_dir() else "folder"
        raise InputError(f"there is no {missing} {args.folder}, so say which scan to reconstruct with --scan")
    return [_Wanted(args.scan.name, lambda: open_scan(given_source(args, args.scan, args.positions)), args.folder)]
