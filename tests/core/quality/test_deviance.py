"""The score is the one that the truth minimises, and its floor is what counts of the truth have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import gammaln, xlogy

from ptycho_core.engines.losses import expected_deviance
from ptycho_core.quality.deviance import LOWEST_COUNTS, Misfit, expected_half_deviance, half_deviance


def summed(lam):
    clamped = max(lam, LOWEST_COUNTS)
    k = np.arange(0, int(lam + 15 * np.sqrt(lam) + 60), dtype=np.float64)
    return (np.exp(xlogy(k, lam) - lam - gammaln(k + 1)) * (clamped - k + xlogy(k, k / clamped))).sum()


@pytest.mark.parametrize("lam", [1e-15, 1e-3, 0.02, 0.0499, 0.0501, 0.3, 1.0, 3.7, 20.0, 59.9, 60.1, 300.0, 20_000.0])
def test_the_expectation_is_the_sum_over_all_counts(lam):
    assert expected_half_deviance(np.array([lam]))[0] == pytest.approx(summed(lam), rel=2e-5)


def test_torch_has_the_same_expectation():
    lam = np.concatenate([[0.0], np.geomspace(1e-9, 1e6, 3000)])
    found = expected_deviance(torch.from_numpy(lam).float()).numpy()
    np.testing.assert_allclose(found, expected_half_deviance(lam), rtol=3e-5)


def test_counts_of_the_truth_have_the_expected_deviance():
    rng = np.random.default_rng(1)
    lam = np.exp(rng.uniform(np.log(1e-4), np.log(500), 400_000))
    counts = rng.poisson(lam)
    assert half_deviance(counts, lam).mean() == pytest.approx(expected_half_deviance(lam).mean(), rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
@pytest.mark.parametrize("lam", [0.1, 1.0, 30.0])
def test_no_other_expectation_scores_better_than_the_true_one_at_any_dose(lam, factor):
    counts = np.random.default_rng(2).poisson(lam, 200_000)
    assert half_deviance(counts, np.full(1, lam * factor)).mean() > half_deviance(counts, np.full(1, lam)).mean()


def test_a_photon_where_none_is_expected_costs_a_bounded_amount():
    assert half_deviance(np.array([1.0]), np.array([0.0]))[0] == pytest.approx(
        LOWEST_COUNTS - 1 - np.log(LOWEST_COUNTS)
    )


def test_the_misfit_is_one_where_only_noise_is_left():
    assert Misfit(deviance=0.4, noise=0.4, r=0.1).misfit == 1
    assert np.isnan(Misfit(0.0, 0.0, 0.0).misfit)
