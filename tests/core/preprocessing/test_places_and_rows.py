"""Steps that turn positions or leave patterns out."""

from __future__ import annotations

import numpy as np

from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.steps import (
    DropDead,
    DropDuplicates,
    DropPatterns,
    Every,
    Region,
    TurnPositions,
)
from tests.helpers.small_scans import COUNTS, POSITIONS, scan


def test_positions_are_rotated_about_their_mean_and_sheared():
    corner = np.array([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])
    before = scan(COUNTS[:4], positions=corner, geometry=Geometry())
    turned = preprocess(before, [TurnPositions(rotation_deg=90)]).positions
    np.testing.assert_allclose(turned, [[0, 10], [10, 10], [0, 0], [10, 0]], atol=1e-12)
    sheared = preprocess(before, [TurnPositions(shear_deg=45)]).positions
    np.testing.assert_allclose(sheared, [[0, -5], [0, 5], [10, 5], [10, 15]], atol=1e-12)


def test_positions_are_rotated_as_lengths_where_object_pixels_are_not_square():
    before = scan()
    after = preprocess(before, [TurnPositions(rotation_deg=30)])
    lengths, turned = (
        np.linalg.norm((s.positions - s.positions.mean(0)) * s.pixel_size_m, axis=1) for s in (before, after)
    )
    np.testing.assert_allclose(turned, lengths)


def test_a_region_keeps_the_patterns_within_in_pixels_and_micrometres():
    kept = preprocess(scan(indexes=np.arange(100, 112)), [Region(-10, -30, 30, 0)])
    inside = (POSITIONS[:, 0] >= -10) & (POSITIONS[:, 1] <= 0)
    assert kept.indexes.tolist() == (100 + np.flatnonzero(inside)).tolist()
    np.testing.assert_array_equal(kept.patterns[:], COUNTS[inside])
    dy, dx = 1e6 * np.array(scan().pixel_size_m)
    same = preprocess(scan(), [Region(-10 * dy, -30 * dx, 30 * dy, 0, "um")])
    np.testing.assert_array_equal(same.positions, kept.positions)


def test_every_kth_pattern_is_kept_from_a_start():
    np.testing.assert_array_equal(preprocess(scan(), [Every(5, 1)]).patterns[:], COUNTS[[1, 6, 11]])


def test_dead_patterns_are_left_out_and_so_are_dim_ones_below_a_fraction():
    counts = COUNTS.copy()
    counts[3], counts[7] = 0, counts[7] // 20
    assert len(preprocess(scan(counts), [DropDead(0.0)])) == 11
    np.testing.assert_array_equal(preprocess(scan(counts), [DropDead()]).patterns[:], np.delete(COUNTS, [3, 7], axis=0))


def test_patterns_are_left_out_one_by_one():
    kept = preprocess(scan(), [DropPatterns("3 7")])
    np.testing.assert_array_equal(kept.patterns[:], np.delete(COUNTS, [3, 7], axis=0))


def test_of_patterns_at_one_place_the_first_stays():
    positions = POSITIONS.copy()
    positions[5] = positions[2]
    positions[8] = positions[2] + 0.1
    np.testing.assert_array_equal(
        preprocess(scan(positions=positions), [DropDuplicates()]).positions, np.delete(positions, 5, axis=0)
    )
    assert len(preprocess(scan(positions=positions), [DropDuplicates(0.2)])) == 10


def test_a_pattern_near_a_dropped_one_stays():
    chain = np.array([[0.0, 0.0], [0.0, 0.9], [0.0, 1.8], [0.0, 2.7]])
    assert preprocess(scan(COUNTS[:4], positions=chain), [DropDuplicates(1)]).positions[:, 1].tolist() == [0, 1.8]
