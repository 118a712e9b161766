"""The direct engine on the real scan, from its rough probe: R, R_free and time."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness import Report, Row, main, ptycho, reconstruct

FLAGS = "--engine direct --loss mae --batch-size 8 --max-epochs 10"


def measure(scan: Path) -> Report:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, *FLAGS.split())
        made, metrics = reconstruct(folder)
    return Report(
        f"`ptycho train --train-data-file siemens-star.npz --output-dir out {FLAGS}`, `ptycho reconstruct out`",
        [
            Row("R", metrics["r"], 0.150),
            Row("R_free", metrics["r_free"], 0.158),
            Row("both commands", trained.seconds + made.seconds, 40, "s"),
        ],
    )


if __name__ == "__main__":
    main(measure, needs_real_scan=True)
