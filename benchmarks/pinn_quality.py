"""The network engine on the real scan: preset quick, with and without polish, and the time of one pass."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from harness import Report, Row, main, ptycho, reconstruct

POLISH_EPOCHS = 10


def measure(scan: Path) -> Report:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, "--preset", "quick")
        made = [reconstruct(folder) for _ in range(3)]
        polished_run, polished = reconstruct(folder, "--polish-epochs", POLISH_EPOCHS)
    run, metrics = made[0]
    passes = statistics.median(each["reconstruct_seconds"] for _, each in made)
    return Report(
        "`ptycho train --train-data-file siemens-star.npz --output-dir out --preset quick`, "
        f"`ptycho reconstruct out [--polish-epochs {POLISH_EPOCHS}]`",
        [
            Row("training (probe warm start included) and reconstruction", trained.seconds + run.seconds, 300, "s"),
            Row("R_free without polish", metrics["r_free"], 0.166),
            Row("R without polish", metrics["r"]),
            Row(f"R_free with {POLISH_EPOCHS} epochs of polish", polished["r_free"], 0.157),
            Row(f"R with {POLISH_EPOCHS} epochs of polish", polished["r"]),
            Row("reconstruction with polish, whole process", polished_run.seconds, None, "s"),
            Row(f"one pass over {metrics['patterns']} patterns, once loaded, median of 3", passes, 2, "s"),
        ],
    )


if __name__ == "__main__":
    main(measure, needs_real_scan=True)
