"""Reconstruct a scan with the direct engine, and export the picture.

python examples/reconstruct_a_scan.py scan.npz out
"""

import sys
from typing import Any

from ptycho_core import build_config, export, read_scan, reconstruct, train


def main(scan_file: str, folder: str, **settings: Any) -> None:
    scan = read_scan(scan_file)
    config = build_config(engine="direct", loss="mae", **settings)
    train(config, scan, folder)
    picture = reconstruct(scan, folder)
    print(f"free deviance {picture.metrics['free_deviance']:.4f}, free misfit {picture.metrics['free_misfit']:.3f}")
    print("wrote", *export(picture, f"{folder}/picture.png"), *export(picture, f"{folder}/picture.cxi"))


if __name__ == "__main__":
    main(*sys.argv[1:])
