"""Both commands on scans with an exactly known object: its error, the scores, and time.

The scans are not made by the forward model that reconstructs them: the object lies on a grid four times finer,
low-passed to what a pixel can hold, and positions are whole fine pixels, so that nothing is interpolated. The error is
the relative rms of the complex object over the scan's middle, after shift, phase ramp, phase and scale are undone.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import Row, main, ptycho, reconstruct

from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.quality.metrics import scanned_box
from ptycho_core.quality.registration import register, soft_window
from ptycho_core.simulation import SimulationSpec
from ptycho_core.simulation.objects import make_object
from ptycho_core.simulation.probes import make_probe, make_probe_guess

HOW = "`ptycho train --train-data-file CASE.npz --output-dir out --engine direct FLAGS`, `ptycho reconstruct out`"
FINE, SIDE, STEP_PX, MARGIN = 4, 17, 8.0, 0.15


@dataclass(frozen=True)
class Case:
    """A scan of 289 patterns of 128 x 128, and the flags of its training."""

    spec: SimulationSpec
    error_px: float = 0.0
    flags: tuple[str, ...] = ()


WIDE = SimulationSpec(
    size=128, aperture=0.35, defocus_m=2.4e-3, guess_defocus_error_m=-0.5e-3, counts_per_pixel=30, modulus_min=0.85
)
NARROW = dataclasses.replace(WIDE, defocus_m=6e-4, guess_defocus_error_m=-1.2e-4)
CASES = {
    "wide beam": Case(WIDE),
    "wide beam, one count per pixel": Case(dataclasses.replace(WIDE, counts_per_pixel=1, object="lines")),
    "wide beam, guess of half the defocus": Case(dataclasses.replace(WIDE, guess_defocus_error_m=-1.2e-3, seed=3)),
    "narrow beam": Case(dataclasses.replace(NARROW, object="lines", seed=4)),
    "narrow beam, one count per pixel": Case(dataclasses.replace(NARROW, counts_per_pixel=1)),
}


def make(case: Case, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a scan in PtychoPINN's layout; return the true object and the true positions on it, (n, 2)."""
    rng = np.random.default_rng(case.spec.seed)
    size, half = case.spec.size, case.spec.size // 2
    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1).reshape(-1, 2) * STEP_PX
    positions = grid + rng.uniform(-2, 2, grid.shape)
    positions = np.round((positions - positions.min(axis=0) + half + 8) * FINE) / FINE
    side = int(np.ceil(positions.max())) + half + 8
    fine = make_object(case.spec, (side * FINE, side * FINE)).astype(np.complex128)
    frequency = np.hypot(np.fft.fftfreq(side * FINE)[:, None], np.fft.fftfreq(side * FINE)) * FINE
    fine = np.fft.ifft2(np.fft.fft2(fine) * np.exp(-((frequency / 0.42) ** 8)))
    probe = make_probe(case.spec)
    counts = np.empty((len(positions), size, size), np.float32)
    for pattern, corner in zip(counts, np.round((positions - half) * FINE).astype(int), strict=True):
        patch = fine[corner[0] : corner[0] + size * FINE : FINE, corner[1] : corner[1] + size * FINE : FINE]
        waves = np.fft.fft2(np.fft.ifftshift(patch * probe, axes=(1, 2)), norm="ortho")
        pattern[:] = rng.poisson(np.fft.fftshift((abs(waves) ** 2).sum(axis=0)))
    told = positions + rng.normal(0, case.error_px, positions.shape) if case.error_px else positions
    guess = make_probe_guess(case.spec)[0]
    np.savez(path, diff3d=np.sqrt(counts), xcoords=told[:, 1], ycoords=told[:, 0], probeGuess=guess)
    return fine[::FINE, ::FINE], positions


def error(object: np.ndarray, positions: np.ndarray, truth: np.ndarray, true_positions: np.ndarray) -> float:
    """Return the relative rms error over the middle of the scan."""
    low, high = true_positions.min(axis=0), true_positions.max(axis=0)
    low, high = low + MARGIN * (high - low), high - MARGIN * (high - low)
    inner = true_positions[((true_positions > low) & (true_positions < high)).all(axis=1)]
    top, left = np.floor(inner.min(axis=0)).astype(int)
    bottom, right = np.ceil(inner.max(axis=0)).astype(int)
    offset = np.rint(np.median(positions - true_positions, axis=0)).astype(int)
    part = truth[top:bottom, left:right]
    found = object[top + offset[0] : bottom + offset[0], left + offset[1] : right + offset[1]]
    covered = scanned_box(part.shape, inner - (top, left))
    aligned = register(found, part, soft_window(covered)).aligned
    keep = soft_window(covered) > 0.5
    return float(np.sqrt((abs(aligned - part)[keep] ** 2).mean() / (abs(part)[keep] ** 2).mean()))


def measure(scan: Path) -> Iterator[Row]:
    """Reconstruct each case."""
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            path, folder = Path(place) / "scan.npz", Path(place) / "out"
            truth, positions = make(case, path)
            flags = ("--engine", "direct", "--quiet", *case.flags)
            trained = ptycho("train", "--train-data-file", path, "--output-dir", folder, *flags)
            made, metrics = reconstruct(folder)
            result = read_reconstruction(folder / "reconstruction" / "reconstruction.npz")
        found = error(result.object, result.positions_px, truth, positions[result.pattern_index])
        yield Row(f"{name}: error of the object", found)
        yield Row(f"{name}: free misfit", metrics["free_misfit"])
        yield Row(f"{name}: both commands", trained.seconds + made.seconds, unit="s")


if __name__ == "__main__":
    main(measure, HOW)
