"""Incoherent modes: orthogonal, ordered by power, and the same patterns whatever their form."""

from __future__ import annotations

import pytest
import torch

from ptycho_core.engines.physics import squared_modulus
from ptycho_core.engines.probe_modes import add_modes, order_modes
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.simulation import Simulation

N = 16


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def overlaps(modes: torch.Tensor) -> torch.Tensor:
    """Correlation of each mode with each other one, 1 for the same."""
    flat = modes.flatten(1).to(torch.complex128)
    flat = flat / flat.norm(dim=1, keepdim=True)
    return (flat @ flat.conj().T - torch.eye(len(flat))).abs()


def powers(modes: torch.Tensor) -> torch.Tensor:
    return squared_modulus(modes).sum(dim=(1, 2))


@pytest.mark.parametrize("count", range(1, 9))
def test_any_number_of_modes_is_orthogonal_ordered_and_of_the_same_power(tiny_sim: Simulation, count):
    probe = torch.from_numpy(tiny_sim.truth.probe)
    modes = add_modes(probe, count)
    assert modes.shape == (count, 32, 32)
    assert float(overlaps(modes).max()) < 1e-3
    assert bool((powers(modes).diff() < 0).all())
    assert bool((powers(modes) > 0).all())
    assert float(powers(modes).sum()) == pytest.approx(float(powers(probe).sum()), rel=1e-5)


def test_a_probes_own_modes_stay_the_first_ones():
    own = order_modes(complex_noise(2, N, N))
    modes = add_modes(own, 4)
    likeness = (modes[:2] * own.conj()).sum(dim=(1, 2)).abs() / (powers(modes[:2]) * powers(own)).sqrt()
    torch.testing.assert_close(likeness, torch.ones(2))
    assert float(overlaps(modes).max()) < 1e-3


def test_modes_that_are_not_orthogonal_get_orthogonal_company():
    first = complex_noise(1, N, N)
    modes = add_modes(torch.cat([first, first + 0.5 * complex_noise(1, N, N).flip(1)]), 4)
    assert float(overlaps(modes).max()) < 1e-3
    assert bool((powers(modes).diff() < 0).all())


def test_of_too_many_modes_the_weakest_are_dropped():
    modes = complex_noise(3, N, N) * torch.tensor([0.1, 5, 1])[:, None, None]
    kept = add_modes(modes, 2)
    assert kept.shape == (2, N, N)
    torch.testing.assert_close(powers(kept), powers(order_modes(modes))[:2])


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_ordered_modes_are_orthogonal_ordered_by_power_and_give_the_same_patterns(count):
    modes = complex_noise(8, N, N)[:count] * torch.logspace(-2, 0, count)[:, None, None]
    modes = modes + 0.3 * modes.roll(1, 0)
    ordered = order_modes(modes)
    assert float(overlaps(ordered).max()) < 1e-3
    assert bool((powers(ordered).diff() <= 0).all())
    object = complex_noise(3, N, N)
    before, after = (
        squared_modulus(FAR_FIELD.forward(probe * object[:, None])).sum(dim=1) for probe in (modes, ordered)
    )
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


def test_weak_modes_are_told_apart_from_strong_ones():
    strong, weak = order_modes(complex_noise(2, N, N))
    ordered = order_modes(torch.stack([1e-4 * weak, strong]))
    assert float(overlaps(ordered).max()) < 1e-2
    torch.testing.assert_close(powers(ordered), powers(torch.stack([strong, 1e-4 * weak])), rtol=1e-3, atol=0)
