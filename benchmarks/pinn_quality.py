"""The network engine on the real scan: preset quick, with and without polish, and the time of one pass."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main, ptycho, reconstruct, scores

POLISH = ("--polish", "10")
HOW = (
    "`ptycho train --train-data-file siemens-star.npz --output-dir out --preset quick`, `ptycho reconstruct out`, "
    f"with polish: `ptycho reconstruct out {' '.join(POLISH)}`"
)


def measure(scan: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, "--preset", "quick")
        made = [reconstruct(folder) for _ in range(3)]
        process, metrics = made[0]
        yield Row(
            "training (probe warm start included) and reconstruction", trained.seconds + process.seconds, 300, "s"
        )
        yield from scores("without polish: ", metrics)
        passes = statistics.median(each["reconstruct_seconds"] for _, each in made)
        yield Row(f"one pass over {metrics['patterns']} patterns, once loaded, median of 3", passes, 2, "s")
        process, metrics = reconstruct(folder, *POLISH)
        yield from scores("with polish: ", metrics)
        yield Row("reconstruction with polish", process.seconds, None, "s")


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
