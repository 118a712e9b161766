"""Our direct engine, with its defaults and with the preset quick, and pty-chi's LSQ-ML side by side.

The same patterns, one thread each, one run on one machine.

Of each scan some patterns of the middle are kept from both; the rest is in one file that both read. Pictures are scored
by the same code, and so are the patterns that were kept. What was measured lies in a folder, a file for each case and
program: a run that was interrupted goes on, and what is deleted is measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from exact_scans import CASES, make, write
from exact_score import free_deviance, middle, placed, score
from harness import REAL_SCAN, Failed, Finished, finish, machine, tell, write_between

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.runs.record import read_run

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "compare"
PTYCHI = ROOT / ".interchange" / "ptychi" / "bin" / "python"
STAR = "siemens-star"
QUICK = ("small", "sparse")
KEPT = 0.05
"""Share of the patterns that neither program is given."""
NEEDS = {
    "widejitter": "positions",
    "jitter": "positions",
    "drift": "positions",
    "wideflicker": "intensity",
    "modes": "modes",
}
"""What an operator who knows the scan would ask either program for."""
OURS = {
    "positions": ("--positions", "refine"),
    "intensity": ("--intensity", "refine"),
    "modes": ("--probe-modes", "3"),
}
THEIRS = {
    "positions": ("--positions",),
    "intensity": ("--intensity",),
    "modes": ("--modes", "3"),
}
NARROW = ("bright", "faint", "jitter", "modes", "drift")
"""There pty-chi's Gaussian noise model does better than its Poisson one, elsewhere worse; it is given the better."""
SPARSE = ("sparse", "sparsefaint")
"""There pty-chi does better with smaller batches than its example's."""
BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"


@dataclass(frozen=True)
class Measured:
    """What one program made of one case.

    Parameters
    ----------
    case, program, version
        Which; a commit, where this program is run from a repository.
    failed
        What it complained of; empty where there is a picture.
    nrmse, phase_rms, frc_mean
        Against the truth (`exact_score.Score`); None where it is not known.
    free_deviance, free_misfit
        Of the patterns that were kept from it, and that over what photon noise alone would leave.
    fit_seconds, fit_cpu_seconds
        From the scan in memory to the picture, by the clock and of the processor: for ours with all searches and
        choices, checks, scores and checkpoints.
    seconds, peak_gib
        Of whole processes, start and files included; memory is that of the larger process.
    """

    case: str
    program: str
    version: str
    date: str
    failed: str = ""
    nrmse: float | None = None
    phase_rms: float | None = None
    frc_mean: float | None = None
    free_deviance: float | None = None
    free_misfit: float | None = None
    fit_seconds: float | None = None
    fit_cpu_seconds: float | None = None
    seconds: float | None = None
    peak_gib: float | None = None


def main() -> None:
    names = [*CASES, STAR]
    parser = argparse.ArgumentParser(description="Compare this program with pty-chi's LSQ-ML, and print a table.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)} [default all]")
    parser.add_argument("--show", action="store_true", help="measure nothing, only show what was measured")
    parser.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of what is measured [default %(default)s]"
    )
    parser.add_argument("--ptychi", type=Path, default=PTYCHI, help="Python that has pty-chi [default %(default)s]")
    parser.add_argument("--scan", type=Path, default=REAL_SCAN, help="the real scan [default %(default)s]")
    parser.add_argument("--threads", type=int, default=1, help="of either program [default %(default)s]")
    parser.add_argument("--markdown", type=Path, action="append", default=[], metavar="FILE", help="page for the table")
    args = parser.parse_args()
    for name in args.cases:
        if name not in names:
            parser.error(f"there is no case {name}; there are {', '.join(names)}")
    if not args.show:
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        for name in args.cases or (QUICK if args.quick else names):
            measure_what_is_missing(name, args)
    found = [read_measured(file) for file in args.results.glob("*.json")]
    days = " and ".join(sorted({each.date[:10] for each in found}))
    text = f"{machine(days)}\n\n{table(found, names)}\n"
    print(text)
    for page in args.markdown:
        write_between(page, BEGIN, text, END)


@dataclass(frozen=True)
class Fit:
    """A picture as a program left it, with positions of the patterns that it was given, and what it took."""

    object: np.ndarray
    probe: np.ndarray
    positions: np.ndarray
    index: np.ndarray
    measured: dict[str, float]


