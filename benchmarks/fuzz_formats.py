"""Damaged files of every format, each opened under limits of time and memory: a scan, one sentence, or a failure."""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.damage import damage
from tests.helpers.damaged_subjects import SUBJECTS, open_as_operators_do

SECONDS = 5.0
BYTES = 2**30
"""What opening one file may take: processor time, and address space above that of the program itself."""
PATIENCE = 30.0
"""Seconds by the clock until a file that has the program wait, for a pipe say, has failed too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUBJECTS)} [default all]")
    parser.add_argument("--files", type=int, default=2000, metavar="N", help="per format [default %(default)s]")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first file's seed [default 0]")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where files that fail are copied to")
    args = parser.parse_args()
    print("| format | files | opened as a scan | refused in one sentence | failed |\n|---|---|---|---|---|", flush=True)
    totals: Counter[str] = Counter()
    for name in args.names or SUBJECTS:
        counts = fuzz(name, range(args.first, args.first + args.files), args.keep)
        totals += counts
        print(_line(name, counts), flush=True)
    print(_line("all", totals))
    sys.exit(totals["failed"] > 0)


def _line(name: str, counts: Counter[str]) -> str:
    columns = (counts.total(), counts["scan"], counts["sentence"], counts["failed"])
    return f"| {name} | " + " | ".join(f"{count:,}" for count in columns) + " |"


def fuzz(name: str, seeds: range, keep: Path | None) -> Counter[str]:
    """Open a damaged file for each seed, in a process that is replaced when a file has killed it."""
    counts: Counter[str] = Counter()
    context = multiprocessing.get_context("fork")
    while len(seeds):
        ours, its = context.Pipe()
        with tempfile.TemporaryDirectory() as folder:
            process = context.Process(target=_work, args=(name, seeds, Path(folder), its))
            process.start()
            its.close()
            try:
                for seed in seeds:
                    kind = ours.recv()
                    outcome, detail = ours.recv()
                    counts[outcome] += 1
                    if outcome == "failed":
                        _tell(name, seed, kind, detail, Path(folder), keep)
                seeds = range(0)
            except EOFError:
                process.join()
                counts["failed"] += 1
                killer = signal.Signals(-process.exitcode).name if (process.exitcode or 0) < 0 else process.exitcode
                _tell(name, seed, kind, f"ended the process: {killer}", Path(folder), keep)
                seeds = range(seed + 1, seeds.stop)
            process.join()
    return counts


def _tell(name: str, seed: int, kind: str, detail: str, folder: Path, keep: Path | None) -> None:
    print(f"{name}, seed {seed}, {kind}: {detail}", file=sys.stderr, flush=True)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / f"{seed}.scan", keep / f"{name} {seed} {kind}")


def _work(name: str, seeds: range, folder: Path, answers: Connection) -> None:
    """Send, for each seed, the kind of damage, then what opening the file came to. Signals end what takes too long."""
    warnings.simplefilter("error")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    for seed in seeds:
        path = folder / f"{seed}.scan"
        answers.send(damage(name, path, seed))
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + BYTES, hard))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            told = open_as_operators_do(name, path)
            outcome = "scan" if told == "scan" else "sentence"
        except BaseException:
            outcome, told = "failed", traceback.format_exc()
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        answers.send((outcome, told))
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        if outcome != "failed":
            path.unlink()


if __name__ == "__main__":
    main()
