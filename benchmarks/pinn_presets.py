"""The network engine on the real scan with the presets that take longer: standard and best."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import Row, main, ptycho, reconstruct, scores, tell

HOW = (
    "`ptycho train --train-data-file siemens-star.npz --output-dir out --preset PRESET`, `ptycho reconstruct out`, "
    "without polish"
)


def measure(scan: Path) -> Iterator[Row]:
    for preset in ("standard", "best"):
        tell(f"preset {preset}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "out"
            trained = ptycho("train", "--train-data-file", scan, "--output-dir", folder, "--preset", preset)
            made, metrics = reconstruct(folder)
        yield Row(f"{preset}: training and reconstruction", (trained.seconds + made.seconds) / 60, None, "min")
        yield from scores(f"{preset}: ", metrics)


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
