"""A probe that differs from pattern to pattern."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.events import Event, RefinementChecked
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.one_pass import Measured, Unknowns
from ptycho_core.engines.physics import place
from ptycho_core.engines.solver import expected_counts, misfit, steps_of_patterns
from ptycho_core.engines.training import train
from ptycho_core.engines.variation import canonical, unvary, vary
from ptycho_core.inspection.run_checks import check_settings
from ptycho_core.simulation import Simulation
from tests.helpers.fits import above, below
from tests.helpers.scores import compare_to_truth
from tests.helpers.wandering_beam import SPEC, wandering

N, COUNT, MODES = 8, 5, 2
SMALLER = dataclasses.replace(SPEC, size=24, n_patterns=81, step_px=3.0, defocus_m=1.5e-3)
CONFIG = Config(
    engine="direct",
    probe_search=False,
    positions="off",
    intensity="off",
    probe_variation=None,
    prior=0.0,
    max_epochs=15,
    accelerator="cpu",
    preview_seconds=0,
)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(sum(shape)))


def coefficients() -> torch.Tensor:
    return torch.randn(COUNT, MODES, generator=torch.Generator().manual_seed(1))


def test_each_pattern_has_the_first_mode_and_what_it_has_of_the_variation():
    probes, own = noise(COUNT, 1 + MODES + 1, N, N), coefficients()
    varied = vary(probes, own)
    assert varied.shape == (COUNT, 2, N, N)
    torch.testing.assert_close(varied[:, 1], probes[:, 1])
    wanted = probes[3, 0] + own[3, 0] * probes[3, 2] + own[3, 1] * probes[3, 3]
    torch.testing.assert_close(varied[3, 0], wanted)


def test_unvary_is_the_adjoint():
    probes, own, other = noise(COUNT, 2 + MODES, N, N), coefficients(), noise(COUNT, 2, N, N)
    forth = (vary(probes, own).conj() * other).sum()
    back = (probes.conj() * unvary(other, own)).sum()
    torch.testing.assert_close(forth, back, rtol=1e-4, atol=1e-4)


def test_the_canonical_form_is_the_same_variation_with_orthogonal_modes_the_strongest_first():
    modes, own = torch.view_as_real(noise(MODES, N, N)), coefficients()
    rows = torch.tensor([0, 1, 3, 4])
    tidy, turned = canonical(modes, own, rows)
    torch.testing.assert_close(turned @ tidy.flatten(1), own @ modes.flatten(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turned[rows].square().mean(dim=0), torch.ones(MODES))
    products = tidy.flatten(1) @ tidy.flatten(1).T
    assert float(products[0, 1].abs()) < 1e-4 * float(products[0, 0])
    assert products[0, 0] >= products[1, 1]


def solver_call(rho: float) -> tuple[Unknowns, Measured]:
    shape = (20, 22)
    corner = torch.tensor([[4.3, 5.1], [6.7, 8.2], [9.5, 10.9], [5.0, 12.4], [11.1, 6.6]])
    counts = torch.poisson(torch.full((COUNT, N, N), 30.0), torch.Generator().manual_seed(5))
    probe = torch.cat([3 * noise(1, N, N), 0.5 * noise(MODES, N, N)])
    unknowns = Unknowns.of(1 + 0.2 * noise(*shape), probe, torch.tensor(0.4))
    return unknowns, Measured(counts, place(corner, N, (1, *shape)), None, rho, torch.arange(COUNT))


def test_the_gradients_are_those_of_the_likelihood():
    unknowns, patterns = solver_call(300.0)
    probe, own = unknowns.probe.requires_grad_(), coefficients().requires_grad_()
    with torch.no_grad():  # not far from the solution, where the envelope is the likelihood
        near = expected_counts(unknowns.object, probe, patterns.windows, None, 0.4, coefficients=0.8 * own)
    patterns = dataclasses.replace(patterns, counts=near)
    found = torch.autograd.grad(misfit(unknowns._replace(coefficients=own), patterns), (probe, own))
    expected = expected_counts(unknowns.object, probe, patterns.windows, None, 0.4, coefficients=own)
    deviance = (expected - patterns.counts * expected.log()).mean()
    for one, other in zip(found, torch.autograd.grad(deviance, (probe, own)), strict=True):
        torch.testing.assert_close(2 * one, other, rtol=5e-2, atol=2e-2 * float(other.abs().max()))


def test_a_pattern_alone_finds_its_coefficients():
    unknowns, patterns = solver_call(0.0)
    true = coefficients()
    counts = expected_counts(unknowns.object, unknowns.probe, patterns.windows, None, 0.4, coefficients=true)
    patterns = dataclasses.replace(patterns, counts=counts)
    found = torch.zeros_like(true)
    for _ in range(60):
        found = found + steps_of_patterns(unknowns._replace(coefficients=found), patterns)[2]
    torch.testing.assert_close(found, true, rtol=0.05, atol=0.05)


@pytest.fixture(scope="module")
def wanders() -> Simulation:
    return wandering(0.2, SMALLER)


def checked(sim: Simulation, folder: Path) -> RefinementChecked:
    """What a run that has no variation says of it."""
    heard: list[Event] = []
    train(CONFIG.replace(positions="check"), sim.scan, folder, events=heard.append)
    of_probe, of_positions = (
        next(event for event in heard if isinstance(event, RefinementChecked) and event.knob == knob)
        for knob in ("probe_variation", "positions")
    )
    assert not of_positions.helps
    return of_probe


def fitted(sim: Simulation, folder: Path, modes: int) -> tuple[DirectModel, float, float]:
    """The model of a run, half deviance of its free patterns, and how near the object's phase is to the truth."""
    config = CONFIG.replace(probe_variation=modes)
    run = train(config, sim.scan, folder)
    model = load_checkpoint(run.last_checkpoint).model()
    assert isinstance(model, DirectModel)
    parts = split(len(sim.scan), config)
    canvas = Canvas.of_scan(sim.scan, Amplitudes(sim.scan), parts.train, torch.device("cpu"), config)
    free = model.misfit_of(model.object.detach()[None], canvas.only(parts.free), held_out=True).deviance
    object = model.object.detach().numpy()
    light = canvas.light(model.probe.detach())[0].numpy()
    positions = (canvas.positions[parts.train], sim.truth.positions_px[parts.train])
    found: dict[str, Any] = compare_to_truth(object, sim.truth.object, *positions, light)
    return model, free, found["phase_psnr"]


