from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_core.base.errors import InputError
from ptycho_core.scan.grouping import (
    GroupingPlan,
    Neighborhoods,
    draw_groups,
    group_overlap,
    merged_groups,
    overlap_at,
    probe_diameter,
)


def errors(plan, n):
    return [p for p in plan.check(n) if p.severity == "error"]


def positions_of(n, seed, grid):
    """Random positions; on a coarse grid, so that many of them coincide."""
    return np.random.default_rng(seed).integers(0, grid, (n, 2)).astype(float)


def test_too_few_neighbors_are_explained_with_both_ways_out():
    (problem,) = GroupingPlan(3, 4).check(500)
    assert problem.message == "gridsize 3 groups 9 patterns, so neighbor count must be at least 9 (it is 4)"
    assert problem.severity == "error"
    assert [(f.field, f.value) for f in problem.fixes] == [("neighbor_count", 9), ("gridsize", 2)]


@given(st.integers(1, 8), st.integers(1, 10_000))
def test_automatic_neighbors_suit_every_gridsize_that_the_scan_can_fill(gridsize, n):
    plan = GroupingPlan(gridsize)
    assert bool(errors(plan, n)) == (plan.group_size > n)
    assert plan.resolve_neighbors(n) == min(gridsize**2 + 2 * gridsize, n)


@given(st.integers(1, 8), st.integers(1, 100), st.integers(1, 100))
def test_any_one_fix_of_each_problem_makes_the_plan_right(gridsize, neighbors, n):
    plan = GroupingPlan(gridsize, neighbors)
    valid = gridsize**2 <= neighbors <= n
    problems = errors(plan, n)
    assert bool(problems) == (not valid)
    for choice in range(2):
        values = {"gridsize": gridsize, "neighbor_count": neighbors}
        for problem in problems:
            fix = problem.fixes[min(choice, len(problem.fixes) - 1)]
            values[fix.field] = fix.value
        assert not errors(GroupingPlan(**values), n)


@pytest.mark.parametrize("gridsize", [0, 9, 2.5, "x", None, True])
def test_an_impossible_gridsize_is_a_problem_of_that_field(gridsize):
    (problem,) = GroupingPlan(gridsize).check(500)
    assert problem.field == "gridsize"
    assert "whole number from 1 to 8" in problem.message
    assert repr(gridsize) in problem.message


@pytest.mark.parametrize("neighbors", [0, -1, 4.5, "x"])
def test_an_impossible_neighbor_count_is_a_problem_of_that_field(neighbors):
    (problem,) = GroupingPlan(2, neighbors).check(500)
    assert problem.field == "neighbor_count"
    assert "whole number of at least 1" in problem.message


def test_more_neighbors_than_patterns_is_an_error_with_the_largest_that_works():
    (problem,) = GroupingPlan(2, 600).check(516)
    assert "at most the number of patterns, 516 (it is 600)" in problem.message
    assert [(f.field, f.value) for f in problem.fixes] == [("neighbor_count", 516)]


def test_a_scan_without_patterns_is_an_error_that_no_setting_fixes():
    (problem,) = GroupingPlan(2).check(0)
    assert problem.message == "gridsize 2 groups 4 patterns, but there are only 0"
    assert problem.fixes == ()


def test_neighbors_that_hardly_overlap_are_a_warning_with_the_figure():
    grid = Neighborhoods(np.stack(np.mgrid[0:10, 0:10], -1).reshape(-1, 2) * 20.0)
    (problem,) = GroupingPlan(2).check(100, grid, probe_diameter=36.0)
    assert problem.severity == "warning"
    assert problem.field == "neighbor_count"
    assert "neighbor 8 lies 28.3 px away" in problem.message  # the diagonal of a 20 px raster
    assert "36 px diameter overlap by 21%" in problem.message
    assert GroupingPlan(2).check(100, grid, probe_diameter=50.0) == []
    assert GroupingPlan(1, 1).check(100, grid, probe_diameter=36.0) == []


def test_probe_diameter_is_that_of_a_disc_and_four_sigma_of_a_gaussian():
    y, x = np.mgrid[-64:64, -64:64]
    disc = (y**2 + x**2 <= 20.5**2).astype(np.complex64)
    gauss = np.exp(-(y**2 + x**2) / (4 * 8.0**2)).astype(np.complex64)  # amplitude of an intensity of sigma 8
    assert probe_diameter(disc[None]) == pytest.approx(41, rel=0.01)
    assert probe_diameter(gauss[None]) == pytest.approx(32, rel=0.01)
    assert probe_diameter(np.stack([gauss, gauss])) == pytest.approx(32, rel=0.01)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4, 100]), st.data())
def test_neighbors_are_the_nearest_distinct_and_oneself_first(n, seed, grid, data):
    k = data.draw(st.integers(1, n))
    positions = positions_of(n, seed, grid)
    centers = np.random.default_rng(seed).integers(0, n, 20)
    found = Neighborhoods(positions).nearest(centers, k)
    assert found.shape == (20, k)
    assert found.dtype == np.int64
    assert np.array_equal(found[:, 0], centers)
    assert all(len(set(row)) == k for row in found.tolist())
    distance = np.linalg.norm(positions[centers, None] - positions[None], axis=-1)
    np.testing.assert_allclose(np.take_along_axis(distance, found, 1), np.sort(distance, 1)[:, :k])