def measure_what_is_missing(name: str, args: argparse.Namespace) -> None:
    """Run each program on a case, unless that was done before, and store what it made of it."""
    if name == STAR and not args.scan.exists():
        tell(f"{name}: not run: there is no {args.scan}; say where it is with --scan")
        return
    for program, fit in {**OURS_BY_PRESET, THEIRS_NAME: functools.partial(theirs, args.ptychi)}.items():
        file = args.results / f"{name}.{program}.json"
        if program == THEIRS_NAME and not args.ptychi.exists():
            tell(f"{name}: {program} is not installed; `make compare` does it")
        elif not file.exists():
            tell(f"{name}: {program}")
            found = measure(name, program, fit, args.scan)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(dataclasses.asdict(found), indent=1), encoding="utf-8")


def measure(name: str, program: str, fit: Callable[..., Fit], real_scan: Path) -> Measured:
    """Run a program on a case and score what it makes."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    version = "2.2.0" if program == THEIRS_NAME else _commit()
    about = {"case": name, "program": program, "version": version, "date": now}
    with tempfile.TemporaryDirectory() as place:
        scan = Path(place) / "scan.npz"
        apart(prepare, name, real_scan, scan)
        try:
            found = fit(scan, Path(place), name)
        except Failed as failed:
            return Measured(**about, failed=str(failed))
        return Measured(**about, **found.measured, **apart(judged, name, scan, found))


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own: the peak of this one would count as that of the programs it starts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def prepare(name: str, real_scan: Path, path: Path) -> None:
    """Write what both programs are given, and what is kept from them beside it."""
    truth: dict[str, np.ndarray] = {}
    if name == STAR:
        scan = read_scan(real_scan)
        counts, recorded, guess = scan.patterns[:], scan.positions, scan.probe[0]
        known = recorded
    else:
        exact = make(CASES[name])
        counts, recorded, guess, known = exact.counts, exact.recorded, exact.guess, exact.positions
        truth = {"object": exact.object}
    low, high = middle(known)
    inside = np.flatnonzero(((known > low) & (known < high)).all(axis=1))
    free = np.sort(np.random.default_rng(0).permutation(inside)[: round(KEPT * len(counts))])
    fitted = np.setdiff1d(np.arange(len(counts)), free)
    np.savez(path.with_suffix(".kept.npz"), counts=counts[free], known=known, free=free, fitted=fitted, **truth)
    write(path, counts[fitted], recorded[fitted], guess)


def ours(scan: Path, place: Path, name: str, preset: str = "standard") -> Fit:
    """Train the direct engine, and reconstruct."""
    run = place / "run"
    # The patterns that are kept from both programs are the free ones; the default would keep more from this one.
    flags = ("--preset", preset, "--free-fraction", 0, "--quiet", *OURS.get(NEEDS.get(name, ""), ()))
    trained, fitted = timed("train", "--train-data-file", scan, "--output-dir", run, "--engine", "direct", *flags)
    made, pictured = timed("reconstruct", run, "--no-halves")
    result = read_reconstruction(read_run(run).reconstruction / "reconstruction.npz")
    return Fit(
        result.object,
        result.probe,
        result.positions_px,
        result.pattern_index,
        {
            "fit_seconds": fitted["seconds"] + pictured["seconds"],
            "fit_cpu_seconds": fitted["cpu_seconds"] + pictured["cpu_seconds"],
            "seconds": trained.seconds + made.seconds,
            "peak_gib": max(trained.peak_gib, made.peak_gib),
        },
    )


def timed(*words: object) -> tuple[Finished, dict[str, float]]:
    """Run one of our commands; return the process, and seconds and cpu_seconds of its fit."""
    with tempfile.TemporaryDirectory() as place:
        told = Path(place) / "told.json"
        done = finish(sys.executable, Path(__file__).with_name("stopwatch.py"), told, *words)
        return done, json.loads(told.read_text(encoding="utf-8"))


OURS_BY_PRESET: dict[str, Callable[..., Fit]] = {"ptycho": ours, "quick": functools.partial(ours, preset="quick")}
"""Ours, by the name in the table: with the defaults, and with the preset that is the soonest."""
THEIRS_NAME = "pty-chi"


def theirs(python: Path, scan: Path, place: Path, name: str) -> Fit:
    """Run LSQ-ML for 60 epochs."""
    result = place / "result.npz"
    script = Path(__file__).with_name("with_ptychi.py")
    flags = [*THEIRS.get(NEEDS.get(name, ""), ()), "--noise", "gaussian" if name in NARROW else "poisson"]
    if name in SPARSE:
        flags += ["--batch-size", "8"]
    done = finish(python, "-W", "ignore", script, scan, result, *flags)
    with np.load(result) as found:
        return Fit(
            found["object"],
            found["probe"],
            found["positions_px"],
            np.arange(len(found["positions_px"])),
            {
                "fit_seconds": float(found["seconds"]),
                "fit_cpu_seconds": float(found["cpu_seconds"]),
                "seconds": done.seconds,
                "peak_gib": done.peak_gib,
            },
        )


def judged(name: str, scan: Path, fit: Fit) -> dict[str, float | None]:
    """Return the scores of a picture."""
    with np.load(scan.with_suffix(".kept.npz")) as kept:
        known, free, fitted = kept["known"], kept["free"], kept["fitted"][fit.index]
        places = placed(known, fitted, fit.positions, free)
        flickers = NEEDS.get(name) == "intensity"
        deviance, noise = free_deviance(fit.object, fit.probe, places, kept["counts"], any_brightness=flickers)
        scores: dict[str, float | None] = {"free_deviance": deviance, "free_misfit": deviance / noise}
        if "object" in kept:
            against = score(fit.object, fit.positions, kept["object"], known[fitted])
            scores |= {key: getattr(against, key) for key in ("nrmse", "phase_rms", "frc_mean")}
    return scores


def read_measured(path: Path) -> Measured:
    """Read what was measured before."""
    return Measured(**json.loads(path.read_text(encoding="utf-8")))


COLUMNS: dict[str, tuple[Callable[[Measured], float | None], str]] = {
    "nrmse": (lambda found: found.nrmse, ".4f"),
    "phase rms, rad": (lambda found: found.phase_rms, ".4f"),
    "FRC, mean": (lambda found: found.frc_mean, ".3f"),
    "free deviance": (lambda found: found.free_deviance, ".4f"),
    "fit, CPU s": (lambda found: found.fit_cpu_seconds, ".1f"),
    "commands, s": (lambda found: found.seconds, ".0f"),
    "memory, GiB": (lambda found: found.peak_gib, ".2f"),
}
"""What is shown of a measurement, and how."""


def table(found: Iterable[Measured], order: Iterable[str]) -> str:
    """Return a table in Markdown, a cell for all programs, and in how many cases we are as good, and as fast."""
    by = {(each.case, each.program): each for each in found}
    programs = [*OURS_BY_PRESET, THEIRS_NAME]
    lines = ["| case | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for case in order:
        all_of_case = [by.get((case, program)) for program in programs]
        if any(all_of_case):
            cells = [" / ".join(_cell(one, *column) for one in all_of_case) for column in COLUMNS.values()]
            lines.append(f"| {case} | " + " | ".join(cells) + " |")
    versions = {program: sorted({each.version for each in by.values() if each.program == program}) for _, program in by}
    told = [
        f"Each cell: {' / '.join(programs)}; quick is ptycho with `--preset quick`. "
        + "; ".join(f"{name} {', '.join(of)}" for name, of in sorted(versions.items())),
        "As good is at least as good by nrmse, by free deviance where no truth is known; fast is in at most a fifth of "
        "the time, fit against fit, in seconds of the processor.",
        *(_counted(by, program, order) for program in OURS_BY_PRESET),
    ]
    return "\n".join(lines) + "\n\n" + "\n".join(f"- {each}" for each in told)


def _counted(by: dict[tuple[str, str], Measured], program: str, order: Iterable[str]) -> str:
    """Say in how many cases one of our programs is as good as theirs, as fast, and both."""
    good, fast, compared = [], [], []
    for case in order:
        us, them = by.get((case, program)), by.get((case, THEIRS_NAME))
        if us and them:
            compared.append(case)
            good += [case] * (_error(us) <= _error(them))
            fast += [case] * ((us.fit_cpu_seconds or np.inf) <= (them.fit_cpu_seconds or np.inf) / 5)
    both = [case for case in good if case in fast]
    counts = {"as good in": good, "fast in": fast, "both in": both}
    return f"{program}: " + "; ".join(f"{what} {_listed(of, compared)}" for what, of in counts.items()) + "."


def _error(found: Measured) -> float:
    error = found.free_deviance if found.nrmse is None else found.nrmse
    return np.inf if error is None else error


def _listed(some: list[str], of: list[str]) -> str:
    missing = [case for case in of if case not in some]
    return f"{len(some)} of {len(of)}" + (f", not {', '.join(missing)}" if some and missing else "")


def _cell(found: Measured | None, value: Callable[[Measured], float | None], shown: str) -> str:
    if found is None:
        return "?"
    if found.failed:
        return "failed"
    number = value(found)
    return "-" if number is None else format(number, shown)


def _commit() -> str:
    words = ("git", "-C", ROOT, "describe", "--always", "--dirty")
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
