"""What one pass over the patterns sees."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.scan.scan import Masks, Patterns, Scan, both_good
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


def faults(n=12, side=16, part=0.1):
    """Counts with garbage in other pixels of each pattern, what they would be, and where they are good."""
    rng = np.random.default_rng(1)
    clean = rng.poisson(rng.uniform(5, 50, (side, side)), (n, side, side)).astype(np.float32)
    good = rng.random(clean.shape) > part
    return np.where(good, clean, 6e4).astype(np.float32), clean, good


def test_what_is_masked_in_one_pattern_has_no_part_in_what_is_seen_of_the_pixel(monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 5000)
    counts, clean, good = faults()
    seen = survey(Patterns(counts), Masks(good))
    of_good = np.where(good, clean, np.nan)
    np.testing.assert_allclose(seen.mean, np.nanmean(of_good, axis=0), rtol=1e-6)
    np.testing.assert_array_equal(seen.highest, np.nanmax(of_good, axis=0))
    np.testing.assert_array_equal(seen.lowest, np.nanmin(of_good, axis=0))
    np.testing.assert_array_equal(seen.measured, good.sum(axis=0))
    np.testing.assert_allclose(seen.sums, np.where(good, clean, seen.mean).sum(axis=(1, 2)), rtol=1e-6)


def test_the_same_mask_for_each_pattern_is_one_for_all():
    counts, _, good = faults()
    one, each = (survey(Patterns(counts), mask) for mask in (good[0], Masks(np.repeat(good[:1], 12, axis=0))))
    for name in ("mean", "highest", "lowest", "measured", "marks"):
        np.testing.assert_array_equal(getattr(one, name), getattr(each, name))
    np.testing.assert_allclose(one.sums, each.sums, rtol=1e-12)


def test_masks_go_with_their_patterns():
    counts, _, good = faults()
    scan = Scan(Patterns(counts), np.zeros((12, 2)), mask=Masks(good))
    np.testing.assert_array_equal(scan.take([7, 2, 2]).mask[:], good[[7, 2, 2]])
    np.testing.assert_array_equal(scan.good_pixels(np.array([3, 1])), good[[3, 1]])
    with pytest.raises(ValueError, match="do not belong"):
        scan.replace(patterns=scan.patterns.take([0, 1]))


def test_masks_agree_on_what_both_call_good():
    _, _, a = faults()
    b, one = np.roll(a, 1, axis=0), a[4]
    masks = [Masks(a), Masks(b)]
    np.testing.assert_array_equal(both_good(*masks)[2:5], (a & b)[2:5])
    np.testing.assert_array_equal(both_good(masks[0], one)[:], a & one)
    np.testing.assert_array_equal(both_good(one, masks[1])[:], b & one)
    assert both_good(None, masks[0]) is masks[0]
    assert both_good(one, None) is one
