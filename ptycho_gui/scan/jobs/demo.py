"""The job that makes the demo scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.events import StopToken
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from ptycho_gui.kit.threads.worker import Job


def demo_job(folder: Path) -> Job:
    """Simulate the demo scan into ``folder``. Result: the path of the scan's file."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Path:
        with explain_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return write_simulation(simulate(SimulationSpec()), folder / "scan.npz")[0]

    return job
