"""What a GPU makes of it: both engines on 10,304 patterns of 128 x 128, reconstruction, and agreement with the CPU.

Runs on any machine with a GPU and torch 2.11 or newer, in two minutes on a recent one: ``python benchmarks/on_gpu.py``.
What that machine lacks of the project's other packages may lie in a folder named by PYTHONPATH. Not part of `run.py`:
no other benchmark needs a GPU.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from contract_command import FLAGS
from harness import Failed, Row, finish

import ptycho_core as ptycho
from ptycho_core.base.events import EpochDone
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.memory import memory_on_accelerator

SPEC = ptycho.SimulationSpec(size=128, n_patterns=10_304, object="siemens_star")
PATTERNS_OF_COMPARISON, WELL_LIT = 400, 1.0
FITS = (
    ("direct", "32-true", True, None),
    ("direct", "32-true", False, None),
    ("direct", "32-true", False, 512),
    ("pinn", "32-true", True, None),
    ("pinn", "32-true", False, None),
    ("pinn", "bf16-mixed", True, None),
    ("pinn", "bf16-mixed", False, None),
)
"""Engine, precision, whether deterministic, and patterns (groups) per step."""
EPOCHS = {"direct": 4, "pinn": 2}
COMMAND = "import sys; from ptycho_core.cli import main; sys.exit(main())"


def measure(folder: Path) -> Iterator[Row]:
    """Train, reconstruct and compare."""
    properties = torch.cuda.get_device_properties(0)
    yield Row("device", f"{properties.name}, {os.cpu_count()} processor cores, torch {torch.__version__}")
    started = time.perf_counter()
    scan = ptycho.simulate(SPEC).scan
    yield Row("simulating 10,304 patterns, on the processor", time.perf_counter() - started, unit="s")
    for engine, precision, deterministic, batch_size in FITS:
        name = f"{engine}, {precision}, {'deterministic' if deterministic else 'as fast as it goes'}"
        config = ptycho.build_config(
            {
                "engine": engine,
                "precision": precision,
                "deterministic": deterministic,
                "batch_size": batch_size,
                "max_epochs": EPOCHS[engine],
                "accelerator": "gpu",
                "probe_search": False,
                "warm_start_epochs": 12,
                "checkpoint_save_top_k": 1,
                "preview_seconds": 0.0,
                "quiet": True,
            }
        )
        name += f", {batch_size} patterns a step" if batch_size else ""
        run = folder / "".join(letter if letter.isalnum() else "-" for letter in name)
        yield from tried(trained, name, config, scan, run)
    network, solver = (folder / f"{engine}--32-true--deterministic" for engine in ("pinn", "direct"))
    yield from tried(reconstructed, network, scan, "10,304 patterns by the network")
    yield from tried(reconstructed, solver, scan, "10,304 patterns by the direct engine")
    yield from tried(agreement, scan.take(range(PATTERNS_OF_COMPARISON)), network, folder)
    yield from tried(contract, folder)


def tried(part: Callable[..., Iterator[Row]], *given: object) -> Iterator[Row]:
    """Yield the rows of a part; where it fails, the others are still worth measuring."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        yield from part(*given)
    except (Exception, Failed) as error:
        traceback.print_exc()
        yield Row(f"{part.__name__} {given[0]}: failed", f"{type(error).__name__}: {error}"[:300])


def contract(folder: Path) -> Iterator[Row]:
    """Run the command with which PtychoPINN's users train, on each device: a process of its own."""
    data, losses = folder / "small.npz", []
    write_scan(ptycho.simulate(ptycho.SimulationSpec(n_patterns=64)).scan, data, compress=False)
    for device in ("cuda", "cpu"):
        run, flags = folder / f"contract-{device}", FLAGS.replace("auto", device).split()
        files = ("--train_data_file", data, "--test_data_file", data, "--output_dir", run)
        done = finish(sys.executable, "-c", COMMAND, "train", *files, *flags)
        yield Row(f"the contract's command on {device}: whole process", done.seconds, unit="s")
        losses.append(ptycho.read_metrics(run)["poisson_val_loss"])
    last = [float(loss[np.isfinite(loss)][-1]) for loss in losses]
    yield Row("its deviance of validation patterns, GPU against CPU", abs(last[0] / last[1] - 1), 0.01)


