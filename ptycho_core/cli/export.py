"""`ptycho export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.cli.arguments import Parser
from ptycho_core.cli.output import print_json, say


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="the run's folder")
    parser.add_argument("target", type=Path, metavar="TARGET", help="the file to write, or a folder for several")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--checkpoint",
        default="best",
        metavar="WHICH",
        help="export this checkpoint, best, last or a file, to a .zip bundle or a .ckpt [default best]",
    )
    what.add_argument("--format", metavar="FORMAT", help="export the reconstruction: npz, product, cxi, tiff or png")


def run(args: argparse.Namespace) -> int:
    """Export, print what was written."""
    if args.format:
        from ptycho_core.formats.writers.exports import export, read_reconstruction

        source = args.folder / "reconstruction" / "reconstruction.npz"
        if not source.exists():
            raise InputError(f"there is no reconstruction in {args.folder}: make one with ptycho reconstruct")
        files = export(read_reconstruction(source), args.target, args.format)
    else:
        from ptycho_core.engines.checkpoints import export_checkpoint, find_checkpoint

        run_folder = args.folder if (args.folder / "run.json").exists() else None
        files = [export_checkpoint(find_checkpoint(run_folder, args.checkpoint), args.target)]
    if args.json:
        print_json({"files": files})
    for path in files:
        say(f"wrote {path}")
    return 0
