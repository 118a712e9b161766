"""The measured scan of the near field: its orientation, how well it is explained, what half scans resolve, and time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main, ptycho, scores

ANSWER = "defocus_m=3.65e-3"
FLAGS = "--engine direct --positions refine --probe-modes auto"
HOW = f"`ptycho orient`, `ptycho train {FLAGS}` and `ptycho reconstruct`, with `--set {ANSWER}`"


def measure(scan: Path) -> Iterator[Row]:
    shadow = scan.with_name("near-field-petra3-p25.cxi")
    found = ptycho("orient", shadow, "--set", ANSWER, "--json")
    best, second, *_ = json.loads(found.output)
    yield Row("orientation", best["orientation"])
    yield Row("deviance of the second orientation over that of the first", second["deviance"] / best["deviance"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", shadow, "--set", ANSWER, "--output-dir", folder, *FLAGS.split())
        made = ptycho("reconstruct", folder, "--json")
    metrics = json.loads(made.output)["metrics"]
    yield from scores("", metrics)
    yield Row("half scans agree down to", metrics["half_scans_resolution_px"], unit="px")
    yield Row("train and reconstruct", trained.seconds + made.seconds, unit="s")


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