@given(st.integers(1, 3), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_groups_hold_the_centre_and_distinct_neighbors_of_it(gridsize, more, seed):
    size = gridsize**2
    rng = np.random.default_rng(seed)
    centers = rng.integers(0, 40, 25)
    neighbors = Neighborhoods(positions_of(40, seed, 20)).nearest(centers, size + more)
    groups = draw_groups(neighbors, size, rng)
    assert groups.shape == (25, size)
    assert np.array_equal(groups[:, 0], centers)
    for near, group in zip(neighbors.tolist(), groups.tolist(), strict=True):
        assert len(set(group)) == size
        assert set(group) <= set(near)


def test_every_neighbor_is_drawn_equally_often():
    groups = draw_groups(np.tile(np.arange(8), (14_000, 1)), 4, np.random.default_rng(0))
    counts = np.bincount(groups[:, 1:].ravel(), minlength=8)[1:]
    np.testing.assert_allclose(counts, 14_000 * 3 / 7, rtol=0.05)


def test_the_same_seed_draws_the_same_groups():
    neighbors = np.tile(np.arange(20), (50, 1))
    first, second = (draw_groups(neighbors, 4, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, draw_groups(neighbors, 4, np.random.default_rng(4)))


@pytest.mark.parametrize("k", [0, 5])
def test_neighbors_that_do_not_exist_are_refused(k):
    with pytest.raises(InputError, match="from 1 to the number of patterns, 4"):
        Neighborhoods(np.zeros((4, 2))).nearest(np.arange(4), k)


@given(st.integers(9, 100), st.integers(1, 3), st.integers(1, 8), st.integers(8, 200), st.integers(0, 2**32 - 1))
def test_batches_hold_groups_of_distinct_patterns_that_use_each_centre_equally(n, gridsize, batch, n_groups, seed):
    plan = GroupingPlan(gridsize)
    drawn = list(
        merged_groups(Neighborhoods(positions_of(n, seed, 50)), plan, n_groups, batch, np.random.default_rng(seed))
    )
    assert len(drawn) == n_groups // batch
    for groups in drawn:
        merged = groups.shape[1] / plan.group_size
        assert groups.shape[1] == n or merged in (1, 2, 4, 8)
        assert all(len(set(group)) == len(group) for group in groups.tolist())
        assert groups.size <= batch * plan.group_size


def test_groups_come_in_all_sizes_from_one_to_the_batch():
    plan = GroupingPlan(2)
    drawn = merged_groups(Neighborhoods(positions_of(200, 0, 100)), plan, 400, 8, np.random.default_rng(0))
    assert {groups.shape for groups in drawn} == {(8, 4), (4, 8), (2, 16), (1, 32)}


def test_more_groups_than_patterns_repeat_centres_with_other_neighbors():
    drawn = merged_groups(
        Neighborhoods(positions_of(30, 0, 100)), GroupingPlan(2, 12), 300, 1, np.random.default_rng(0)
    )
    groups = np.concatenate(list(drawn))
    assert np.array_equal(np.bincount(groups[:, 0], minlength=30), np.full(30, 10))
    assert len({tuple(sorted(g)) for g in groups[groups[:, 0] == 0].tolist()}) > 5


@pytest.fixture
def many():
    """A hundred thousand places, and how many neighbours of them have been asked for, question by question."""
    near = Neighborhoods(np.random.default_rng(0).uniform(0, 5000, (100_000, 2)))
    tree, asked = near.tree, []

    def query(points, k):
        asked.append(len(points) * int(np.max(k)))
        return tree.query(points, k=k)

    near.tree = SimpleNamespace(query=query)
    return near, asked


def test_groups_around_a_hundred_thousand_patterns_take_one_question_and_memory_for_neighbors_alone(many):
    near, asked = many
    tracemalloc.start()
    try:
        groups = draw_groups(near.nearest(np.arange(100_000), 8), 4, np.random.default_rng(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert groups.shape == (100_000, 4)
    assert asked == [800_000]
    assert peak < 10 * 800_000 * 8


@pytest.mark.parametrize(("k", "distance"), [(1, 0), (2, 3), (3, 3), (5, 3), (9, 3 * 2**0.5)])
def test_the_reach_of_neighbors_is_their_distance_on_a_grid(k, distance):
    grid = 3.0 * np.stack(np.mgrid[:30, :30], axis=-1).reshape(-1, 2)
    assert Neighborhoods(grid).reach(k) == pytest.approx(distance)


@pytest.mark.parametrize("k", [8, 5_000, 100_000])
def test_the_reach_among_a_hundred_thousand_patterns_is_found_from_a_few_of_them(many, k):
    near, asked = many
    near.reach(k)
    (neighbors,) = asked
    assert neighbors <= max(k, 50_000)


def test_overlap_is_the_part_of_the_diameter_that_two_probes_share():
    assert overlap_at(2.5, 10) == 0.75
    assert overlap_at(11, 10) == 0


def test_the_overlap_of_a_group_is_that_of_its_pairs():
    assert group_overlap(np.array([[0.0, 0], [0, 5], [0, 20]]), 10) == pytest.approx(0.5 / 3)
    assert group_overlap(np.zeros((1, 2)), 10) == 1
