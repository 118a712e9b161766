"""The network engine on the real scan with the presets that take longer: standard and best."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Report, Row, main, ptycho, reconstruct, tell


def measure(scan: Path) -> Report:
    rows = [row for preset in ("standard", "best") for row in _rows(scan, preset)]
    return Report(
        "`ptycho train --train-data-file siemens-star.npz --output-dir out --preset PRESET`, `ptycho reconstruct out`",
        rows,
    )


def _rows(scan: Path, preset: str) -> Iterator[Row]:
    tell(f"preset {preset}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, "--preset", preset)
        made, metrics = reconstruct(folder)
    yield Row(f"{preset}: R_free without polish", metrics["r_free"], 0.158)
    yield Row(f"{preset}: R without polish", metrics["r"])
    yield Row(f"{preset}: training and reconstruction", (trained.seconds + made.seconds) / 60, None, "min")


if __name__ == "__main__":
    main(measure, needs_real_scan=True)
