"""What refined positions have moved, told in parts."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.quality.displacements import bent_px, displacement_map, what_moved

RECORDED = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0), indexing="ij"), -1).reshape(-1, 2) * 9
ABOUT = RECORDED - RECORDED.mean(axis=0)


def test_stretch_rotation_and_shear_are_told_apart():
    turned = ABOUT @ np.array([[0.02, -0.01], [0.01, -0.005]]) + [3.0, -2.0]
    found = what_moved(RECORDED, RECORDED + turned)
    assert found.stretch_y_percent == pytest.approx(2)
    assert found.stretch_x_percent == pytest.approx(-0.5)
    assert found.rotation_deg == pytest.approx(np.degrees(0.01))
    assert found.shear_deg == pytest.approx(0, abs=1e-9)
    assert found.drift_px == pytest.approx(0, abs=1e-9)
    assert found.single_px == pytest.approx(0, abs=1e-9)


def test_a_rotation_from_x_to_y_counts_as_positive():
    y, x = ABOUT.T
    angle = np.radians(0.5)
    there = np.column_stack([x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle)])
    assert what_moved(ABOUT, there).rotation_deg == pytest.approx(0.5, rel=1e-3)


def test_a_shear_is_the_angle_that_its_axes_lose():
    y, x = ABOUT.T
    found = what_moved(ABOUT, np.column_stack([y, x + np.tan(np.radians(1)) * y]))
    assert found.shear_deg == pytest.approx(1, rel=1e-3)


def test_a_picture_is_bent_by_what_displacements_have_in_common_but_not_by_a_growth_alike_in_both_directions():
    x = ABOUT[:, 1]
    sheared = np.column_stack([0.03 * x, np.zeros(len(x))])
    chance = np.random.default_rng(1).normal(0, 1, RECORDED.shape)
    assert bent_px(RECORDED, RECORDED + sheared + 0.02 * ABOUT) == pytest.approx(0.03 * x.std(), rel=1e-6)
    assert bent_px(RECORDED, RECORDED + 0.02 * ABOUT) == pytest.approx(0, abs=1e-9)
    assert bent_px(RECORDED, RECORDED + chance) < 0.5


def test_a_slow_drift_and_what_single_patterns_do_are_told_apart():
    time = np.linspace(0, np.pi, len(RECORDED))
    drift = np.column_stack([1.5 * np.cos(3 * time), np.zeros(len(time))])
    single = np.random.default_rng(1).normal(0, 0.3, RECORDED.shape)
    found = what_moved(RECORDED, RECORDED + drift + single)
    assert found.drift_px == pytest.approx(1.5 / np.sqrt(2), rel=0.2)
    assert found.single_px == pytest.approx(0.3 * np.sqrt(2), rel=0.2)


def test_a_map_has_few_arrows_and_counts_every_pattern():
    recorded = np.random.default_rng(2).uniform(0, 900, (12_000, 2))
    moved = recorded + np.random.default_rng(3).normal(0, 1, recorded.shape) + [40, 0]
    drawn = displacement_map(recorded, moved)
    assert len(drawn.starts) == len(drawn.ends) <= 2000
    assert drawn.counts.sum() == len(recorded)
    assert drawn.moved.rms_px == pytest.approx(np.sqrt(2), rel=0.05)
    assert drawn.edges[-1] == pytest.approx(drawn.lengths.max())
    longest = np.linalg.norm(drawn.ends - drawn.starts, axis=1).max()
    assert longest == pytest.approx(drawn.magnified * drawn.lengths.max(), rel=0.5)


def test_patterns_that_did_not_move_make_a_map_too():
    drawn = displacement_map(RECORDED, RECORDED + 5.0)
    assert drawn.lengths.max() == 0
    np.testing.assert_array_equal(drawn.starts, drawn.ends)
