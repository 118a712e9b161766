"""What a GPU makes of it: both engines on 10,304 patterns of 128 x 128, reconstruction, and agreement with the CPU.

Runs on any machine with a GPU and torch 2.11 or newer in at most 6 minutes: ``python benchmarks/on_gpu.py``. What that
machine lacks of the project's other packages may lie in a folder named by PYTHONPATH. Not part of `run.py`: no other
benchmark needs a GPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

import ptycho_core as ptycho
from benchmarks.harness import Row
from ptycho_core.base.errors import PtychoError

SPEC = ptycho.SimulationSpec(size=128, n_patterns=10_304, object="siemens_star")
CONTRACT = {"n_groups": 64, "gridsize": 2, "max_epochs": 6, "batch_size": 4, "num_workers": 0, "deterministic": True}
PATTERNS_OF_COMPARISON = 400


def measure(folder: Path) -> Iterator[Row]:
    """Train, reconstruct and compare."""
    properties = torch.cuda.get_device_properties(0)
    yield Row("device", f"{properties.name}, torch {torch.__version__}")
    started = time.perf_counter()
    scan = ptycho.simulate(SPEC).scan
    yield Row("simulating 10,304 patterns, on the processor", time.perf_counter() - started, unit="s")
    contract = ptycho.build_config({**CONTRACT, "accelerator": "gpu", "preview_seconds": 0.0, "quiet": True})
    yield from trained("contract's command", contract, scan, folder / "contract")
    for engine, epochs, precisions in (("direct", 6, ("32-true",)), ("pinn", 2, ("32-true", "bf16-mixed"))):
        for precision in precisions:
            for deterministic in (True, False):
                name = f"{engine}, {precision}, {'deterministic' if deterministic else 'as fast as it goes'}"
                settings = {"engine": engine, "precision": precision, "deterministic": deterministic}
                config = contract.replace(
                    **settings, max_epochs=epochs, n_groups=None, batch_size=None, checkpoint_save_top_k=1
                )
                yield from trained(name, config, scan, folder / name.replace(", ", "-").replace(" ", "-"))
    best = folder / "pinn-32-true-deterministic" / "checkpoints" / "last.ckpt"
    yield from reconstructed(best, scan, "10,304 patterns by the network")
    yield from agreement(scan.take(range(PATTERNS_OF_COMPARISON)), best, folder)


def trained(name: str, config: ptycho.Config, scan: ptycho.Scan, folder: Path) -> Iterator[Row]:
    """Train, and tell speed and memory."""
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    try:
        ptycho.train(config, scan, folder)
    except (PtychoError, RuntimeError) as error:  # the others are still worth measuring
        yield Row(f"{name}: failed", f"{type(error).__name__}: {error}"[:300])
        return
    seconds = time.perf_counter() - started
    speeds = ptycho.read_metrics(folder)["patterns_per_second"]
    speeds = speeds[np.isfinite(speeds)]
    yield Row(f"{name}: whole run", seconds, unit="s")
    yield Row(f"{name}: patterns per second, median of steps", float(np.median(speeds)))
    yield Row(f"{name}: peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**30, unit="GiB")


def reconstructed(checkpoint: Path, scan: ptycho.Scan, name: str) -> Iterator[Row]:
    """Reconstruct once, and tell time and memory."""
    torch.cuda.reset_peak_memory_stats()
    metrics = ptycho.reconstruct(scan, checkpoint, accelerator="gpu").metrics
    yield Row(f"{name}: pass", metrics["reconstruct_seconds"], unit="s")
    yield Row(f"{name}: scores", metrics["metrics_seconds"], unit="s")
    yield Row(f"{name}: peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**30, unit="GiB")


def agreement(scan: ptycho.Scan, network: Path, folder: Path) -> Iterator[Row]:
    """Compare what the GPU and the processor make of the same."""
    one, other = (ptycho.reconstruct(scan, network, accelerator=device).object for device in ("gpu", "cpu"))
    yield Row("network's pass, GPU against CPU, relative rms", difference(one, other), 1e-3)
    found = []
    for device in ("gpu", "cpu"):
        config = ptycho.build_config({"engine": "direct", "max_epochs": 3, "accelerator": device, "quiet": True})
        run = ptycho.train(config, scan, folder / f"direct-{device}")
        found.append(ptycho.reconstruct(scan, run.last_checkpoint, accelerator=device).object)
    yield Row("three epochs of the direct engine, GPU against CPU, relative rms", difference(*found), 1e-2)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the root mean square of the difference over that of the second."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def main() -> None:
    """Print the rows as they become known."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use on this machine")
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(Path(folder)):
            measured = row.measured if isinstance(row.measured, str) else f"{row.measured:.4g}"
            limit = "" if row.limit is None else f"  (at most {row.limit:g})"
            print(f"{row.claim}: {measured} {row.unit}{limit}", flush=True)


if __name__ == "__main__":
    main()
