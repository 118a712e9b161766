"""What one pass over the patterns sees."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.scan.scan import Patterns
from ptycho_core.scan.survey import outliers, survey


def test_highest_is_the_largest_value_of_each_pixel_over_all_batches(monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 1)
    stack = np.random.default_rng(0).poisson(5, (7, 9, 8)).astype(np.uint16)
    seen = survey(Patterns(stack))
    np.testing.assert_array_equal(seen.highest, stack.max(axis=0))
    assert seen.maximum == stack.max()


def test_masked_pixels_and_values_that_are_no_counts_have_no_part_in_the_highest():
    stack = np.ones((3, 8, 8), np.float32)
    stack[0, 0, 0], stack[1, 1, 1] = np.inf, 1e6
    good = np.ones((8, 8), bool)
    good[1, 1] = False
    seen = survey(Patterns(stack), good)
    assert seen.maximum == 1
    assert seen.highest[0, 0] == 1


def test_a_few_unlike_patterns_are_outliers_however_far_they_are_off():
    sums = np.random.default_rng(0).poisson(1e4, 200).astype(float)
    sums[[3, 70]] = 0, 1e9
    np.testing.assert_array_equal(np.flatnonzero(outliers(sums)), [3, 70])


@pytest.mark.parametrize("sums", [np.full(50, 100.0), np.r_[np.full(50, 100.0), 101.0], np.zeros(5)])
def test_photon_noise_makes_no_outlier(sums):
    assert not outliers(sums).any()
