"""A network that knows simulated objects alone, on a scan that it never saw; and after a minute more on that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from exact_scans import CASES, make, write
from exact_score import score
from harness import Row, main, ptycho, tell

from ptycho_core.formats.writers.exports import read_reconstruction

PRETRAINED = ("--pretrain-simulated", 2, "--max-epochs", 24, "--n-groups", 200)
HOW = (
    "`ptycho train --train-data-file wide.npz --preset quick` with and without `--pretrain-simulated 2 --max-epochs 24 "
    "--n-groups 200` (of which the last state is taken), then `ptycho reconstruct --scan SCAN --no-halves`, with and "
    "without `--polish 0`; on the scan itself `ptycho train` with `--init model.zip --max-time 1`, and with "
    "`--max-time 3`. nrmse against the truth of `exact_scans.py`"
)
TIMES = 1.2


def measure(scan: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exact = {case: make(CASES[case]) for case in ("wide", "second", "secondfaint")}
        for case, one in exact.items():
            write(folder / f"{case}.npz", one.counts, one.recorded, one.guess)

        def train(case: str, run: str, *flags: object) -> None:
            tell(run)
            ptycho(
                "train", "--train-data-file", folder / f"{case}.npz", "--output-dir", folder / run, "--quiet", *flags
            )

        def error(run: str, case: str, *flags: object, checkpoint: Path | None = None) -> float:
            made = folder / f"{run} on {case}"
            words = (
                "--checkpoint",
                checkpoint or folder / run,
                "--scan",
                folder / f"{case}.npz",
                "--no-halves",
                *flags,
            )
            ptycho("reconstruct", made, *words)
            found = read_reconstruction(made / "reconstruction" / "reconstruction.npz")
            one = exact[case]
            return score(found.object, found.positions_px, one.object, one.positions[found.pattern_index]).nrmse

        train("wide", "measured", "--preset", "quick")
        train("wide", "simulated", "--preset", "quick", *PRETRAINED)
        model = folder / "model.zip"
        ptycho("export", folder / "simulated", model, "--checkpoint", "last")
        for case in ("second", "secondfaint"):
            for how, flags in (("pass", ("--polish", 0)), ("polished", ())):
                known = error("measured", case, *flags)
                pretrained = error("simulated", case, *flags, checkpoint=model)
                claim = f"{case}, {how}: nrmse of the pretrained network ({known:.4f} of the one trained on `wide`)"
                yield Row(claim, pretrained, TIMES * known)
            train(case, f"tuned {case}", "--init", model, "--max-time", 1)
            train(case, f"anew {case}", "--max-time", 3)
            for how, flags in (("pass", ("--polish", 0)), ("polished", ())):
                tuned, anew = error(f"tuned {case}", case, *flags), error(f"anew {case}", case, *flags)
                yield Row(
                    f"{case}, {how}: nrmse after a minute of fine-tuning ({anew:.4f} from nothing in 3)", tuned, anew
                )


if __name__ == "__main__":
    main(measure, HOW)
