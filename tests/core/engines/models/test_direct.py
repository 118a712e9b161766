"""The direct engine's model: what it predicts, what it learns, what its prior weighs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.data import Amplitudes, Deal, PatternDataset, Placed, scan_canvas
from ptycho_core.engines.losses import poisson_deviance
from ptycho_core.engines.models.direct import DirectModel, vacuum
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.simulation import Simulation, SimulationSpec, simulate

CONFIG = Config(engine="direct")


def true_model(sim: Simulation, config: Config = CONFIG) -> tuple[DirectModel, Placed]:
    """The model with the truth in it, and its canvas."""
    placed = scan_canvas(sim.scan)
    offset = np.round(sim.scan.positions[0] - placed.origin - sim.truth.positions_px[0]).astype(int)
    canvas = vacuum(placed.shape)
    height, width = sim.truth.object.shape
    canvas[offset[0] : offset[0] + height, offset[1] : offset[1] + width] = torch.from_numpy(sim.truth.object)
    return DirectModel(config, torch.from_numpy(sim.truth.probe), None, canvas), placed


def test_the_truth_explains_a_scan_but_for_its_noise():
    sim = simulate(SimulationSpec(size=32, n_patterns=20, modes=2, counts_per_pixel=200))
    model, placed = true_model(sim)
    dataset = PatternDataset(Amplitudes(sim.scan), sim.scan.positions)
    expected, amplitude = model.predict(dataset[Deal(np.arange(20)[None], placed)])
    assert expected.shape == (20, 32, 32)
    assert poisson_deviance(expected, amplitude.square()).item() == pytest.approx(0.5, abs=0.05)


def test_background_is_added_to_what_the_object_gives(tiny_sim: Simulation):
    model, placed = true_model(tiny_sim, CONFIG.replace(background=True))
    dataset = PatternDataset(Amplitudes(tiny_sim.scan), tiny_sim.scan.positions)
    batch = dataset[Deal(np.arange(5)[None], placed)]
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


def test_smoothness_weighs_differences_of_neighbours_and_not_the_object(tiny_sim: Simulation):
    probe = starting_probe(tiny_sim.scan, 1)
    steps = torch.full((40, 40), 3 + 4j)
    model = DirectModel(CONFIG.replace(object_smoothness=2.0), probe, None, steps)
    assert model.penalty().item() == 0
    model.object_parts.data[:20, :, 0] += 0.5  # one step of 0.5 in 39 x 40 differences along y
    assert model.penalty().item() == pytest.approx(2 * 0.25 * 40 / (39 * 40))
    model.config = CONFIG.replace(object_smoothness=0.0)
    assert model.penalty() == 0


@pytest.mark.parametrize(("probe_trainable", "background"), [(True, True), (False, False), (True, False)])
def test_only_what_the_config_says_is_learned(tiny_sim: Simulation, probe_trainable, background):
    config = CONFIG.replace(probe_trainable=probe_trainable, background=background)
    model = DirectModel(config, starting_probe(tiny_sim.scan, 1), None, vacuum((40, 40)))
    learned = {id(p) for group, _ in model.rates() for p in group if p.requires_grad}
    wanted = {id(model.object_parts)}
    wanted |= {id(model.probe_parts)} if probe_trainable else set()
    wanted |= {id(model.background_root)} if background else set()
    assert learned == wanted
    assert model.background.item() == pytest.approx(0.01 if background else 0)
