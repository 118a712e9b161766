"""How far an object on the canvas of a simulated scan is from its truth."""

from __future__ import annotations

import numpy as np
import torch

from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes
from ptycho_core.simulation import Simulation


def whole_canvas(sim: Simulation, rows: np.ndarray | None = None) -> Canvas:
    """The canvas of a simulated scan, with these patterns or all."""
    rows = np.arange(len(sim.scan)) if rows is None else rows
    return Canvas.of_scan(sim.scan, Amplitudes(sim.scan), rows, torch.device("cpu"))


def error(object: torch.Tensor, sim: Simulation) -> float:
    """Of an object (H, W), relative to the truth, where it was well lit, after the best factor."""
    truth = torch.from_numpy(sim.truth.object)
    height, width = truth.shape
    light = whole_canvas(sim).light(torch.from_numpy(sim.truth.probe))[0, :height, :width]
    lit = light > 0.5 * light.max()
    found, truth = object[:height, :width][lit], truth[lit]
    found = found * ((found.conj() * truth).sum() / found.abs().square().sum())
    return float((found - truth).norm() / truth.norm())
