"""A scan of 100,000 patterns of 128 x 128 (3.3 GB) in HDF5: opened, browsed and trained on, however it is stored."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from harness import CACHE, Row, finish, main, ptycho, tell

N_PATTERNS, SIZE, COLUMNS = 100_000, 128, 400
ENERGY_EV, DISTANCE_M, PITCH_M = 9000.0, 2.0, 75e-6
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "one pattern a chunk": {"chunks": (1, SIZE, SIZE)},
    "one pattern a chunk, bitshuffle-LZ4": {"chunks": (1, SIZE, SIZE), **hdf5plugin.Bitshuffle()},
    "64 patterns a chunk, bitshuffle-LZ4": {"chunks": (64, SIZE, SIZE), **hdf5plugin.Bitshuffle()},
}
OPEN = """
import resource, sys, time
import numpy as np
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
started = time.perf_counter()
scan = inspect(read_scan(sys.argv[1])).scan
print(time.perf_counter() - started)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
rng = np.random.default_rng(0)
for row in rng.integers(0, len(scan), 300):
    started = time.perf_counter()
    scan.patterns[int(row)]
    print(1e3 * (time.perf_counter() - started))
"""
TRAINING = "--max-steps 10 --max-epochs 1 --n-groups 160 --val-fraction 0.001"
HOW = (
    "CXI files of uint16, each opened in a process of its own as the window does it, from the system's cache where it "
    f"still holds them; 300 single patterns at random; `ptycho train {TRAINING}`"
)


def measure(scan: Path) -> Iterator[Row]:
    for layout, options in LAYOUTS.items():
        path = _file(layout, options)
        tell(layout)
        lines = [float(line) for line in finish(sys.executable, "-c", OPEN, path).output.split()]
        yield Row(f"{layout}: from the file to what it is", lines[0], 2, "s")
        yield Row(f"{layout}: peak of resident memory until then", lines[1], 500, "MiB")
        yield Row(f"{layout}: a single pattern, median", float(np.median(lines[2:])), None, "ms")
        yield Row(f"{layout}: a single pattern, longest", max(lines[2:]), 50, "ms")
    for engine in ("pinn", "direct"):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            done = ptycho(
                "train", "--train-data-file", path, "--output-dir", run, "--engine", engine, *TRAINING.split()
            )
        yield Row(f"{engine} engine trains on it, {layout}: peak of resident memory", done.peak_gib, 2, "GiB")
        yield Row(f"{engine} engine: the whole process, 10 steps", done.seconds, None, "s")


def _file(layout: str, options: dict[str, Any]) -> Path:
    """Return a scan on a jittered raster, of a spot whose brightness changes along it."""
    path = CACHE / f"huge-{layout.replace(' ', '-').replace(',', '')}.cxi"
    if path.exists():
        return path
    tell(f"writing {path}")
    CACHE.mkdir(parents=True, exist_ok=True)
    rng, axis = np.random.default_rng(0), np.arange(SIZE) - SIZE // 2
    spot = 200 * np.exp(-(axis[:, None] ** 2 + axis**2) / 300)
    few = rng.poisson(spot * rng.uniform(0.8, 1.2, (512, 1, 1))).astype(np.uint16)
    y, x = np.divmod(np.arange(N_PATTERNS), COLUMNS)
    steps = 4 * np.stack([x, y, 0 * y], axis=1) + rng.uniform(-1, 1, (N_PATTERNS, 3))
    unfinished = path.with_suffix(".part")
    with h5py.File(unfinished, "w") as file:
        detector = file.create_group("entry_1/instrument_1/detector_1")
        data = detector.create_dataset("data", (N_PATTERNS, SIZE, SIZE), np.uint16, **options)
        for start in range(0, N_PATTERNS, len(few)):
            data[start : start + len(few)] = few[: N_PATTERNS - start]
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = DISTANCE_M, PITCH_M, PITCH_M
        file["entry_1/instrument_1/source_1/energy"] = ENERGY_EV * 1.602176634e-19
        pixel_m = 1.23984198e-6 / ENERGY_EV * DISTANCE_M / (SIZE * PITCH_M)
        file["entry_1/sample_1/geometry_1/translation"] = steps * pixel_m
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    unfinished.rename(path)
    return path


if __name__ == "__main__":
    main(measure, HOW)