@pytest.mark.fit
def test_a_beam_that_wanders_is_explained_by_two_modes_of_variation(wanders: Simulation, tmp_path: Path):
    _, blind, poor = fitted(wanders, tmp_path / "0", 0)
    model, free, good = fitted(wanders, tmp_path / "2", 2)
    below(free / blind, 0.6)
    above(good - poor, 1.5)
    train_rows = split(len(wanders.scan), CONFIG).train
    spread = model.coefficients.detach().numpy()[train_rows].std(axis=0)
    assert spread == pytest.approx(np.ones(2), abs=0.2)


@pytest.mark.fit
def test_a_check_says_by_how_many_modes_a_beam_varies(wanders: Simulation, tmp_path: Path):
    told = checked(wanders, tmp_path / "run")
    below(told.after, 0.8 * told.before)
    assert (told.helps, told.value) == (True, 2)
    assert "set probe_variation to 2" in told.message


@pytest.mark.fit
def test_a_check_of_a_beam_that_stands_still_says_no(tmp_path: Path):
    told = checked(wandering(0.0, SMALLER), tmp_path / "run")
    assert not told.helps
    assert "do not ask for a probe that differs" in told.message


def test_more_modes_than_patterns_allow_are_refused(wanders: Simulation):
    scan = wanders.scan.take(np.arange(20))
    (problem,) = check_settings(CONFIG.replace(probe_variation=4), scan)
    assert "at most 2" in problem.message
    assert problem.fixes[0].value == 2
    assert check_settings(CONFIG.replace(probe_variation=2), scan) == []
