"""The direct engine on the real scan, from its rough probe: how well it explains the patterns, and time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main, ptycho, reconstruct, scores

FLAGS = "--engine direct"
HOW = f"`ptycho train --train-data-file siemens-star.npz --output-dir out {FLAGS}`, `ptycho reconstruct out`"


def measure(scan: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, *FLAGS.split())
        made, metrics = reconstruct(folder)
    yield from scores("", metrics)
    yield Row("both commands", trained.seconds + made.seconds, 40, "s")


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
