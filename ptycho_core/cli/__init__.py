"""`ptycho ...`: parses, calls, prints. One module per command, imported when that command is asked for."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from ptycho_core import __version__
from ptycho_core.base.errors import InputError, PtychoError, did_you_mean, sentence_of
from ptycho_core.cli.output import say
from ptycho_core.cli.parser import Parser, dashed

COMMANDS = {
    "now": "make the best picture of a scan that some minutes allow",
    "train": "train on a scan, and keep checkpoints",
    "submit": "hand a run to the batch system as a job",
    "follow": "show how a run goes on that another process trains",
    "stop": "end a run that another process trains",
    "tune": "try settings on a part of a scan, and tell which are best",
    "reconstruct": "reconstruct a scan with a checkpoint",
    "watch": "reconstruct the scans that arrive in a folder, and show them while they are measured",
    "export": "export a checkpoint or a reconstruction",
    "inspect": "say what a scan file holds and what is wrong with it",
    "orient": "find out how a scan's patterns have to be turned to fit its positions",
    "convert": "write a scan in another format",
    "simulate": "simulate a scan with known truth",
    "runs": "list the runs in a folder",
    "queue": "list the runs that wait in the queue, or do them",
    "models": "list trained models, and say which suit a scan",
    "series": "put reconstructions at many angles into one stack for tomography",
    "note": "write sample and comment to a run, or show them",
    "demo": "simulate, train, reconstruct and export, in a few minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 done, 2 bad input, 3 failed, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    # Threads that spin while they wait make every other program on the same cores several times slower, and are
    # slowed themselves by it; read by OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        args = parse(given)
        code: int = importlib.import_module(f"ptycho_core.cli.{args.command}").run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # the interpreter flushes again on its way out
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("ptycho: interrupted")
        return 130
    except Exception as error:
        if "--debug" in given:
            traceback.print_exc()
        if isinstance(error, PtychoError):
            say(f"error: {error}{f'; {error.by_command}' if error.by_command else ''}")
            return error.exit_code
        say(f"error: {sentence_of(error)}; run again with --debug for its traceback")
        return 3


def parse(given: list[str]) -> argparse.Namespace:
    """Return the arguments of one command; ``words`` holds all of them as they were given.

    Raises
    ------
    InputError
        An argument is missing, unknown or wrong.
    """
    parser = Parser(prog="ptycho", description="Ptychographic reconstruction, from a scan to a picture")
    parser.add_argument("--version", action="version", version=f"ptycho {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands = {}
    for name, help in COMMANDS.items():
        command = commands[name] = subparsers.add_parser(name, help=help, description=help.capitalize() + ".")
        if name in given:  # its flags may cost imports
            importlib.import_module(f"ptycho_core.cli.{name}").configure(command)
            command.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
            command.add_argument("--debug", action="store_true", help="print the traceback of an error")
    args, unknown = parser.parse_known_args(dashed(given))
    if unknown:
        flags, manual = commands[args.command].flags(), f"see ptycho {args.command} --help"
        hint = did_you_mean(unknown[0].partition("=")[0], flags, manual)
        raise InputError(f"ptycho {args.command} does not know {unknown[0]}; {hint}")
    args.words = ["ptycho", *given]
    return args
