"""Training in this process under Lightning's own profiler, for benchmarks that compare parts of it."""

from __future__ import annotations

from lightning.pytorch.profilers import SimpleProfiler

from ptycho_core.base.build_config import build_config
from ptycho_core.engines.data import Amplitudes, Measurement, split
from ptycho_core.engines.models import MODELS
from ptycho_core.engines.scan_data import ScanData
from ptycho_core.engines.trainer import build_trainer, quiet_lightning
from ptycho_core.scan.scan import Scan

ENGINES = ("direct", "pinn")
_STEPS = {"direct": {"max_epochs": 2, "n_groups": None}, "pinn": {"max_epochs": 1, "n_groups": 64}}


def timed_fit(engine: str, scan: Scan) -> dict[str, float]:
    """Train an engine with its defaults for a few steps and return the seconds of each of Lightning's actions."""
    config = build_config({"engine": engine, "val_fraction": 0.0, **_STEPS[engine]})
    with quiet_lightning(config):
        model = MODELS[engine].from_scan(scan, config)
        data = ScanData(model, [Measurement(scan, Amplitudes(scan), split(len(scan), config))])
        trainer = build_trainer(config, callbacks=[])
        trainer.profiler = profiler = SimpleProfiler()
        trainer.fit(model, data)
    return {action: sum(durations) for action, durations in profiler.recorded_durations.items()}
