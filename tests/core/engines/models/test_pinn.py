"""The network engine's model: what it sees, what it may not see, and what it does before it is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.data import Amplitudes, Batch, Deal, PatternDataset, group_canvas
from ptycho_core.engines.losses import mean_absolute_error
from ptycho_core.engines.models.pinn import ObjectNetwork, PinnModel, residual
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.engines.physics import backproject, exit_waves, gather, intensity, place
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation import Simulation

CONFIG = Config(model_width=4)


def answering(config: Config, scan: Scan, weight: torch.Tensor | None = None) -> PinnModel:
    """A network that adds something, as a trained one does."""
    torch.manual_seed(0)
    model = PinnModel(config, starting_probe(scan, config.probe_modes), weight)
    for unet in (model.network.first, *model.network.rounds):
        torch.nn.init.normal_(unet.last.weight, std=0.1)
    return model


def groups(scan: Scan, rows: list[list[int]], hidden: int = 0) -> Batch:
    places = np.array(rows)
    deal = Deal(places, group_canvas(scan.positions[places], scan.size), hidden)
    return PatternDataset(Amplitudes(scan), scan.positions)[deal]


def predicted(model: PinnModel, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return model.predict(batch)[0]


@pytest.mark.parametrize("rows", [[[0, 1, 8, 9]], [[0], [30], [59]], [[0, 1], [30, 31]], [list(range(36))]])
def test_groups_of_any_size_and_number_are_predicted_by_one_network(tiny_scan: Scan, rows):
    model, batch = answering(CONFIG, tiny_scan), groups(tiny_scan, rows)
    expected, amplitude = model.predict(batch)
    assert expected.shape == amplitude.shape == (np.size(rows), 32, 32)
    assert bool((expected > 0).all())
    assert torch.equal(amplitude, Amplitudes(tiny_scan)[np.ravel(rows)])


def test_groups_of_a_batch_do_not_see_each_other(tiny_scan: Scan):
    model = answering(CONFIG, tiny_scan)
    together = predicted(model, groups(tiny_scan, [[0, 1, 8, 9], [40, 41, 48, 49]]))
    alone = predicted(model, groups(tiny_scan, [[40, 41, 48, 49]]))
    assert float((together[4:] - alone).abs().max() / alone.max()) < 0.05  # canvases differ in their margins only


def test_predictions_do_not_depend_on_the_order_within_a_group(tiny_scan: Scan):
    model = answering(CONFIG, tiny_scan)
    a, b = (predicted(model, groups(tiny_scan, [rows])) for rows in ([0, 1, 8, 9], [9, 1, 0, 8]))
    torch.testing.assert_close(b, a[[3, 1, 0, 2]], rtol=1e-3, atol=1e-3)


def test_hidden_patterns_are_predicted_without_being_seen(tiny_scan: Scan):
    model = answering(CONFIG, tiny_scan)
    batch = groups(tiny_scan, [[4, 12, 3, 5, 11, 13]], hidden=2)
    expected, amplitude = model.predict(batch)
    assert torch.equal(amplitude, Amplitudes(tiny_scan)[np.array([4, 12])])
    other = batch.amplitude.clone()
    other[:, :2] = 1000
    assert torch.equal(predicted(model, batch._replace(amplitude=other)), expected.detach())
    other = batch.amplitude.clone()
    other[:, 2:] *= 1.1
    assert not torch.allclose(predicted(model, batch._replace(amplitude=other)), expected.detach(), rtol=1e-3)


@pytest.mark.parametrize("steps", [0, 2])
def test_an_untrained_network_only_projects(tiny_sim: Simulation, steps):
    scan = tiny_sim.scan
    batch, probe = groups(scan, [list(range(60))]), torch.from_numpy(tiny_sim.truth.probe)
    windows = place(batch.positions, 32, (1, *batch.canvas))
    amplitude = batch.amplitude.flatten(0, 1)
    estimate = backproject(amplitude, probe, windows)
    wanted = estimate.object
    for _ in range(steps):
        wanted = wanted + residual(wanted, amplitude, probe, windows, None) / (estimate.coverage + 0.02)
    object = ObjectNetwork(4, steps)(amplitude, probe, windows, None)
    torch.testing.assert_close(object, wanted)


def test_each_refinement_step_brings_the_object_closer_to_the_data(tiny_sim: Simulation):
    batch, probe = groups(tiny_sim.scan, [list(range(60))]), torch.from_numpy(tiny_sim.truth.probe)
    errors = []
    for steps in range(4):
        model = PinnModel(CONFIG.replace(refinement_steps=steps), probe, None)
        expected, amplitude = model.predict(batch)
        errors.append(mean_absolute_error(expected, amplitude).item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


def test_residual_of_an_object_that_explains_the_data_is_zero(tiny_sim: Simulation):
    truth = tiny_sim.truth
    object, probe = torch.from_numpy(truth.object)[None], torch.from_numpy(truth.probe)
    windows = place(torch.from_numpy(truth.positions_px).float(), 32, (1, *truth.object.shape))
    exact = intensity(FAR_FIELD.forward(exit_waves(probe, gather(object, windows)))).sqrt()
    assert float(residual(object, exact, probe, windows, None).abs().max()) < 1e-4
    assert float(residual(object, exact * 1.1, probe, windows, None).abs().max()) > 0.05


def test_bad_pixels_change_neither_object_nor_prediction_nor_step(tiny_scan: Scan):
    weight = torch.ones(32, 32)
    weight[2:5, 4] = 0
    model = answering(CONFIG.replace(refinement_steps=2), tiny_scan, weight)
    batch = groups(tiny_scan, [[0, 1, 8, 9]])
    other = batch.amplitude.clone()
    other[..., weight == 0] = 1e4
    assert torch.equal(predicted(model, batch._replace(amplitude=other)), predicted(model, batch))


def test_every_weight_learns(tiny_scan: Scan):
    model = answering(CONFIG.replace(background=True), tiny_scan)
    expected, amplitude = model.predict(groups(tiny_scan, [[0, 1, 8, 9]]))
    mean_absolute_error(expected, amplitude).backward()
    silent = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert silent == []


@pytest.mark.parametrize("size", [32, 48])
def test_another_probe_and_mask_change_nothing_else(tiny_scan: Scan, size):
    model = answering(CONFIG.replace(background=True), tiny_scan)
    model.background_root.data.fill_(0.7)
    probe, weight = torch.ones(2, size, size, dtype=torch.complex64), torch.zeros(size, size)
    other = model.with_probe(probe, weight)
    torch.testing.assert_close(other.probe, probe)
    assert torch.equal(other.weight, weight)
    assert other.background.item() == pytest.approx(0.49)
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), other.network.parameters(), strict=True))
    assert model.probe.shape == (1, 32, 32)
