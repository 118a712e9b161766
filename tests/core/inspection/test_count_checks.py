"""Counts that no detector counts, and patterns unlike the others: told, with the step that puts them right."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import open_scan
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Bin, Centre, Crop, MaskFile, Monitor
from tests.helpers import scan_files as files

N = 40
COUNTS, POSITIONS = files.counts(N), files.positions(N)


def opened(folder, counts, positions=POSITIONS, **settings):
    path = files.npz(folder / "a.npz", patterns=counts, positions=positions, probe=files.probe())
    return read_scan(path, settings=settings)


def problems_of(scan: Scan):
    return inspect(scan).problems


def put_right(scan: Scan, field: str) -> Scan:
    """Return the scan after the only fix of its only problem."""
    (problem,) = problems_of(scan)
    assert problem.field == field, problem
    (fix,) = problem.fixes
    done = open_scan(scan.source.fixed(fix))
    assert problems_of(done) == ()
    return done


def test_a_good_scan_has_nothing_of_all_this(tmp_path):
    assert problems_of(opened(tmp_path, COUNTS)) == ()


@pytest.mark.parametrize("times", [2, 3, 8, 40, 200])
def test_bright_patterns_are_left_out(tmp_path, times):
    counts = COUNTS.astype(np.uint32)
    counts[[3, 17]] *= times
    done = put_right(opened(tmp_path, counts), "bright")
    np.testing.assert_array_equal(done.patterns[:], np.delete(COUNTS, [3, 17], axis=0))
    np.testing.assert_array_equal(done.positions, np.delete(POSITIONS, [3, 17], axis=0))


def test_patterns_that_are_nearly_empty_are_left_out(tmp_path):
    counts = COUNTS.copy()
    counts[5] = np.random.default_rng(0).poisson(0.05, counts[5].shape)
    done = put_right(opened(tmp_path, counts), "dim")
    np.testing.assert_array_equal(done.patterns[:], np.delete(COUNTS, 5, axis=0))


@pytest.mark.parametrize(("part", "dim"), [(0.5, [5, 22]), (0.1, [5, 22]), (0.2, [*range(14, 26)])])
def test_patterns_that_are_darker_than_their_neighbours_are_left_out(tmp_path, part, dim):
    """Single ones, or three lines in a row."""
    counts = COUNTS.copy()
    counts[dim] = np.random.default_rng(0).binomial(counts[dim], part)
    done = put_right(opened(tmp_path, counts), "dim")
    np.testing.assert_array_equal(done.patterns[:], np.delete(COUNTS, dim, axis=0))
    np.testing.assert_array_equal(done.positions, np.delete(POSITIONS, dim, axis=0))


def test_brightness_that_flickers_makes_no_outliers(tmp_path):
    light = np.random.default_rng(5).poisson(COUNTS * np.random.default_rng(6).lognormal(0, 0.2, (N, 1, 1)))
    assert problems_of(opened(tmp_path, light.astype(np.uint16))) == ()


@pytest.mark.parametrize(("factor", "dtype"), [(12, np.uint32), (7, np.int64), (9.3, np.int32)])
def test_whole_multiples_of_a_gain_become_photons(tmp_path, factor, dtype):
    """Also where a gain of 9.3 was rounded to whole numbers."""
    done = put_right(opened(tmp_path, np.rint(COUNTS * float(factor)).astype(dtype)), "normalised")
    np.testing.assert_allclose(done.patterns[:], COUNTS, atol=0.06 if factor == 9.3 else 0)


def test_hot_pixels_are_masked(tmp_path):
    counts = COUNTS.astype(np.uint32)
    counts[:, 1, 2] = 5000 + 10 * (np.arange(N) % 7)
    done = put_right(opened(tmp_path, counts), "hot")
    expected = np.ones(counts.shape[1:], bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(done.mask, expected)
    np.testing.assert_array_equal(done.patterns[:][:, expected], COUNTS[:, expected])


def test_the_sharp_edge_of_a_bright_aperture_has_no_hot_pixels(tmp_path):
    y, x = np.indices(COUNTS.shape[1:]) - 8
    counts = np.random.default_rng(0).poisson(300.0, COUNTS.shape) * (np.hypot(y, x) < 6)
    counts[:, 8:10] = 0
    assert "hot" not in [problem.field for problem in problems_of(opened(tmp_path, counts.astype(np.uint32)))]


def test_a_sample_that_absorbs_on_one_side_has_no_dim_patterns(tmp_path):
    part = np.where(POSITIONS[:, 1] > np.median(POSITIONS[:, 1]), 0.3, 1.0)[:, None, None]
    counts = np.random.default_rng(0).binomial(COUNTS, part).astype(COUNTS.dtype)
    assert problems_of(opened(tmp_path, counts)) == ()


def test_patterns_of_zeros_are_left_out(tmp_path):
    counts = COUNTS.copy()
    counts[[2, 30]] = 0
    done = put_right(opened(tmp_path, counts), "patterns")
    np.testing.assert_array_equal(done.patterns[:], np.delete(COUNTS, [2, 30], axis=0))


def test_a_frame_that_the_detector_delivered_again_is_left_out(tmp_path):
    counts = COUNTS.copy()
    counts[8], counts[9], counts[21] = counts[7], counts[7], counts[20]
    done = put_right(opened(tmp_path, counts), "repeated")
    np.testing.assert_array_equal(done.patterns[:], np.delete(COUNTS, [8, 9, 21], axis=0))


def test_a_pedestal_is_subtracted(tmp_path):
    done = put_right(opened(tmp_path, COUNTS.astype(np.int32) + 100), "pedestal")
    ideal = COUNTS - COUNTS.min()
    np.testing.assert_array_equal(done.patterns[:], ideal)


def test_a_pedestal_that_drifts_is_subtracted_from_each_pattern(tmp_path):
    offsets = np.random.default_rng(7).integers(20, 60, (N, 1, 1))
    scan = opened(tmp_path, COUNTS.astype(np.int32) + offsets)
    done = put_right(scan, "pedestal")
    assert abs(done.patterns[:] - COUNTS).max() <= 2
    assert "from each pattern the median of the" in done.history[-1]


@pytest.mark.parametrize("dead", [np.s_[:, 9], np.s_[:, :, 5:7], np.s_[:, 8, 6]], ids=["row", "columns", "pixel"])
def test_pixels_that_never_count_among_others_are_masked(tmp_path, dead):
    counts = COUNTS.copy()
    counts[dead] = 0
    done = put_right(opened(tmp_path, counts), "dead")
    np.testing.assert_array_equal(~done.mask, (counts == 0).all(axis=0))


def test_a_pedestal_with_the_noise_of_its_reading_is_found(tmp_path):
    noise = np.random.default_rng(4).normal(500, 3, COUNTS.shape)
    done = put_right(opened(tmp_path, (COUNTS + noise).astype(np.float32), data="counts"), "pedestal")
    assert abs(done.patterns[:].mean() - COUNTS.mean()) < 3


def test_light_that_falls_everywhere_is_no_pedestal(tmp_path):
    counts = COUNTS + np.random.default_rng(5).poisson(100, COUNTS.shape)
    assert problems_of(opened(tmp_path, counts)) == ()


def test_counts_that_were_divided_by_the_largest_are_multiplied_again(tmp_path):
    done = put_right(opened(tmp_path, (COUNTS / COUNTS.max()).astype(np.float32), data="counts"), "normalised")
    np.testing.assert_array_equal(done.patterns[:], COUNTS)


def test_counts_in_units_of_a_gain_become_photons(tmp_path):
    done = put_right(opened(tmp_path, (COUNTS * 9.3).astype(np.float32), data="counts"), "normalised")
    np.testing.assert_array_equal(done.patterns[:], COUNTS)


DIVISORS = {
    "a monitor": np.random.default_rng(3).uniform(0.8, 1.2, N),
    "their sums": COUNTS.sum(axis=(1, 2), dtype=np.float64),
    "their largest": COUNTS.max(axis=(1, 2)).astype(np.float64),
}


@pytest.mark.parametrize("what", DIVISORS)
@pytest.mark.parametrize("amplitude", [False, True])
def test_patterns_that_were_divided_one_by_one_become_photons(tmp_path, what, amplitude):
    stored = COUNTS / DIVISORS[what][:, None, None]
    stored = (np.sqrt(stored) if amplitude else stored).astype(np.float32)
    done = put_right(opened(tmp_path, stored, data="amplitude" if amplitude else "counts"), "normalised")
    np.testing.assert_array_equal(done.patterns[:], COUNTS)


def test_patterns_of_the_same_sum_that_were_counted_by_nobody_are_told(tmp_path):
    light = COUNTS * np.random.default_rng(3).uniform(0.99, 1.01, COUNTS.shape)
    sums = light.sum(axis=(1, 2), keepdims=True)
    (problem,) = problems_of(opened(tmp_path, (light / sums * 1e4).astype(np.float32), data="counts"))
    assert "same sum" in problem.message
    assert problem.fixes == ()


def test_a_normalisation_one_by_one_is_undone_by_the_step_that_is_named(tmp_path):
    light = COUNTS + np.random.default_rng(3).normal(0, 0.05, COUNTS.shape).clip(0)
    sums = light.sum(axis=(1, 2), dtype=np.float64)
    scan = opened(tmp_path, light / sums[:, None, None], data="counts")
    assert "the step monitor with 1 over each divisor" in problems_of(scan)[0].message
    np.save(tmp_path / "readings.npy", 1 / sums)
    undone = open_scan(scan.source.then(Monitor(str(tmp_path / "readings.npy"))))
    np.testing.assert_allclose(undone.patterns[:] * sums.mean() / (sums * (1 / sums).mean()).mean(), light, rtol=1e-2)


def test_images_of_8_bits_of_scaled_counts_are_told(tmp_path):
    scaled = np.rint(COUNTS * (255 / COUNTS.max())).astype(np.uint8)
    (problem,) = problems_of(opened(tmp_path, scaled))
    assert "8 bits" in problem.message
    (fix,) = problem.fixes
    assert float(fix.value) == pytest.approx(COUNTS.max() / 255, rel=0.3)
    few = np.random.default_rng(0).binomial(COUNTS, 235 / COUNTS.max()).astype(np.uint8)
    assert problems_of(opened(tmp_path, few)) == ()


def test_the_end_of_a_detectors_range_that_many_values_reach_is_told(tmp_path):
    counts = np.minimum(np.rint(COUNTS * 2.5), 1023).astype(np.float32)
    assert np.count_nonzero(counts == 1023) > 10
    problems = {problem.field: problem for problem in problems_of(opened(tmp_path, counts))}
    (fix,) = problems["saturated"].fixes
    done = open_scan(opened(tmp_path, counts).source.fixed(fix))
    np.testing.assert_array_equal(done.mask, (counts < 1023).all(axis=0))


def test_values_that_were_cut_off_at_any_number_are_told(tmp_path):
    top = int(np.quantile(COUNTS.max(axis=0), 0.8))
    counts = np.minimum(COUNTS, top).astype(np.uint16)
    problems = {problem.field: problem for problem in problems_of(opened(tmp_path, counts))}
    (fix,) = problems["saturated"].fixes
    assert "they were cut off" in problems["saturated"].message
    done = open_scan(opened(tmp_path, counts).source.fixed(fix))
    np.testing.assert_array_equal(done.mask, (counts < top).all(axis=0))


def test_a_beam_off_centre_is_centred_without_losing_counts(tmp_path):
    counts = np.zeros((N, 32, 32), np.uint16)
    counts[:, 2:18, 12:28] = COUNTS
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=POSITIONS)
    assert [problem.field for problem in problems_of(read_scan(path))] == ["centre", "probe"]
    (problem, _) = problems_of(read_scan(path))
    done = open_scan(ScanSource(path).fixed(problem.fixes[0]))
    np.testing.assert_array_equal(done.patterns[:][:, 8:24, 8:24], COUNTS)


def test_a_bright_pattern_or_a_hot_pixel_makes_no_beam_off_centre(tmp_path):
    counts = COUNTS.astype(np.float32)
    counts[:, 1, 2] = 40 * COUNTS.max() + np.arange(N)
    assert "centre" not in {problem.field for problem in problems_of(opened(tmp_path, counts))}
    counts[3] *= 40
    fields = {problem.field for problem in problems_of(opened(tmp_path, counts))}
    assert "bright" in fields
    assert "centre" not in fields


def test_a_crop_says_which_part_of_the_counts_it_loses(tmp_path):
    counts = np.zeros((N, 32, 32), np.uint16)
    counts[:, 8:24, 16:32] = COUNTS
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=POSITIONS)
    cropped = open_scan(ScanSource(path, steps=(Crop(16),)))
    lost = COUNTS[:, :, 8:].sum() / COUNTS.sum()
    assert f"; {lost:.2%} of the counts lay outside" in cropped.history[-1]
    assert f"{lost:.0%} of the counts" in {problem.field: problem.message for problem in problems_of(cropped)}["lost"]


def test_steps_say_which_part_of_the_counts_they_take_out_of_the_frame(tmp_path):
    scan = opened(tmp_path, COUNTS)
    moved = open_scan(scan.source.then(Centre("given", 3, 12)))
    assert moved.lost == pytest.approx(1 - COUNTS[:, :11, 4:].sum() / COUNTS.sum())
    np.save(tmp_path / "bad.npy", np.arange(256).reshape(16, 16) % 64 != 0)  # one pixel in four rows
    binned = open_scan(scan.source.then(MaskFile(str(tmp_path / "bad.npy"))).then(Bin(2)))
    lost = sum(COUNTS[:, row : row + 2, :2].sum() for row in range(0, 16, 4))
    good = COUNTS.sum() - COUNTS[:, ::4, 0].sum()
    assert binned.lost == pytest.approx(1 - (COUNTS.sum() - lost) / good)
    assert f"; {binned.lost:.2%} of the counts lay in blocks with a bad pixel" in binned.history[-1]


@pytest.mark.parametrize("logarithm", [np.log, np.log10, np.log2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logarithms_of_counts_become_the_counts(tmp_path, logarithm, dtype):
    scan = opened(tmp_path, logarithm(1 + COUNTS.astype(float)).astype(dtype))
    np.testing.assert_array_equal(scan.patterns[:], COUNTS)
    assert any("(1 + counts) into counts" in note for note in scan.history)
    assert problems_of(scan) == ()


def test_logarithms_of_what_is_not_whole_are_asked_about(tmp_path):
    light = COUNTS * np.random.default_rng(0).uniform(0.9, 1.1, (N, 1, 1))
    scan = opened(tmp_path, np.log1p(light).astype(np.float32))
    (problem,) = problems_of(scan)
    assert ("data", "log") in [(fix.field, fix.value) for fix in problem.fixes]
    np.testing.assert_allclose(opened(tmp_path, np.log1p(light), data="log").patterns[:], light, rtol=1e-4)


@pytest.mark.parametrize(("value", "dtype"), [(65535, np.uint32), (2**32 - 1, np.float32), (2**32 - 1, np.int64)])
def test_a_flag_in_a_few_patterns_is_told_with_the_step_that_masks_it(tmp_path, value, dtype):
    counts = COUNTS.astype(dtype)
    counts[[3, 9], 2, 5] = value
    scan = opened(tmp_path, counts)
    problems = {problem.field: problem for problem in problems_of(scan)}
    done = open_scan(scan.source.fixed(problems["saturated"].fixes[0]))
    assert np.argwhere(~done.mask).tolist() == [[2, 5]]
