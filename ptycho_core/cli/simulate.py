"""`ptycho simulate`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from ptycho_core.cli.arguments import add_knobs, add_overwrite, given_knobs, refuse_existing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import files_of, write_simulation

_KNOBS = {field.name: field.metadata["knob"] for field in dataclasses.fields(SimulationSpec)}
_IN_MEMORY_PIXELS = 2**28


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.usage = "ptycho simulate TARGET [settings]"
    parser.add_argument("target", type=Path, metavar="TARGET", help="to write: .cxi, or .npz as PtychoPINN reads it")
    add_overwrite(parser)
    add_knobs(parser, _KNOBS, SimulationSpec())


def run(args: argparse.Namespace) -> int:
    """Simulate, write scan and truth, print where they are."""
    spec = SimulationSpec(**given_knobs(args, _KNOBS))
    refuse_existing(args, files_of(args.target))
    in_memory = spec.n_patterns * spec.size**2 <= _IN_MEMORY_PIXELS
    scan, truth = write_simulation(simulate(spec, in_memory=in_memory), args.target)
    if args.json:
        print_json({"scan": scan, "truth": truth, "spec": spec})
    say(f"wrote {spec.n_patterns} patterns of {spec.size} x {spec.size} to {scan}, their truth to {truth}")
    return 0
