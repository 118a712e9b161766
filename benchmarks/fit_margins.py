"""How far the tests' fits stand from what is asked of them, over kernels, threads and seeds.

    .venv/bin/python benchmarks/fit_margins.py [tests/core/engines/test_polish.py ...]

Runs the tests that are marked ``fit`` once for each kernel, number of threads and seed, and prints what comes close: a
test that fails, and a figure that at its worst keeps less than a third of its usual (median) distance from its limit.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
KERNELS, THREADS, SEEDS = ("default", "avx2"), (1, 2), (0, 1, 2)
LEAST = 1 / 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders of tests")
    parser.add_argument("--quick", action="store_true", help="each value of each of the three, not all combinations")
    args = parser.parse_args()
    grid = list(itertools.product(KERNELS, THREADS, SEEDS))
    if args.quick:
        grid = [(KERNELS[n % 2], THREADS[n % 2], seed) for n, seed in enumerate(SEEDS)]
    figures: dict[tuple[str, int, int], list[dict[str, float]]] = collections.defaultdict(list)
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for kernel, threads, seed in grid:
            said = f"kernel {kernel}, threads {threads}, seed {seed}"
            path = Path(folder) / "margins"
            path.write_text("")
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-m", "fit", *args.tests],
                cwd=ROOT,
                env=os.environ
                | {"ATEN_CPU_CAPABILITY": kernel, "OMP_NUM_THREADS": str(threads)}
                | {"PTYCHO_FIT_SEED": str(seed), "PTYCHO_FIT_MARGINS": str(path)},
                capture_output=True,
                text=True,
            )
            failed += [f"{line} ({said})" for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            often: collections.Counter[tuple[str, int]] = collections.Counter()
            for line in path.read_text().splitlines():
                one = json.loads(line)
                place = one["test"], one["line"]
                figures[*place, often[place]].append(one)
                often[place] += 1
            print(f"{said}: {done.stdout.splitlines()[-1]}", flush=True)
    close = 0
    print("\n| test | line | limit | usual | worst | left of the margin |\n|---|---|---|---|---|---|")
    for (test, number, _), found in sorted(figures.items()):
        usual = statistics.median(one["margin"] for one in found)
        worst = min(found, key=lambda one: one["margin"])
        left = worst["margin"] / usual if usual > 0 else float("-inf")
        close += left < LEAST
        mark = "**" if left < LEAST else ""
        middle = statistics.median(one["value"] for one in found)
        row = (
            test,
            number,
            f"{worst['limit']:.4g}",
            f"{middle:.4g}",
            f"{worst['value']:.4g}",
            f"{mark}{left:.0%}{mark}",
        )
        print("| " + " | ".join(map(str, row)) + " |")
    print(f"\n{len(figures)} figures in {len(grid)} runs; {close} come close; {len(failed)} tests failed")
    print("\n".join(failed))
    return int(bool(failed or close))


if __name__ == "__main__":
    sys.exit(main())
