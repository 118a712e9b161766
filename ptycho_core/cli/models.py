"""`ptycho models`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.cli.arguments import add_reading, given_source, reads_as_given
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser

if TYPE_CHECKING:
    from ptycho_core.runs.models import KnownModel


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="where [default .]")
    parser.add_argument("--scan", type=Path, help="tell how each suits this scan, the best first")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Print a table of the bundles in a folder; with a scan, in the order in which they should be tried on it."""
    from ptycho_core.base.errors import InputError
    from ptycho_core.runs.models import BrokenModel, by_suitability, find_models

    if args.scan is None and reads_as_given(args):
        raise InputError("these flags say how a scan is read: name it with --scan")
    found = find_models(args.folder)
    rows = [_row(model) for model in found if not isinstance(model, BrokenModel)]
    if args.scan is not None:
        from ptycho_core.preprocessing import open_scan

        fits = by_suitability(found, open_scan(given_source(args, args.scan, args.positions)))
        rows = [{**_row(fit.model), "differs": [p.message for p in fit.differences]} for fit in fits]
    broken = [model for model in found if isinstance(model, BrokenModel)]
    if args.json:
        print_json([*rows, *({"model": model.path, "broken": model.reason} for model in broken)])
        return 0
    if not rows:
        say(
            f"there are no models of the network in {args.folder}, and those of the direct engine serve no other scan: "
            "ptycho export OUT model.zip makes one of a run of the network"
        )
    else:
        _print(rows)
    for model in broken:
        say(f"warning: {model.reason}")
    return 0


def _row(model: KnownModel) -> dict[str, Any]:
    from ptycho_core.inspection.suitability import scans_of

    summary = model.summary
    return {
        "model": model.path,
        "size": summary["size"],
        "beam_px": model.beam_px,
        "step_px": summary.get("step_px"),
        "energy_ev": summary.get("energy_ev"),
        "pixel_m": summary.get("pixel_m"),
        "brightest": summary["brightest"],
        "scan": summary.get("name", ""),
        "further_scans": [one.get("name", "") for one in scans_of(summary)[1:]],
        "patterns": summary["patterns"],
        model.config.monitor: model.score,
        "date": model.date,
        "note": model.note,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    judged = "differs" in rows[0]
    headings = ("model", "N", "beam", "step", "energy", "trained on", "loss", "date", "note")
    for heading in (*headings, "suits the scan") if judged else headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        loss = next((row[name] for name in row if name.endswith("_loss")), None)
        further = f" and {len(row['further_scans'])} more scans" if row["further_scans"] else ""
        cells = [
            str(row["model"]),
            str(row["size"]),
            f"{row['beam_px']:.3g} px",
            f"{row['step_px']:.3g} px" if row["step_px"] else "",
            f"{row['energy_ev']:.5g} eV" if row["energy_ev"] else "",
            f"{row['patterns']} patterns {row['scan']}".strip() + further,
            "" if loss is None else f"{loss:.4f}",
            row["date"][:10],
            row["note"],
        ]
        table.add_row(*cells, *(["; ".join(row["differs"]) or "yes"] if judged else []))
    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 1000, highlight=False, markup=False).print(table)