def trained(name: str, config: ptycho.Config, scan: ptycho.Scan, folder: Path) -> Iterator[Row]:
    """Train, and tell speed and memory."""
    ended: list[float] = []
    started = time.perf_counter()
    ptycho.train(config, scan, folder, events=lambda e: ended.append(e.elapsed_s) if isinstance(e, EpochDone) else None)
    yield Row(f"{name}: whole run of {config.max_epochs} epochs", time.perf_counter() - started, unit="s")
    epochs = [later - earlier for earlier, later in itertools.pairwise(ended)]
    yield Row(f"{name}: an epoch with validation and checkpoints", min(epochs), unit="s")
    speeds = ptycho.read_metrics(folder)["patterns_per_second"]
    yield Row(f"{name}: patterns per second, median of steps", float(np.nanmedian(speeds)))
    yield Row(f"{name}: peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**30, unit="GiB")
    estimate = memory_on_accelerator(config, scan).total / 2**30
    yield Row(f"{name}: estimate of it", estimate, unit="GiB")


def reconstructed(run: Path, scan: ptycho.Scan, name: str) -> Iterator[Row]:
    """Reconstruct once, without what takes fits, and tell time and memory."""
    found = ptycho.reconstruct(scan, run, polish_epochs=0, halves=False, final_pass=False, accelerator="gpu").metrics
    yield Row(f"{name}: pass", found["reconstruct_seconds"], unit="s")
    yield Row(f"{name}: scores", found["metrics_seconds"], unit="s")
    yield Row(f"{name}: free misfit", found["free_misfit"])
    yield Row(f"{name}: peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**30, unit="GiB")


def agreement(scan: ptycho.Scan, network: Path, folder: Path) -> Iterator[Row]:
    """Compare what the GPU and the processor make of the same: where it is well lit, as the dark tells nothing.

    Where next to nothing is expected of a pixel and photons were counted, rounding decides the phase that they get, and
    a fit multiplies the difference: only with a background, below which nothing is expected, it stays at rounding.
    """
    how = {"polish_epochs": 0, "halves": False, "final_pass": False}
    one, other = (ptycho.reconstruct(scan, network, accelerator=device, **how) for device in ("gpu", "cpu"))
    yield Row("network's pass, GPU against CPU, relative rms", difference(one, other), 2e-2)
    for background, most in ((False, 2e-2), (True, 1e-3)):
        found = []
        for device in ("gpu", "cpu"):
            given = {"engine": "direct", "max_epochs": 3, "probe_search": False, "background": background}
            config = ptycho.build_config({**given, "accelerator": device, "preview_seconds": 0.0, "quiet": True})
            run = ptycho.train(config, scan, folder / f"direct-{device}-{background}")
            found.append(ptycho.reconstruct(scan, run.last_checkpoint, accelerator=device, **how))
        name = f"three epochs of the direct engine{', with a background' if background else ''}"
        yield Row(f"{name}, GPU against CPU, relative rms", difference(*found), most)


def difference(one: ptycho.Reconstruction, other: ptycho.Reconstruction) -> float:
    """Return the root mean square of the difference of objects over that of the second."""
    lit = other.coverage > WELL_LIT
    return float(np.linalg.norm((one.object - other.object)[lit]) / np.linalg.norm(other.object[lit]))


def main() -> None:
    """Print the rows as they become known."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use on this machine")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(Path(folder)):
            measured = row.measured if isinstance(row.measured, str) else f"{row.measured:.4g}"
            limit = "" if row.limit is None else f"  (at most {row.limit:g})"
            print(f"{time.perf_counter() - started:6.1f} s  {row.claim}: {measured} {row.unit}{limit}", flush=True)


if __name__ == "__main__":
    main()
