"""Keys that are missing, shapes that do not fit, values that cannot be: the key, and what would be right."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.scan.survey import survey_of
from tests.helpers import scan_files as files
from tests.helpers.refusals import refused


@pytest.mark.parametrize(
    ("name", "gone", "words"),
    [
        ("plain-npz", "positions", "no key 'scan' or 'positions'; it holds patterns, probe"),
        ("ptychopinn-npz", "xcoords", "no key 'xcoords'; it holds ycoords, "),
        ("ptychopinn-npz", "diff3d", "no key 'diffraction' or 'diff3d'; it holds "),
    ],
)
def test_missing_key_lists_what_is_there_nearest_first(tmp_path, name, gone, words):
    arrays = files.plain_arrays() if name == "plain-npz" else files.ptychopinn_arrays()
    refused(files.npz(tmp_path / "a.npz", **{**arrays, gone: None}), words)


def test_missing_cxi_translation(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        file.move("entry_1/sample_1/geometry_1/translation", "entry_1/sample_1/geometry_1/translations")
    refused(path, "no key .* it holds entry_1/sample_1/geometry_1/translations, ")


@pytest.mark.parametrize("shape", [(12, 256), (12,), (), (3, 4, 16, 16)])
def test_wrong_number_of_axes(tmp_path, shape):
    refused(files.plain(tmp_path, patterns=np.ones(shape)), "patterns need 3 axes")


@pytest.mark.parametrize("shape", [(0, 16, 16), (12, 0, 16)])
def test_no_patterns(tmp_path, shape):
    refused(files.plain(tmp_path, patterns=np.ones(shape)), "holds no patterns")


def test_tiny_patterns(tmp_path):
    refused(files.plain(tmp_path, patterns=np.ones((12, 4, 4))), "too small")


@pytest.mark.parametrize("dtype", [complex, "U3", "M8[s]"])
def test_patterns_that_are_not_real_numbers(tmp_path, dtype):
    refused(files.plain(tmp_path, patterns=files.counts().astype(np.int64).astype(dtype)), "must hold real numbers")


@pytest.mark.parametrize("count", [11, 13, 1])
def test_counts_of_patterns_and_positions_differ(tmp_path, count):
    refused(files.plain(tmp_path, positions=np.ones((count, 2))), f"{count} positions, but there are 12 patterns")


def test_coordinates_of_another_length(tmp_path):
    arrays = {**files.ptychopinn_arrays(), "xcoords": np.arange(11.0)}
    refused(files.npz(tmp_path / "a.npz", **arrays), "'xcoords' has 11 values, but 'diff3d' has 12 patterns")
    arrays = {**files.ptychopinn_arrays(), "ycoords": np.arange(11.0)}
    refused(files.npz(tmp_path / "a.npz", **arrays), r"'ycoords' has shape \(11,\), but there are 12 patterns")


def test_positions_of_another_dimension(tmp_path):
    refused(files.plain(tmp_path, positions=np.ones((12, 4))), r"positions are \(n, 2\)")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite(tmp_path, value):
    positions = files.positions()
    positions[4, 1] = value
    refused(files.plain(tmp_path, positions=positions), "1 values that are not finite, the first at index 4")


@pytest.mark.parametrize("value", [1e-320, 1e200])
def test_a_geometry_that_cannot_be(tmp_path, value):
    path = files.write(tmp_path, "nsls2")
    with h5py.File(path, "a") as file:
        file["ccd_pixel_um"][()] = value
    refused(path, "detector_pixel_m is .* cannot be right; set detector_pixel_m")
    assert read_scan(path, settings={"detector_pixel_m": "75e-6"}).pixel_size_m


@pytest.mark.parametrize("value", [1j, "wide", np.ones(3)])
def test_an_attribute_that_is_no_number_is_left_out(tmp_path, value):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        file.attrs["probe_energy_eV"] = value
    assert read_scan(path).geometry.energy_ev is None


def test_positions_that_no_unit_explains(tmp_path):
    refused(
        files.plain(tmp_path, positions=files.positions() * 1e300), "positions reach .*e.30[0-9] pixels; no scan does"
    )


@pytest.mark.parametrize("shape", [(16,), (2, 2, 2, 16, 16), (0, 16)])
def test_probe_of_an_impossible_shape(tmp_path, shape):
    refused(files.plain(tmp_path, probe=np.ones(shape, np.complex64)), "a probe is")


def test_probe_with_nan(tmp_path):
    path = files.plain(tmp_path, probe=np.full((16, 16), np.nan, np.complex64))
    refused(path, "set probe=ignore")
    assert read_scan(path, settings={"probe": "ignore"}).probe is None


def test_mask_of_another_shape(tmp_path):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        del file["bad_pixels"]
        file["bad_pixels"] = np.eye(8) > 0
    refused(path, r"the mask has shape \(8, 8\)")


def test_mask_that_leaves_nothing(tmp_path):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        file["bad_pixels"][...] = True
    refused(path, "no good pixel; it may be inverted")


@pytest.mark.parametrize("basis", [np.ones((3, 3)), np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), np.nan)])
def test_cxi_basis_vectors_that_span_nothing(tmp_path, basis):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/detector_1/basis_vectors"] = basis
    refused(path, "basis_vectors")


def test_patterns_that_are_not_square_offer_crop_and_pad(tmp_path):
    values = files.counts(height=16, width=20)
    path = files.plain(tmp_path, patterns=values)
    refused(path, "16 x 20 pixels, not square; set square=crop for 16 pixels or square=pad for 20")
    cropped = read_scan(path, settings={"square": "crop"})
    np.testing.assert_array_equal(cropped.patterns[:], values[:, :, 2:18])
    assert cropped.mask is None
    # Fewer detector pixels make larger object pixels: the same steps are fewer of them.
    np.testing.assert_allclose(cropped.positions, files.positions() * [1, 16 / 20])
    padded = read_scan(path, settings={"square": "pad"})
    np.testing.assert_array_equal(padded.patterns[:], np.pad(values, [(0, 0), (2, 2), (0, 0)]))
    np.testing.assert_array_equal(padded.mask, np.pad(np.ones((16, 20), bool), [(2, 2), (0, 0)]))
    np.testing.assert_allclose(padded.positions, files.positions() * [20 / 16, 1])


def test_squaring_keeps_positions_in_metres_right(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        del detector["data"], detector["mask"]
        detector["data"] = files.counts(height=16, width=24)
    # 24 columns make pixels of 2/3 of the width; cropped to 16 they are as before.
    scan = read_scan(path, settings={"square": "crop"})
    np.testing.assert_allclose(scan.positions, files.positions(), atol=1e-9)
    assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0])
def test_bad_values_are_counted_and_three_ways_out_offered(tmp_path, value):
    values = files.counts().astype(np.float32)
    values[3, 2, 1] = values[3, 2, 2] = values[7, 2, 1] = value
    path = files.plain(tmp_path, patterns=values)
    refused(path, "3 NaN, infinite or flagged values in 2 pixels of 2 patterns; .* set bad_pixels=mask")
    masked = read_scan(path, settings={"bad_pixels": "mask"})
    assert [tuple(p) for p in np.argwhere(~masked.mask[:])] == [(3, 2, 1), (3, 2, 2), (7, 2, 1)]
    clean = np.where(np.isfinite(values) & (values >= 0), values, 0)
    np.testing.assert_array_equal(masked.patterns[:], clean)
    dropped = read_scan(path, settings={"bad_pixels": "drop"})
    keep = [i for i in range(12) if i not in (3, 7)]
    np.testing.assert_array_equal(dropped.patterns[:], values[keep])
    np.testing.assert_array_equal(dropped.positions, files.positions()[keep])
    zeroed = read_scan(path, settings={"bad_pixels": "zero"})
    np.testing.assert_array_equal(zeroed.patterns[:], clean)
    assert any("count as dark" in note for note in zeroed.history)
    with pytest.raises(InputError) as caught:
        read_scan(path)
    assert [fix.value for fix in caught.value.fixes] == ["mask", "drop", "zero"]


def test_the_largest_number_of_an_unsigned_type_is_no_count(tmp_path):
    values = files.counts()
    values[:, 5, 5] = 65535
    path = files.plain(tmp_path, patterns=values)
    refused(path, "12 NaN, infinite or flagged values in 1 pixels")
    assert read_scan(path, settings={"bad_pixels": "mask"}).patterns[:].max() < 65535


def test_bad_values_under_the_mask_are_no_matter(tmp_path):
    path = files.write(tmp_path, "ptychodus")
    values = files.counts().astype(np.float32)
    values[:, 0, 0] = np.nan
    values[:, 0, 1] = -1
    with h5py.File(path, "a") as file:
        del file["patterns"]
        file["patterns"] = values
        file["bad_pixels"][0, :2] = True
    scan = read_scan(path)
    assert np.isfinite(scan.patterns[:]).all()
    assert (scan.patterns[:] >= 0).all()


def test_more_counts_than_a_detector_has_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    refused(
        files.npz(path, **{**files.ptychopinn_arrays(), "diff3d": np.full((12, 16, 16), 2e6 + 0.5, np.float32)}),
        r"4e\+12 counts is more than .* set data=counts",
    )
    refused(
        files.npz(path, **{**files.ptychopinn_arrays(), "diff3d": np.full((12, 16, 16), 1e14, np.float32)}),
        "and so are most: the file holds something else",
    )


@pytest.mark.parametrize("value", [0.5, 1e300])
def test_indexes_that_are_not_whole(tmp_path, value):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        del file["indexes"]
        file["indexes"] = np.full(12, value)
    refused(path, "'indexes' holds values that are not whole")


def test_a_broken_pattern_is_dropped_or_masked_as_a_whole(tmp_path):
    values = files.counts().astype(np.float32)
    values[4] = np.nan
    path = files.plain(tmp_path, patterns=values)
    masked = read_scan(path, settings={"bad_pixels": "mask"})
    np.testing.assert_array_equal(masked.mask[:].all(axis=(1, 2)), np.arange(12) != 4)
    assert survey_of(masked).empty_rows.tolist() == [4]
    assert len(read_scan(path, settings={"bad_pixels": "drop"})) == 11


def test_probe_of_another_size_is_cropped_or_resampled_on_demand(tmp_path):
    path = files.plain(tmp_path, probe=files.probe(24))
    assert read_scan(path).probe.shape == (1, 24, 24)  # `check_scan` offers what follows
    np.testing.assert_array_equal(read_scan(path, settings={"probe": "crop"}).probe[0], files.probe(24)[4:20, 4:20])
    resampled = read_scan(path, settings={"probe": "resample"}).probe
    assert resampled.shape == (1, 16, 16)
    # The same field of view with fewer pixels: every width shrinks with the pixels, the power stays.
    assert np.sum(abs(resampled) ** 2) == pytest.approx(np.sum(abs(files.probe(24)) ** 2), rel=1e-3)
