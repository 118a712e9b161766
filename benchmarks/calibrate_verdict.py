"""How the verdict's signs go with errors that are known: simulated scans, both engines, good and spoiled settings.

Each job is a scan, a spoil and settings; it takes one thread, and its signs and errors are a line of JSON in a file.
What is in the file already is not done again. It needs no more of the project than its core:
``python benchmarks/calibrate_verdict.py --jobs 14 --seconds 360``.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import numpy as np
from exact_scans import CASES, Case, ExactScan, make
from exact_score import score
from harness import tell, write_between

from ptycho_core.base.build_config import build_config
from ptycho_core.base.codec import decode
from ptycho_core.base.verdict import Level
from ptycho_core.quality.verdict import Signs, judge

RESULTS = Path(__file__).resolve().parents[1] / "build" / "verdict" / "calibration.jsonl"
GOOD_AT_MOST, POOR_ABOVE = 0.08, 0.15
"""A verdict is wrong that calls a picture good whose nrmse is above the one, or other than poor above the other."""
BEGIN, END = "<!-- verdict: begin -->", "<!-- verdict: end -->"
NEEDS: dict[str, dict[str, Any]] = {
    "positions": {"positions": "refine"},
    "intensity": {"intensity": "refine"},
    "modes": {"probe_modes": 3},
}
SMALL = Case(size=64, side=15, step_px=5, scatter_px=1.5, defocus=0.1, seed=15, object_seed=7)
"""Eight times faster than the scans of the comparison."""
SMALL_NARROW = dataclasses.replace(SMALL, step_px=4, defocus=0.009)


@dataclass(frozen=True)
class Job:
    """One run.

    Parameters
    ----------
    name
        It is known by: unique.
    case
        The scan.
    spoil
        What is wrong with what the program is given: one of `SPOILS`.
    settings
        Of the run that differ from the defaults of the engine.
    polish
        As for `reconstruct`.
    """

    name: str
    case: Case
    spoil: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    polish: int | None = None


def needs_of(case: Case) -> dict[str, Any]:
    """Return the settings that an operator would choose who knows what is wrong with a scan."""
    chosen: dict[str, Any] = {}
    if case.error_px or case.drift_px:
        chosen |= NEEDS["positions"]
    if case.flicker:
        chosen |= NEEDS["intensity"]
    if case.modes > 1:
        chosen |= {"probe_modes": case.modes}
    return chosen


SPOILS = ("", "transposed", "mirrored", "turned", "shuffled", "shifted", "strays", "near")


def spoiled(scan: Any, spoil: str) -> Any:
    """Return a scan as somebody would give it who got something wrong."""
    from ptycho_core.scan.scan import Geometry

    positions = scan.positions
    if spoil == "transposed":
        return scan.replace(positions=positions[:, ::-1].copy())
    if spoil == "mirrored":
        return scan.replace(positions=positions * (1, -1) + (0, positions[:, 1].max() + positions[:, 1].min()))
    if spoil == "turned":
        return scan.replace(positions=positions.max(axis=0) + positions.min(axis=0) - positions)
    if spoil == "shuffled":
        return scan.replace(positions=positions[np.random.default_rng(1).permutation(len(positions))])
    if spoil == "shifted":  # positions that begin one pattern late
        return scan.replace(positions=np.roll(positions, 1, axis=0))
    if spoil == "strays":  # some patterns lie where others do
        astray = np.random.default_rng(2).permutation(len(positions))[: max(3, len(positions) // 50)]
        moved = positions.copy()
        moved[astray] = positions[np.roll(astray, 1)]
        return scan.replace(positions=moved)
    if spoil == "near":
        near = Geometry(
            energy_ev=10e3, distance_m=1.0, detector_pixel_m=(1e-5, 1e-5), propagator="near", magnification=10.0
        )
        return scan.replace(geometry=near)
    return scan


def jobs() -> list[Job]:
    """Return all jobs, in the order of the table."""
    made: list[Job] = []

    def add(name: str, case: Case, spoil: str = "", polish: int | None = None, **settings: Any) -> None:
        made.append(Job(name, case, spoil, settings, polish))

    direct = {"engine": "direct"}
    network = {"engine": "pinn", "max_epochs": 6, "warm_start_epochs": 20}
    small = {
        "small": SMALL,
        "small faint": dataclasses.replace(SMALL, counts_per_pixel=1),
        "small dim": dataclasses.replace(SMALL, counts_per_pixel=5),
        "small glaring": dataclasses.replace(SMALL, counts_per_pixel=300),
        "small narrow": SMALL_NARROW,
        "small narrow faint": dataclasses.replace(SMALL_NARROW, counts_per_pixel=1),
        "small jitter": dataclasses.replace(SMALL, error_px=1.5),
        "small narrow jitter": dataclasses.replace(SMALL_NARROW, error_px=1.5),
        "small flicker": dataclasses.replace(SMALL, flicker=0.15),
        "small modes": dataclasses.replace(SMALL, modes=3),
        "small narrow modes": dataclasses.replace(SMALL_NARROW, modes=3),
        "small drift": dataclasses.replace(SMALL_NARROW, drift_px=4),
        "small sparse": dataclasses.replace(SMALL, side=8, step_px=12, scatter_px=3),
        "small sparser": dataclasses.replace(SMALL, side=8, step_px=16, scatter_px=3),
        "small sparse faint": dataclasses.replace(SMALL, side=8, step_px=12, scatter_px=3, counts_per_pixel=1),
        "small narrow sparse": dataclasses.replace(SMALL_NARROW, step_px=8, scatter_px=2.2, side=13),
        "small rough": dataclasses.replace(SMALL, guess=0.5),
        "small astig": dataclasses.replace(SMALL, astigmatism=0.25),
        "small no probe": dataclasses.replace(SMALL, guess=None),
        "small dark": dataclasses.replace(SMALL, counts_per_pixel=0.1),
        "small focus": dataclasses.replace(CASES["focus"], side=15),
        "small flat": dataclasses.replace(CASES["flat"], side=15),
    }
    for name, case in small.items():
        add(f"{name}: as it needs", case, **direct, **needs_of(case))
        if needs_of(case):
            add(f"{name}: defaults", case, **direct)
    for base in ("small", "small narrow", "small faint", "small jitter", "small sparse", "small flicker"):
        add(f"{base}: network", small[base], **network, **needs_of(small[base]))
        add(f"{base}: network, no polish", small[base], polish=0, **network, **needs_of(small[base]))
        if needs_of(small[base]):
            add(f"{base}: network, defaults", small[base], **network)
    for base in ("small narrow jitter", "small drift", "small modes", "small no probe", "small dark"):
        add(f"{base}: network, defaults", small[base], **network)
    add("small: network, no warm start, no polish", SMALL, polish=0, engine="pinn", max_epochs=6, warm_start_epochs=0)
    add("small narrow: network, 1 epoch, no polish", SMALL_NARROW, polish=0, **{**network, "max_epochs": 1})
    for base in ("small", "small narrow"):
        for spoil in ("transposed", "mirrored", "shuffled", "shifted", "strays", "near"):
            add(f"{base}: network, {spoil}", small[base], spoil, **network)
        for guess in (0.5, 2.0):
            case = dataclasses.replace(small[base], guess=guess)
            kept = {"probe_search": False, "probe_trainable": False}
            add(f"{base}: network, beam of {guess:g} of the defocus, kept", case, **network, **kept)
        add(f"{base}: network, preset quick", small[base], engine="pinn", preset="quick")
    for drift in (2, 6, 9):
        for name, base in (("small", SMALL), ("small narrow", SMALL_NARROW)):
            for dose in (3, 30):
                case = dataclasses.replace(base, drift_px=drift, counts_per_pixel=dose, seed=40 + drift, object_seed=6)
                add(f"{name}: drift of {drift} px, {dose} counts, defaults", case, **direct)
    for name in ("small", "small narrow", "small faint"):
        for spoil in ("transposed", "mirrored", "turned", "shuffled", "shifted", "strays", "near"):
            add(f"{name}: {spoil}", small[name], spoil, **direct)
    for name in ("bright", "sparse", "wide", "faint", "modes", "drift", "jitter", "second", "astig", "sparsefaint"):
        case = CASES[name]
        add(f"{name}: as it needs", case, **direct, **needs_of(case))
        if needs_of(case):
            add(f"{name}: defaults", case, **direct)
    for seed in range(20, 24):
        for dose in (0.3, 1, 3, 10, 100):
            for name, base in (("wide", SMALL), ("narrow", SMALL_NARROW)):
                case = dataclasses.replace(base, seed=seed, object_seed=seed % 4 + 5, counts_per_pixel=dose)
                if seed % 2:
                    case = dataclasses.replace(case, step_px=base.step_px * 1.6, side=11)
                add(f"{name}, {dose:g} counts, seed {seed}", case, **direct)
    for name in ("small", "small narrow", "small faint", "small jitter"):
        for epochs in (1, 2, 4, 8):
            add(f"{name}: {epochs} epochs", small[name], max_epochs=epochs, **direct, **needs_of(small[name]))
    for name, guess in (("half the defocus", 0.5), ("double", 2.0), ("four times", 4.0)):
        for base in ("small", "small narrow", "small faint"):
            case = dataclasses.replace(small[base], guess=guess)
            add(f"{base}: beam of {name}, no search", case, probe_search=False, **direct)
            add(f"{base}: beam of {name}, kept", case, probe_search=False, probe_trainable=False, **direct)
    for error in (0.5, 1.0, 3.0):
        for base in ("small", "small narrow"):
            case = dataclasses.replace(small[base], error_px=error)
            add(f"{base}: positions off by {error:g} px, defaults", case, **direct)
            add(f"{base}: positions off by {error:g} px, refined", case, positions="refine", **direct)
    return made


def measured(job: Job) -> dict[str, Any]:
    """Run a job; return its signs and how far its picture is from the truth."""
    import torch

    torch.set_num_threads(1)
    import ptycho_core as ptycho
    from ptycho_core.base.errors import PtychoError
    from ptycho_core.scan.scan import Patterns, Scan

    began = time.monotonic()
    exact = make(job.case)
    scan = Scan(Patterns(exact.counts), exact.recorded, None if exact.guess is None else exact.guess[None])
    scan = spoiled(scan, job.spoil)
    told: dict[str, Any] = {"name": job.name, "spoil": job.spoil, "settings": job.settings, "polish": job.polish}
    told["case"] = dataclasses.asdict(job.case)
    with tempfile.TemporaryDirectory() as folder:
        config = ptycho.build_config({"accelerator": "cpu", "preview_seconds": 0.0, "quiet": True, **job.settings})
        try:
            ptycho.train(config, scan, folder)
        except PtychoError as error:
            told["failed"] = str(error)
        try:
            made = ptycho.reconstruct(scan, folder, polish_epochs=job.polish, accelerator="cpu")
        except PtychoError as error:
            return {**told, "no_picture": str(error), "seconds": time.monotonic() - began}
        told["run"] = ptycho.read_run(folder).to_dict()
        for bulky in ("config", "scan", "versions", "checkpoints", "process", "free_indexes", "validation_indexes"):
            told["run"].pop(bulky, None)
        columns = ptycho.read_metrics(folder)
        curve = columns.get("poisson_val_loss", np.zeros(0))
        told["curve"] = [float(value) for value in curve[np.isfinite(curve)]]
    return {
        **told,
        "metrics": made.metrics,
        **errors(made, exact, job.spoil == "turned"),
        "seconds": time.monotonic() - began,
    }


def errors(made: Any, exact: ExactScan, turned: bool) -> dict[str, Any]:
    """Return how far a picture is from the truth; one that cannot be laid over it is wrong altogether.

    Where positions were ``turned`` by half a turn, the picture is that of the complex conjugate object, turned with
    them: patterns cannot tell the two apart.
    """
    object, positions = made.object, made.positions_px
    if turned:
        object, positions = object[::-1, ::-1].conj(), np.array(object.shape) - 1 - positions
    try:
        found = score(object, positions, exact.object, exact.positions[made.pattern_index])
        return {key: getattr(found, key) for key in ("nrmse", "phase_rms", "frc_mean")}
    except Exception as error:  # a picture of another shape
        return {"nrmse": 1.0, "unscored": f"{type(error).__name__}: {error}"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect the verdict's signs beside errors that are known.")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each [default %(default)s]")
    parser.add_argument("--seconds", type=float, default=3600, help="after which no job begins [default %(default)s]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of JSON lines to add to [default %(default)s]")
    parser.add_argument("--only", default="", metavar="WORDS", help="jobs whose name contains this")
    parser.add_argument("--show", action="store_true", help="run nothing, only show what was found")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this page, between markers")
    args = parser.parse_args()
    if not args.show:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        run_what_is_missing(args)
    text = table(read(args.out))
    print(text)
    if args.markdown:
        write_between(args.markdown, BEGIN, f"{text}\n", END)


def run_what_is_missing(args: argparse.Namespace) -> None:
    """Run jobs in processes until the time is over, and add what each finds to the file.

    They are drawn, always in the same order, so that some of them tell of all kinds; large scans come last.
    """
    done = {found["name"] for found in read(args.out)}
    drawn = sorted(np.random.default_rng(0).permutation(np.array(jobs(), dtype=object)), key=lambda job: job.case.size)
    waiting = (job for job in drawn if job.name not in done and args.only in job.name)
    ends = time.monotonic() + args.seconds
    with (
        open(args.out, "a", encoding="utf-8") as file,
        ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        at_work = {pool.submit(measured, job): job for job in itertools.islice(waiting, args.jobs)}
        while at_work:
            ended = next(as_completed(at_work))
            job = at_work.pop(ended)
            try:
                found = ended.result()
            except Exception as error:  # the other jobs still tell something
                found = {"name": job.name, "broken": f"{type(error).__name__}: {error}"}
            file.write(json.dumps(found, default=str) + "\n")
            file.flush()
            tell(f"{job.name}: nrmse {found.get('nrmse', float('nan')):.3f}, {found.get('seconds', 0):.0f} s")
            following = next(waiting, None) if time.monotonic() < ends else None
            if following is not None:
                at_work[pool.submit(measured, following)] = following


def read(path: Path) -> list[dict[str, Any]]:
    """Return what was found before."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(results: list[dict[str, Any]]) -> str:
    """Return a table in Markdown, verdicts by today's thresholds, and how often they are wrong."""
    lines = ["| scan and settings | nrmse | apart | halves | verdict | |", "|---" * 6 + "|"]
    counts = {level: [0, 0, 0] for level in Level}
    wrong, failed = 0, 0
    known = {found["name"]: found for found in results}
    results = [known[job.name] for job in jobs() if job.name in known]
    for found in results:
        if "nrmse" not in found:
            failed += 1
            continue
        signs = decode(Signs, found["metrics"]["signs"], found["name"])
        level, error = judge(signs, build_config(found["settings"])).level, found["nrmse"]
        counts[level][0 if error <= GOOD_AT_MOST else 2 if error > POOR_ABOVE else 1] += 1
        miss = (level == Level.GOOD and error > GOOD_AT_MOST) or (level != Level.POOR and error > POOR_ABOVE)
        wrong += miss
        halves = "-" if signs.halves is None else f"{signs.halves:.3f}"
        told = "**wrong**" if miss else "the run failed" if "failed" in found else ""
        lines.append(f"| {found['name']} | {error:.3f} | {signs.error:.3f} | {halves} | {level} | {told} |")
    bands = (f"up to {GOOD_AT_MOST:g}", "between", f"above {POOR_ABOVE:g}")
    summary = ["| verdict | " + " | ".join(f"nrmse {band}" for band in bands) + " |", "|---" * 4 + "|"]
    summary += [f"| {level} | " + " | ".join(map(str, numbers)) + " |" for level, numbers in counts.items()]
    left = f"{len(results)} runs, of which {failed} left no picture; {wrong} verdicts are wrong."
    return "\n".join([left, "", *summary, "", *lines])


if __name__ == "__main__":
    main()
