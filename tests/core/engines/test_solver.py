"""The solver's arithmetic: gradients against automatic differentiation, light, and envelope."""

from __future__ import annotations

import math

import pytest
import torch

from ptycho_core.engines.one_pass import Light, Measured, Unknowns, envelope
from ptycho_core.engines.physics import place
from ptycho_core.engines.propagators import FAR_FIELD, NearField, Propagator
from ptycho_core.engines.solver import expected_counts, misfit
from ptycho_core.engines.subpixel import mix, to_knots, weights

N, SHAPE = 12, (24, 27)
GENERATOR = torch.Generator()
POSITIONS = torch.tensor([[6.0, 6.0], [8.4, 12.75], [11.5, 20.0], [17.2, 9.9], [8.4, 12.75]])


@pytest.fixture(autouse=True)
def same_numbers():
    """Each test draws what it draws alone."""
    GENERATOR.manual_seed(3)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=GENERATOR)


@pytest.fixture
def unknowns():
    object, probe = 1 + 0.2 * noise(*SHAPE), noise(2, N, N)
    log_gain = torch.tensor([0.1, -0.2, 0.0, 0.3, 0.2]).requires_grad_()
    return Unknowns.of(object.requires_grad_(), probe.requires_grad_(), torch.tensor(0.4).requires_grad_(), log_gain)


def patterns_of(
    rho: float, weight: torch.Tensor | None = None, gains: bool = True, propagator: Propagator = FAR_FIELD
) -> Measured:
    counts = torch.poisson(torch.full((5, N, N), 3.0), GENERATOR)
    rows = torch.arange(5) if gains else None
    return Measured(counts, place(POSITIONS, N, (1, *SHAPE)), weight, rho, rows, propagator=propagator)


def by_autograd(unknowns, patterns: Measured) -> torch.Tensor:
    """The likelihood from the forward model in single steps."""
    object, probe, log_gain, background, *_ = unknowns
    expected = expected_counts(object, probe, patterns.windows, log_gain.exp(), background, patterns.propagator)
    good = torch.ones(N, N) if patterns.weight is None else patterns.weight
    counts = patterns.counts
    deviance = expected - counts + torch.xlogy(counts, counts) - counts * expected.log()
    return (deviance * good).sum() / good.expand_as(deviance).sum()


def masks() -> dict[str, torch.Tensor | None]:
    one = torch.ones(N, N)
    one[2, 3] = one[7] = 0
    each = (torch.rand(5, N, N, generator=GENERATOR) > 0.2).float()
    return {"none": None, "one": one, "each": each}


@pytest.mark.parametrize("propagator", [FAR_FIELD, NearField((5.0, 7.0))], ids=["far", "near"])
@pytest.mark.parametrize("kind", ["none", "one", "each"])
def test_for_large_rho_the_gradients_are_those_of_the_likelihood(unknowns, kind, propagator):
    patterns = patterns_of(300.0, masks()[kind], propagator=propagator)
    found = torch.autograd.grad(misfit(unknowns, patterns), unknowns[:4])
    wanted = torch.autograd.grad(by_autograd(unknowns, patterns), unknowns[:4])
    for one, other in zip(found[:2], wanted[:2], strict=True):
        torch.testing.assert_close(2 * one, other, rtol=5e-2, atol=2e-2 * float(other.abs().max()))
    torch.testing.assert_close(found[2], wanted[2], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(float(patterns.seen.deviance), float(by_autograd(unknowns, patterns)))


def test_bad_pixels_and_patterns_beside_do_not_matter(unknowns):
    weight = masks()["one"]
    assert weight is not None
    patterns = patterns_of(20.0, weight)
    one = torch.autograd.grad(misfit(unknowns, patterns), unknowns[:2])
    patterns.counts[:, weight == 0] = 99.0
    for first, second in zip(one, torch.autograd.grad(misfit(unknowns, patterns), unknowns[:2]), strict=True):
        assert torch.equal(first, second)


def test_the_light_is_what_the_probe_sends_through_each_pixel(unknowns):
    patterns = patterns_of(0.0, gains=False)
    misfit(unknowns, patterns).backward()
    moved = mix(weights(patterns.windows.fraction), to_knots(unknowns[1].detach()))
    total = float(moved.abs().square().sum())
    assert isinstance(patterns.light.object, torch.Tensor)
    assert float(patterns.light.object.sum()) * 5 * N * N / 2 == pytest.approx(total, rel=1e-3)
    assert bool((patterns.light.object[-3:, :3] == 0).all())


def test_light_adds_up_over_batches_until_it_is_cleared(unknowns):
    light = Light()
    for _ in range(2):
        patterns = patterns_of(0.0, gains=False)
        misfit(unknowns, Measured(patterns.counts, patterns.windows, None, 0.0, light=light)).backward()
    once = patterns_of(0.0, gains=False)
    misfit(unknowns, once).backward()
    torch.testing.assert_close(light.object, 2 * once.light.object)
    light.clear()
    assert light.object == 0


@pytest.mark.parametrize("rho", [0.0, 1.0, 20.0, 100.0])
def test_the_envelope_has_one_slope_at_the_solution_whatever_rho(rho):
    counts = torch.full((1,), 40.0)
    change, loss = envelope(counts * 1.001, counts, rho)
    assert float(change) == pytest.approx(-0.0005, rel=0.02)
    assert envelope(counts.clone(), counts, rho)[1].item() == pytest.approx(0, abs=1e-6)
    assert loss.item() > 0


def test_amplitude_steps_replace_the_modulus_and_likelihood_steps_weigh_it():
    dark, counts = torch.full((1,), 1e-3), torch.full((1,), 1.0)
    projection = float(envelope(dark, counts, 0.0)[0])
    assert projection == pytest.approx(math.sqrt(1e3) - 1)
    assert float(envelope(dark, counts, 20.0)[0]) > projection
