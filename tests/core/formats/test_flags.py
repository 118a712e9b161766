"""What detectors write where they do not count is known by its value and by sticking, whatever the type it is in."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from tests.helpers import scan_files as files

N = 20
COUNTS, DEAD = files.counts(N), ([3, 3, 11], [5, 6, 14])


def flagged(folder, value, dtype, every=1):
    counts = COUNTS.astype(dtype)
    counts[::every, DEAD[0], DEAD[1]] = value
    return files.npz(folder / "a.npz", patterns=counts, positions=files.positions(N), probe=files.probe())


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        *((2**16 - 1, dtype) for dtype in (np.uint16, np.uint32, np.int32, np.float32, np.int64, np.float64)),
        *((2**32 - 1, dtype) for dtype in (np.uint32, np.float32, np.float64, np.int64, np.uint64)),
        *((2**32 - 2, dtype) for dtype in (np.uint32, np.float64)),
        (2**15 - 1, np.int16),
        (2**31 - 1, np.int32),
        (2**20 - 1, np.uint32),
        (2**64 - 1, np.uint64),
        (4095, np.uint16),
        (65504, np.float16),
        (1e6, np.float32),
    ],
)
def test_pixels_that_always_hold_a_flag_are_no_counts(tmp_path, value, dtype):
    path = flagged(tmp_path, value, dtype)
    with pytest.raises(InputError, match="flagged values in 3 pixels") as caught:
        read_scan(path)
    assert ("bad_pixels", "mask") in [(fix.field, fix.value) for fix in caught.value.fixes]
    scan = read_scan(path, settings={"bad_pixels": "mask"})
    expected = np.ones(COUNTS.shape[1:], bool)
    expected[DEAD] = False
    np.testing.assert_array_equal(scan.mask, expected)
    np.testing.assert_array_equal(scan.patterns[:][:, expected], COUNTS[:, expected])


def test_the_root_of_a_flag_is_one_where_amplitudes_are_stored(tmp_path):
    amplitudes = np.sqrt(np.where(np.isin(np.arange(256).reshape(16, 16), [53, 190]), 2**32 - 1, COUNTS))
    path = files.npz(tmp_path / "a.npz", patterns=amplitudes.astype(np.float32), positions=files.positions(N))
    scan = read_scan(path, settings={"bad_pixels": "mask"})
    assert np.flatnonzero(~scan.mask).tolist() == [53, 190]
    np.testing.assert_array_equal(scan.patterns[:][:, scan.mask], COUNTS[:, scan.mask])


def test_masked_flags_are_no_question(tmp_path):
    counts = COUNTS.astype(np.uint32)
    counts[:, DEAD[0], DEAD[1]] = 2**32 - 1
    bad = np.zeros(COUNTS.shape[1:], bool)
    bad[DEAD] = True
    path = files.npz(tmp_path / "a.npz", patterns=counts, indexes=np.arange(N), bad_pixels=bad, **product())
    np.testing.assert_array_equal(read_scan(path).mask, ~bad)


def product():
    y, x = files.positions(N).T * files.PIXEL_M
    arrays = files.product_arrays()
    return {**arrays, "probe_position_indexes": np.arange(N), "probe_position_y_m": y, "probe_position_x_m": x}


@pytest.mark.parametrize("value", [255, 1023, 65535])
def test_counts_that_only_happen_to_be_such_a_number_stay(tmp_path, value):
    counts = COUNTS.astype(np.uint32)
    counts[3, 8, 8] = value
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(N))
    np.testing.assert_array_equal(read_scan(path).patterns[:], counts)


def test_a_scan_whose_pixels_all_hold_the_same_has_no_flags(tmp_path):
    counts = np.full((5, 16, 16), 255, np.int32)
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(5))
    np.testing.assert_array_equal(read_scan(path).patterns[:], counts)


def test_one_pattern_again_and_again_has_no_flags_and_is_told_as_repeated(tmp_path):
    counts = np.repeat(files.counts(1), 20, axis=0)
    scan = read_scan(files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(20)))
    np.testing.assert_array_equal(scan.patterns[:], counts)
    assert "repeated" in [problem.field for problem in inspect(scan).problems]


def test_values_that_were_not_measured_are_masked_in_their_own_patterns_or_filled_with_the_pixels_mean(tmp_path):
    lost = np.random.default_rng(3).random(COUNTS.shape) < 0.1
    counts = np.where(lost, np.nan, COUNTS.astype(np.float32))
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(N))
    with pytest.raises(InputError, match="bad_pixels=mask") as caught:
        read_scan(path)
    assert [fix.value for fix in caught.value.fixes] == ["mask", "zero"]
    scan = read_scan(path, settings={"bad_pixels": "mask"})
    np.testing.assert_array_equal(scan.mask[:], ~lost)
    np.testing.assert_array_equal(scan.patterns[:], np.where(lost, 0, counts))
    scan = read_scan(path, settings={"bad_pixels": "fill"})
    expected = np.where(lost, np.nanmean(counts, axis=0), counts)
    np.testing.assert_allclose(scan.patterns[:], expected, rtol=1e-5)
    assert any("not measured" in note for note in scan.history)


def test_a_pixel_that_is_always_below_zero_is_no_noise(tmp_path):
    path = flagged(tmp_path, -1, np.int16)
    with pytest.raises(InputError, match="60 negative values in 3 pixels") as caught:
        read_scan(path)
    assert [fix.value for fix in caught.value.fixes] == ["mask"]


def test_flags_below_zero_in_single_patterns_are_no_noise_and_masked_there_alone(tmp_path):
    bad = np.random.default_rng(4).random(COUNTS.shape) < 0.01
    path = files.npz(
        tmp_path / "a.npz", patterns=np.where(bad, -1, COUNTS.astype(np.int32)), positions=files.positions(N)
    )
    scan = read_scan(path, settings={"bad_pixels": "mask"})
    np.testing.assert_array_equal(scan.mask[:], ~bad)
    assert any("took for no counts" in note and "-1, as noise does not" in note for note in scan.history)
    noise = np.rint(COUNTS - 4.0 + np.random.default_rng(5).normal(0, 1, COUNTS.shape)).astype(
        np.int32
    )  # a dark frame too
    with pytest.raises(InputError, match="negative values") as caught:
        read_scan(files.npz(tmp_path / "b.npz", patterns=noise, positions=files.positions(N)))
    assert "zero" in [fix.value for fix in caught.value.fixes]


@pytest.mark.parametrize("nothing", [-np.inf, np.nan, -5.0])
@pytest.mark.parametrize(("name", "logarithm"), [("log", np.log), ("log10", np.log10)])
def test_logarithms_of_counts_that_are_none_where_nothing_fell_become_the_counts(tmp_path, nothing, name, logarithm):
    counts = np.where(COUNTS > 3, COUNTS, 0)
    stored = np.where(counts > 0, logarithm(np.maximum(counts, 1)), nothing).astype(np.float32)
    path = files.npz(tmp_path / "a.npz", patterns=stored, positions=files.positions(N))
    for settings in ({}, {"data": f"plain-{name}"}):
        scan = read_scan(path, settings=settings)
        np.testing.assert_array_equal(scan.patterns[:], counts)
        assert any(f"turned {name}(counts) into counts" in note for note in scan.history)


def test_a_number_beyond_all_detectors_is_not_measured(tmp_path):
    counts = COUNTS.astype(np.float32)
    counts[3, 2, 1] = 1e30
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(N))
    scan = read_scan(path, settings={"bad_pixels": "mask"})
    assert np.argwhere(~scan.mask[:]).tolist() == [[3, 2, 1]]
