"""`ptycho runs`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.base.codec import json_ready
from ptycho_core.cli.arguments import refuse_missing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser

if TYPE_CHECKING:
    from ptycho_core.runs.listing import Found
    from ptycho_core.runs.results import Result


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="where [default .]")


def run(args: argparse.Namespace) -> int:
    """Print tables of the runs in a folder and of what their models made of other scans; then of parts of runs."""
    refuse_missing(args.folder)
    from ptycho_core.runs.listing import Kind, find_listed
    from ptycho_core.runs.results import find_applied

    rows = [_row(found) for found in find_listed(args.folder)]
    rows += [_applied(found) for found in find_applied(args.folder)]
    if args.json:
        print_json(rows)
        return 0
    if not rows:
        say(f"there are no runs in {args.folder}")
    for kind, title in ((Kind.RUN, ""), (Kind.TRIAL, "Trials of searches"), (Kind.EARLIER, "Earlier versions")):
        if listed := [row for row in rows if row["kind"] == kind]:
            _print_table(listed, title)
    return 0


def _print_table(rows: list[dict[str, Any]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for heading in ("run", "status", "verdict", "started", "scan", "preset", "epochs", "best", "note"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        best = "" if row.get("best") is None else f"{row['monitor']} {row['best']:.4f}"
        if row.get("free_misfit") is not None:
            best = f"free_misfit {row['free_misfit']:.4f}"
        done = [f"{row['epochs']}/{row['max_epochs']}"] if "epochs" in row else []
        epochs = "; ".join([*done, row["reason"]] if row["status"] == "waiting" or not done else done)
        started = str(row.get("started", ""))[:16].replace("T", " ")
        further = row.get("further_scans")
        scan = Path(row.get("scan") or "").name + (f" and {len(further)} more" if further else "")
        verdict = row["verdict"]["level"] if row.get("verdict") else ""
        note = str(row.get("note", ""))
        table.add_row(row["folder"], row["status"], verdict, started, scan, row.get("preset", ""), epochs, best, note)
    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 1000, highlight=False, markup=False).print(table)


def _applied(found: Result) -> dict[str, Any]:
    from ptycho_core.runs.listing import kind_of
    from ptycho_core.runs.note import read_note

    told, folder = found.metrics, found.folder.parent
    return {
        "folder": str(folder),
        "kind": kind_of(folder),
        "status": "applied",
        "reason": f"of {told.get('checkpoint')}",
        "free_misfit": told.get("free_misfit"),
        "verdict": told.get("verdict"),
        "note": read_note(folder),
    }


def _row(found: Found) -> dict[str, Any]:
    from ptycho_core.runs.listing import info_of, kind_of
    from ptycho_core.runs.note import read_note
    from ptycho_core.runs.results import find_results, verdict_of

    row = {"folder": str(found.folder), "kind": kind_of(found.folder), "status": found.status, "reason": found.reason}
    if (info := info_of(found)) is None:
        return row
    return row | {
        "started": info.started.isoformat(),
        "scan": str(info.scan.path) if info.scan.path else None,
        "further_scans": [str(one.scan.path) if one.scan.path else None for one in info.further_scans],
        "preset": info.config.preset,
        "epochs": info.epochs_done,
        "max_epochs": info.config.max_epochs,
        "monitor": info.config.monitor,
        "best": info.best_value,
        "verdict": json_ready(verdict_of(info, find_results(info.folder))),
        "note": read_note(info.folder),
    }
