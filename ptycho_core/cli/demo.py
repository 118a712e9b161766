"""`ptycho demo`."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ptycho_core.cli.output import print_json, say, tell_verdict
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("--output-dir", type=Path, default=Path("demo"), metavar="OUT", help="where to [default demo]")
    parser.add_argument("--quiet", action="store_true", help="print nothing but results and errors")


def run(args: argparse.Namespace) -> int:
    """Go the whole way from a simulated scan to an exported checkpoint; print where everything is."""
    from ptycho_core.base.atomic import explain_write_errors
    from ptycho_core.base.build_config import build_config
    from ptycho_core.base.verdict import verdict_in
    from ptycho_core.cli.progress import progress, stopped_by_signals
    from ptycho_core.engines.checkpoints import export_checkpoint, find_checkpoint
    from ptycho_core.engines.reconstruct import reconstruct, write_results
    from ptycho_core.engines.training import train
    from ptycho_core.formats import read_scan
    from ptycho_core.runs.command_line import Pictured
    from ptycho_core.runs.previews import kept_previews
    from ptycho_core.simulation import SimulationSpec, simulate
    from ptycho_core.simulation.files import write_simulation

    folder: Path = args.output_dir
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    scan_path, truth_path = write_simulation(simulate(SimulationSpec()), folder / "scan.npz")
    scan = read_scan(scan_path)
    config = build_config({"preset": "quick", "quiet": args.quiet})
    words = ["ptycho", "train", "--train_data_file", scan_path, "--output_dir", folder, "--preset", "quick"]
    command = shlex.join(map(str, words))
    with progress(args.quiet) as events, stopped_by_signals() as stop:
        info = train(config, scan, folder, events=events, stop=stop, command=command)
        if stop.stop_requested:
            say(f"{info.status}: {info.reason}")
            return 130
        checkpoint = find_checkpoint(info.folder, "best")
        with kept_previews(info.folder, events) as heard:
            reconstruction = reconstruct(scan, checkpoint, polish_epochs=10, events=heard, stop=stop)
    model = export_checkpoint(checkpoint, folder / "model.zip")
    files = {"scan": scan_path, "truth": truth_path, **write_results(reconstruction, folder).files, "checkpoint": model}
    if args.json:
        print_json({"metrics": reconstruction.metrics, "files": files})
    if verdict := verdict_in(reconstruction.metrics):
        tell_verdict(verdict, Pictured.of_run(info, 0))
    for name, path in files.items():
        say(f"{name}: {path}")
    return 130 if stop.stop_requested else 0
