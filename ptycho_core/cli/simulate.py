"""`ptycho simulate`."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from ptycho_core.base.knobs import Knob
from ptycho_core.cli.arguments import add_knobs, add_overwrite, given_knobs, refuse_existing
from ptycho_core.cli.output import duration, print_json, say
from ptycho_core.cli.parser import Parser
from ptycho_core.cli.progress import stopped_by_signals
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import files_of, write_simulation, write_simulation_live

_KNOBS = {field.name: field.metadata["knob"] for field in dataclasses.fields(SimulationSpec)}
_LIVE = Knob(
    float,
    "Live",
    "write a .cxi as a detector does, so many patterns a second, readable meanwhile (SWMR)",
    above=0,
)
_IN_MEMORY_PIXELS = 2**28


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.usage = "ptycho simulate TARGET [settings]"
    parser.add_argument("target", type=Path, metavar="TARGET", help="to write: .cxi, or .npz as PtychoPINN reads it")
    parser.add_argument("--live", metavar="RATE", help=_LIVE.help)
    add_overwrite(parser)
    add_knobs(parser, _KNOBS, SimulationSpec())


def run(args: argparse.Namespace) -> int:
    """Simulate, write scan and truth, print where they are."""
    spec = SimulationSpec(**given_knobs(args, _KNOBS))
    rate = None if args.live is None else _LIVE.parse("live", args.live)
    refuse_existing(args, files_of(args.target))
    in_memory = spec.n_patterns * spec.size**2 <= _IN_MEMORY_PIXELS
    sim = simulate(spec, in_memory=in_memory)
    written, took, code = spec.n_patterns, "", 0
    if rate is None:
        scan, truth = write_simulation(sim, args.target)
    else:
        scan, truth = files_of(args.target)
        with stopped_by_signals() as stop:
            begun = time.monotonic()
            written = write_simulation_live(sim, scan, rate, stop)
            took = f" in {duration(time.monotonic() - begun)}"
            code = 130 if stop.stop_requested else 0
    if args.json:
        print_json({"scan": scan, "truth": truth, "spec": spec})
    say(f"wrote {written} patterns of {spec.size} x {spec.size} to {scan}{took}, their truth to {truth}")
    return code
