"""Both engines on simulated scans with three probes, measured against the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Row, main, ptycho, reconstruct, scores, tell

from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.quality.metrics import compare_to_truth
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from ptycho_core.simulation.forward import intensities

COMMON: dict[str, Any] = {"object": "photographs", "n_patterns": 900, "counts_per_pixel": 17.0}
"""Of these counts about 15 per pixel are left behind the object."""
PROBES = {
    "flat-topped, flat phase": SimulationSpec(**COMMON, probe="flat_top", aperture=0.15, step_px=2.5, defocus_m=0.0),
    "focused (Airy)": SimulationSpec(**COMMON, probe="aperture", step_px=3.0, defocus_m=0.0),
    "defocused": SimulationSpec(**COMMON, probe="aperture"),
}
ENGINES = {"direct": "--engine direct --loss mae --batch-size 8 --max-epochs 10", "pinn": "--preset quick"}
HOW = "; ".join(f"{engine}: `ptycho train {flags}`" for engine, flags in ENGINES.items()) + (
    "; 900 patterns of 64 x 64, 15 counts per pixel, photographs as modulus and phase"
)


def measure(scan: Path) -> Iterator[Row]:
    for probe, spec in PROBES.items():
        sim = simulate(spec)
        yield Row(f"{probe}: misfit of the truth itself", _misfit_of_truth(sim))
        with tempfile.TemporaryDirectory() as folder:
            file, _ = write_simulation(sim, Path(folder) / "scan.npz")
            for engine, flags in ENGINES.items():
                tell(f"{probe}, {engine} engine")
                out = Path(folder) / engine
                trained = ptycho("train", "--train-data-file", file, "--output-dir", out, *flags.split())
                _, metrics = reconstruct(out)
                label = f"{probe}, {engine}:"
                yield from scores(f"{label} ", metrics)
                yield Row(f"{label} against the truth", _against_truth(out, sim))
                yield Row(f"{label} training", trained.seconds, 60, "s")


def _misfit_of_truth(sim: Simulation) -> float:
    deviance = noise = 0.0
    for start in range(0, len(sim.scan), 64):
        rows = slice(start, start + 64)
        expected = intensities(sim.truth.object, sim.truth.probe, sim.truth.positions_px[rows])
        deviance += half_deviance(sim.scan.patterns[rows], expected).sum()
        noise += expected_half_deviance(expected).sum()
    return deviance / noise


def _against_truth(folder: Path, sim: Simulation) -> str:
    made = read_reconstruction(folder / "reconstruction" / "reconstruction.npz")
    true_positions = sim.truth.positions_px[made.pattern_index]
    found = compare_to_truth(made.object, sim.truth.object, made.positions_px, true_positions, made.coverage)
    parts = []
    for part in ("modulus", "phase"):
        parts.append(f"{part} PSNR {found[f'{part}_psnr']:.1f} dB, SSIM {found[f'{part}_ssim']:.2f}")
    resolution = found["frc_resolution_px"]
    return "; ".join([*parts, f"FRC {1 if resolution is None else resolution:.2f} px"])


if __name__ == "__main__":
    main(measure, HOW)
