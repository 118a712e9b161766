"""Training in this process under Lightning's own profiler, for benchmarks that compare parts of it."""

from __future__ import annotations

from lightning.pytorch.profilers import SimpleProfiler

from ptycho_core.base.config import build_config
from ptycho_core.engines.data import Amplitudes, ScanData, split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import pixel_weight, scan_canvas, starting_probe
from ptycho_core.engines.trainer import build_trainer, quiet_lightning
from ptycho_core.scan.scan import Scan

ENGINES = ("direct", "pinn")
_EPOCHS = {"direct": 2, "pinn": 1}


def timed_fit(engine: str, scan: Scan) -> dict[str, float]:
    """Train an engine with its defaults for a few steps and return the seconds of each of Lightning's actions."""
    config = build_config({"engine": engine, "val_fraction": 0.0, "n_groups": None if engine == "direct" else 64})
    probe, weight = starting_probe(scan, 1), pixel_weight(scan)
    canvas = scan_canvas(scan)
    with quiet_lightning(config):
        model = (
            DirectModel(config, probe, weight, canvas[1]) if engine == "direct" else PinnModel(config, probe, weight)
        )
        data = ScanData(
            config,
            scan,
            split(len(scan), config),
            canvas=canvas if engine == "direct" else None,
            amplitudes=Amplitudes(scan),
        )
        trainer = build_trainer(config, max_epochs=_EPOCHS[engine], callbacks=[])
        trainer.profiler = profiler = SimpleProfiler()
        trainer.fit(model, data)
    return {action: sum(durations) for action, durations in profiler.recorded_durations.items()}
