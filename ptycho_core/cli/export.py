"""`ptycho export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.cli.arguments import add_overwrite, refuse_existing, refuse_missing
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser

_ANIMATION = "animation"


def configure(parser: Parser) -> None:
    """Add the command's flags."""
    parser.add_argument("folder", type=Path, metavar="OUT", help="the run's folder")
    parser.add_argument("target", type=Path, metavar="TARGET", help="the file to write, or a folder for several")
    add_overwrite(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--checkpoint",
        default="best",
        metavar="WHICH",
        help="export this checkpoint, best, last or a file, to a .zip bundle or a .ckpt [default best]",
    )
    what.add_argument(
        "--format",
        metavar="FORMAT",
        help="export the reconstruction: npz, product, cxi, tiff, png or page; or the run's course: animation",
    )


def run(args: argparse.Namespace) -> int:
    """Export, print what was written."""
    if args.format == _ANIMATION:
        files = [_export_animation(args)]
    elif args.format:
        from ptycho_core.formats.writers.exports import export, files_of_export
        from ptycho_core.runs.results import read_newest

        refuse_missing(args.folder)
        refuse_existing(args, files_of_export(args.target, args.format)[1])
        found = read_newest(args.folder)
        if found is None:
            raise InputError(f"there is no reconstruction in {args.folder}: make one with ptycho reconstruct")
        files = export(found, args.target, args.format)
    else:
        of_run = args.checkpoint in ("best", "last")
        if of_run:
            refuse_missing(args.folder)
        refuse_existing(args, [args.target])
        from ptycho_core.engines.checkpoints import export_checkpoint, find_checkpoint

        files = [export_checkpoint(find_checkpoint(args.folder if of_run else None, args.checkpoint), args.target)]
    if args.json:
        print_json({"files": files})
    for path in files:
        say(f"wrote {path}")
    return 0


def _export_animation(args: argparse.Namespace) -> Path:
    """Write the pictures that were kept while a run went on as one that moves."""
    refuse_missing(args.folder)
    from ptycho_core.quality.animation import check_animation, write_animation
    from ptycho_core.runs.previews import read_previews

    target: Path = args.target
    check_animation(target)
    refuse_existing(args, [target])
    write_animation(read_previews(args.folder), target, name=args.folder.absolute().name)
    return target
