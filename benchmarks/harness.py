"""What the benchmarks share: rows of the table, `ptycho` as a measured process, simulated scans. Imports no torch.

A benchmark is a script of its own, so that import times and peaks of memory are those of what it measures alone. It
prints JSON lines on standard output: how it measures, then each row as soon as it is known. `run.py` makes the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptycho_core.base.environment import host, versions

if TYPE_CHECKING:
    from ptycho_core.simulation import SimulationSpec

REAL_SCAN = Path(__file__).resolve().parents[2] / "shared" / "data" / "siemens-star.npz"
CACHE = Path(tempfile.gettempdir()) / "ptycho-benchmarks"
"""Simulated scans are written here once; delete it to simulate them again."""


@dataclass(frozen=True)
class Row:
    """One line of the table; met when the measured value is at most the limit. Without a limit it only informs."""

    claim: str
    measured: float | str
    limit: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Finished:
    """A process that ended well: wall and CPU seconds, peak of resident memory, what it printed."""

    seconds: float
    cpu_seconds: float
    peak_gib: float
    output: str


class Failed(SystemExit):
    """A process ended badly, and this is what it complained of. It ends a benchmark that does not expect it."""


def main(measure: Callable[[Path], Iterable[Row]], how: str, *, needs_real_scan: bool = False) -> None:
    """Run a benchmark as a script: print how it measures and each row, or why it is not run."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").splitlines()[0])
    parser.add_argument("--scan", type=Path, default=REAL_SCAN, help="the real scan [default %(default)s]")
    scan = parser.parse_args().scan
    if needs_real_scan and not scan.exists():
        print(json.dumps({"skipped": f"needs the real scan, which is not at {scan}; say where it is with --scan"}))
        return
    print(json.dumps({"how": how}), flush=True)
    for row in measure(scan):
        print(json.dumps(dataclasses.asdict(row)), flush=True)


def finish(*words: object) -> Finished:
    """Run a process to its end and measure it; raises `Failed` when it fails."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=complaints, text=True) as process,
    ):
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # of this child alone, unlike getrusage
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            complaints.seek(0)
            raise Failed(f"{' '.join(map(str, words))} ended with {process.returncode}: {complaints.read()}")
    per_gib = 2**30 if sys.platform == "darwin" else 2**20  # getrusage(2): bytes there, KiB elsewhere
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / per_gib, output)


def ptycho(*words: object) -> Finished:
    """Run the command line of the environment that this interpreter belongs to."""
    return finish(Path(sys.executable).with_name("ptycho"), *words)


def reconstruct(folder: Path, *words: object) -> tuple[Finished, dict[str, float]]:
    """Run ``ptycho reconstruct --no-halves`` and return the process and its metrics."""
    done = ptycho("reconstruct", folder, "--no-halves", *words, "--json")
    return done, json.loads(done.output)["metrics"]


def scores(of: str, metrics: dict[str, float]) -> Iterator[Row]:
    """Say how good a reconstruction is; there are no targets, as each scan has its own floor."""
    for name in ("free_deviance", "free_misfit", "misfit", "r_free"):
        yield Row(f"{of}{name.replace('_', ' ')}", metrics[name])


def simulated(spec: SimulationSpec, suffix: str, *, compress: bool = True) -> Path:
    """Return the file of a simulated scan, written pattern by pattern if it is not there yet; its truth is not."""
    from ptycho_core.formats.writers.exports import write_scan
    from ptycho_core.simulation import simulate

    number = hashlib.sha256(f"{spec} {compress}".encode()).hexdigest()[:12]
    path = CACHE / f"{spec.n_patterns}x{spec.size}-{number}{suffix}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        write_scan(simulate(spec, in_memory=False).scan, path, compress=compress)
    return path


def machine(day: str = "") -> str:
    """Say on what, and when, something was measured: today, unless told otherwise."""
    at, packages = host(), versions()
    memory = at["memory_bytes"]
    return (
        f"Measured on {day or datetime.date.today()}: {_processor()}, {at['cpu_count']} CPUs, "
        f"{memory / 2**30 if isinstance(memory, int) else 0:.0f} GiB, {at['platform']}; ptycho {packages['ptycho']}, "
        f"Python {packages['python']}, torch {packages['torch']}, lightning {packages['lightning']}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_between(page: Path, begin: str, text: str, end: str) -> None:
    """Put text between the lines of a page that mark where it goes; raises `SystemExit` where they are missing."""
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"{page} must hold the lines {begin} and {end}, between which the table goes")
    page.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def tell(*words: object, sep: str = " ") -> None:
    """Say on standard error what is being done: the benchmarks take minutes."""
    print(*words, sep=sep, file=sys.stderr, flush=True)
