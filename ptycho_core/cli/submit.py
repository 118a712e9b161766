"""`ptycho submit`."""

from __future__ import annotations

import argparse
import os
import shlex

from ptycho_core.cli import train
from ptycho_core.cli.output import print_json, say
from ptycho_core.cli.parser import Parser


def configure(parser: Parser) -> None:
    """Add the flags of ``ptycho train``."""
    train.configure(parser)
    parser.usage = (parser.usage or "").replace("ptycho train", "ptycho submit")


def run(args: argparse.Namespace) -> int:
    """Write the job script of a run into its folder and hand it over."""
    from ptycho_core.base.build_config import build_config
    from ptycho_core.base.errors import InputError
    from ptycho_core.runs.job import log_of
    from ptycho_core.runs.run import resumable, resumed_config
    from ptycho_core.runs.site import read_site
    from ptycho_core.runs.submission import Submitted, submit

    folder = args.resume or args.output_dir
    if folder is None or not (args.resume or train.names_scans(args)):
        raise InputError("ptycho submit needs --train_data_file SCAN and --output_dir OUT, or --resume OUT")
    settings = train.settings(args)
    config = resumed_config(resumable(folder), settings) if args.resume else build_config(settings)
    words = [word for word in args.words[2:] if word not in ("--json", "--debug")]
    command = shlex.join(["ptycho", "train", *words])
    job = submit(Submitted(folder, command, config, resumes=bool(args.resume)), read_site(os.environ))
    if args.json:
        print_json({"folder": folder.absolute(), "job": job.id})
    say(f"submitted as job {job.id}, which prints into {log_of(folder, job)}")
    say(f"see it go on with: ptycho follow {shlex.quote(str(folder))}")
    return 0
