"""Losses have the values that are known in closed form, and do not see bad pixels."""

from __future__ import annotations

import math

import pytest
import torch

from ptycho_core.engines.losses import (
    SMALLEST_COUNT,
    amplitude_error,
    mean_absolute_error,
    pixel_mean,
    poisson_deviance,
)

LOSSES = {
    "poisson": poisson_deviance,
    "amplitude": lambda expected, counts, weight=None: amplitude_error(expected, counts.sqrt(), weight),
    "mae": lambda expected, counts, weight=None: mean_absolute_error(expected, counts.sqrt(), weight),
}


def of(value: float) -> torch.Tensor:
    return torch.full((2, 4, 4), value, dtype=torch.float64)


def poisson_counts(mean: float) -> torch.Tensor:
    return torch.poisson(torch.full((50, 64, 64), mean), torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("expected", "count", "value"),
    [
        (3, 3, 0),
        (2, 0, 2),  # k log(k / lambda) of no count is 0
        (1, 4, 1 - 4 + 4 * math.log(4)),
        (0, 5, 5 * math.log(5 / SMALLEST_COUNT) - 5),
        (0, 0, 0),
    ],
)
def test_half_poisson_deviance_has_known_values(expected, count, value):
    assert float(poisson_deviance(of(expected), of(count))) == pytest.approx(value, abs=1e-7)


@pytest.mark.parametrize("mean", [5.0, 100.0])
def test_photon_noise_alone_gives_half_a_deviance_per_pixel(mean):
    counts = poisson_counts(mean)
    assert float(poisson_deviance(torch.full_like(counts, mean), counts)) == pytest.approx(0.5, abs=0.03)


def test_deviance_is_least_where_the_expectation_is_the_mean_count():
    counts = poisson_counts(3.0)
    expected = torch.tensor(4.0, requires_grad=True)
    poisson_deviance(expected.expand_as(counts), counts).backward()
    assert float(expected.grad) == pytest.approx(1 - 3 / 4, abs=0.01)


@pytest.mark.parametrize("change", [0.01, -0.01])
def test_amplitude_error_agrees_with_the_deviance_to_second_order(change):
    expected, counts = of(50 * (1 + change)), of(50)
    deviance = float(poisson_deviance(expected, counts))
    assert deviance == pytest.approx(50 * change**2 / 2, rel=0.01)
    assert float(amplitude_error(expected, counts.sqrt())) == pytest.approx(deviance, rel=0.01)


def test_mean_absolute_error_is_that_of_the_amplitudes():
    assert float(mean_absolute_error(of(9), of(5))) == pytest.approx(2)
    assert float(mean_absolute_error(of(9), of(2))) == pytest.approx(1)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_bad_pixels_count_neither_as_misfit_nor_as_pixels(loss):
    counts = poisson_counts(4.0)[:3]
    expected = torch.full_like(counts, 5.0)
    weight = torch.ones(64, 64)
    weight[:, :40] = 0
    other = counts.clone()
    other[..., weight == 0] = 1e6
    assert float(loss(expected, other, weight)) == float(loss(expected, counts, weight))
    assert float(loss(expected, counts, weight)) == pytest.approx(float(loss(expected[..., 40:], counts[..., 40:])))


def test_a_detector_without_a_good_pixel_gives_zero():
    assert float(pixel_mean(torch.ones(3, 4, 4), torch.zeros(4, 4))) == 0


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_stay_finite_in_the_dark(loss):
    expected = torch.zeros(1, 4, 4, requires_grad=True)
    loss(expected, torch.full((1, 4, 4), 2.0)).backward()
    assert bool(expected.grad.isfinite().all())
