"""The direct engine's defaults on scans whose object is known exactly, and on the real one: errors, and time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compare import STAR, measure, ours
from harness import Row, main, tell

HOW = "as `make compare` runs it: a twentieth of the patterns is kept from it, `--positions refine` for jitter"
LIMITS = {"wide": 0.020, "widefaint": 0.080, "bright": 0.038, "faint": 0.105, "jitter": 0.055, "rough": 0.025}


def rows(scan: Path) -> Iterator[Row]:
    for case in [*LIMITS, STAR] if scan.exists() else LIMITS:
        tell(case)
        found = measure(case, "ptycho", ours, scan)
        if found.failed:
            yield Row(case, found.failed)
        elif case == STAR:
            yield Row(f"{case}: free deviance", found.free_deviance, 0.84)
        else:
            yield Row(f"{case}: relative rms error of the object", found.nrmse, LIMITS[case])
        if not found.failed:
            yield Row(f"{case}: both commands", found.seconds, unit="s")


if __name__ == "__main__":
    main(rows, HOW)
