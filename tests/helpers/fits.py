"""What tests ask of a fit. `benchmarks/fit_margins.py` looks how far it stands from that, on every kernel and seed.

``PTYCHO_FIT_SEED`` adds to the seeds of the simulations that are fitted; ``PTYCHO_FIT_MARGINS`` is a file to which each
figure is added as a line of JSON: test, line, value, limit, and how far the value is on the right side.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from pathlib import Path

from ptycho_core.base.config import Config
from ptycho_core.simulation import Simulation, SimulationSpec, simulate

PLAIN = Config(
    probe_search=False,
    positions="off",
    intensity="off",
    probe_variation=0,
    checkpoint_save_top_k=0,
    logger=("none",),
    accelerator="cpu",
    preview_seconds=0,
)
"""A fit and nothing around it."""
DIRECT = PLAIN.replace(engine="direct", max_epochs=25)
NETWORK = PLAIN.replace(max_epochs=3, n_groups=80, batch_size=8, model_width=4, warm_start_epochs=12)
"""Either engine finds the truth of a hundred patterns of 32 x 32 by it, within seconds."""


def seeded(seed: int) -> int:
    """Return the seed of a scan to be fitted: its own, or another one where that is asked for."""
    return seed + 100 * int(os.environ.get("PTYCHO_FIT_SEED", "0"))


def simulated(spec: SimulationSpec) -> Simulation:
    """Simulate a scan to be fitted."""
    return simulate(dataclasses.replace(spec, seed=seeded(spec.seed)))


def above(value: float, limit: float) -> None:
    """Ask that a figure of a fit be above a limit."""
    _note(value, limit, value - limit)
    assert value > limit, f"{value:.5g} is not above {limit:.5g}"


def below(value: float, limit: float) -> None:
    """Ask that a figure of a fit be below a limit."""
    _note(value, limit, limit - value)
    assert value < limit, f"{value:.5g} is not below {limit:.5g}"


def _note(value: float, limit: float, margin: float) -> None:
    path = os.environ.get("PTYCHO_FIT_MARGINS")
    if not path:
        return
    frame = inspect.stack(0)[2]
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0].rpartition("/")[2]
    line = {"test": test, "line": frame.lineno, "value": float(value), "limit": float(limit), "margin": float(margin)}
    with open(Path(path), "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
