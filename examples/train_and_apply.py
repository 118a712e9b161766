"""Train a network on one scan, and reconstruct another with it in one pass.

python examples/train_and_apply.py first.npz second.npz out
"""

import sys
from pathlib import Path
from typing import Any

from ptycho_core import build_config, export, export_checkpoint, read_scan, reconstruct, train


def main(first: str, second: str, folder: str, **settings: Any) -> None:
    run = train(build_config(preset="quick", **settings), read_scan(first), folder)
    print(f"{run.status}: {run.reason}")
    # All that another machine needs, in one file; `ptycho reconstruct --checkpoint model.zip` takes it too.
    model = export_checkpoint(folder, Path(folder) / "model.zip")
    picture = reconstruct(read_scan(second), model)
    print(f"free misfit of {second}: {picture.metrics['free_misfit']:.3f}")
    print("wrote", *export(picture, Path(folder) / "second.h5"))


if __name__ == "__main__":
    main(*sys.argv[1:])
