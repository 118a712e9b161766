"""The direct engine's model: what it predicts, what it learns, what its prior weighs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.data import Deal, Placed, scan_canvas
from ptycho_core.engines.losses import poisson_deviance
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.solution import vacuum
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.scan.scan import Patterns
from ptycho_core.simulation import Simulation, SimulationSpec, forward, simulate
from tests.helpers.measurements import dataset

CONFIG = Config(engine="direct")


def true_model(sim: Simulation, config: Config = CONFIG) -> tuple[DirectModel, Placed]:
    """The model with the truth in it, and its canvas."""
    placed = scan_canvas(sim.scan)
    offset = np.round(sim.scan.positions[0] - placed.origin - sim.truth.positions_px[0]).astype(int)
    canvas = vacuum(placed.shape)
    low, high = np.maximum(offset, 0), np.minimum(offset + sim.truth.object.shape, placed.shape)
    part = tuple(slice(a, b) for a, b in zip(low - offset, high - offset, strict=True))
    canvas[low[0] : high[0], low[1] : high[1]] = torch.from_numpy(sim.truth.object[part])
    return DirectModel(config, torch.from_numpy(sim.truth.probe), canvas), placed


def test_the_truth_explains_a_scan_but_for_its_noise():
    sim = simulate(SimulationSpec(size=32, n_patterns=20, modes=2, counts_per_pixel=200))
    whole = np.round(sim.truth.positions_px)  # between pixels, the simulation smooths the object
    counts = np.random.default_rng(1).poisson(forward.intensities(sim.truth.object, sim.truth.probe, whole))
    moved = sim.scan.positions + whole - sim.truth.positions_px
    scan = sim.scan.replace(patterns=Patterns(counts.astype(np.float32)), positions=moved)
    truth = dataclasses.replace(sim.truth, positions_px=whole)
    model, placed = true_model(dataclasses.replace(sim, scan=scan, truth=truth))
    expected, amplitude = model.predict(dataset(scan)[Deal(np.arange(20)[None], placed)])
    assert expected.shape == (20, 32, 32)
    assert poisson_deviance(expected, amplitude.square()).item() == pytest.approx(0.5, abs=0.05)


def test_background_is_added_to_what_the_object_gives(tiny_sim: Simulation):
    model, placed = true_model(tiny_sim, CONFIG.replace(background=True))
    batch = dataset(tiny_sim.scan)[Deal(np.arange(5)[None], placed)]
    dark = model.predict(batch)[0]
    model.background_root.data.fill_(2.0)
    torch.testing.assert_close(
        model.predict(batch)[0] - dark, (4 - model.background_root.new_tensor(0.01)).expand_as(dark)
    )


def test_an_object_starts_as_vacuum_and_the_probe_at_its_own_scale(tiny_sim: Simulation):
    probe = starting_probe(tiny_sim.scan, 3)
    model = DirectModel.from_scan(tiny_sim.scan, CONFIG.replace(probe_modes=3))
    assert model.object.shape == scan_canvas(tiny_sim.scan).shape
    assert bool((model.object == 1).all())
    torch.testing.assert_close(model.probe, probe)
    assert model.probe_parts.abs().max().item() <= 1


@pytest.mark.parametrize(("probe_trainable", "background"), [(True, True), (False, False), (True, False)])
def test_only_what_the_config_says_is_learned(tiny_sim: Simulation, probe_trainable, background):
    config = CONFIG.replace(probe_trainable=probe_trainable, background=background)
    model = DirectModel(config, starting_probe(tiny_sim.scan, 1), vacuum((40, 40)))
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    wanted = {"object_parts"}
    wanted |= {"probe_parts"} if probe_trainable else set()
    wanted |= {"background_root"} if background else set()
    assert learned == wanted
    assert model.background.item() == pytest.approx(0.01 if background else 0)
