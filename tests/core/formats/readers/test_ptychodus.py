"""Patterns and products of ptychodus, in one file or two."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from tests.helpers import scan_files as files


@pytest.mark.parametrize("pattern_file", ["h5", "npz"])
@pytest.mark.parametrize("product_file", ["h5", "npz"])
def test_ptychodus_patterns_and_positions_are_paired_by_index_value(tmp_path, pattern_file, product_file):
    order = np.random.default_rng(0).permutation(12)
    indexes = order[:10] + 100
    arrays = {"patterns": files.counts()[order[:10]], "indexes": indexes, "bad_pixels": np.eye(16) > 0}
    patterns, product = tmp_path / f"p.{pattern_file}", tmp_path / f"q.{product_file}"
    if pattern_file == "npz":
        np.savez(patterns, **arrays)
    else:
        with h5py.File(patterns, "w") as file:
            for key, value in arrays.items():
                file[key] = value
    stored = {**files.product_arrays(), "probe_position_indexes": np.arange(12) + 100}
    # Index 103 has no position; index 105 has two, to be averaged.
    keep = np.arange(12) != 3
    for key in ("probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
        stored[key] = np.append(stored[key][keep], stored[key][5])
    if product_file == "npz":
        np.savez(product, **stored)
    else:
        files.write_product(product)
        with h5py.File(product, "a") as file:
            for key in ("probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
                del file[key]
                file[key] = stored[key]
    scan = read_scan(patterns, positions_file=product)
    expected = order[:10][order[:10] != 3]
    np.testing.assert_array_equal(scan.indexes, expected + 100)
    np.testing.assert_array_equal(scan.patterns[:], files.counts()[expected])
    # px = (x - center_x) / dx + W / 2, the object being 40 x 44 pixels around (-2, 3) px.
    np.testing.assert_allclose(scan.positions, files.positions()[expected] + np.array([2 + 20, -3 + 22]))
    np.testing.assert_array_equal(scan.mask, ~np.eye(16, dtype=bool))
    assert scan.geometry.energy_ev == files.ENERGY_EV
    assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))
    assert any("averaged" in sentence for sentence in scan.history)
    assert any("no position" in sentence for sentence in scan.history)


def test_ptychodus_product_may_hold_a_2d_probe_and_object(tmp_path):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        for key, value in (("probe", files.probe()), ("object", np.ones((40, 44), np.complex64))):
            attributes = dict(file[key].attrs)
            del file[key]
            file[key] = value
            file[key].attrs.update(attributes)
    scan = read_scan(path)
    assert scan.probe.shape == (1, 16, 16)
    np.testing.assert_allclose(scan.positions, files.positions() + np.array([22, 19]))


def test_ptychodus_since_1_7_names_the_energy_otherwise_and_tells_the_detector_pixel(tmp_path):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        file.attrs["photon_energy_eV"] = file.attrs["probe_energy_eV"]
        del file.attrs["probe_energy_eV"]
        file["patterns"].attrs.update(detector_pixel_height_m=files.PITCH_M, detector_pixel_width_m=2 * files.PITCH_M)
    scan = read_scan(path)
    assert scan.geometry.energy_ev == files.ENERGY_EV
    assert scan.geometry.detector_pixel_m == (files.PITCH_M, 2 * files.PITCH_M)


def test_bad_pixels_that_ptychodus_adds_to_ptychopinns_training_data_are_masked(tmp_path):
    arrays = {**files.ptychopinn_arrays(), "bad_pixels": np.eye(16) > 0}
    np.testing.assert_array_equal(read_scan(files.npz(tmp_path / "a.npz", **arrays)).mask, np.eye(16) == 0)


def test_a_product_alone_says_that_it_holds_no_patterns(tmp_path):
    files.write_product(tmp_path / "p.h5")
    with pytest.raises(InputError, match=r"product: it holds positions and a probe but no patterns"):
        read_scan(tmp_path / "p.h5")


def test_patterns_alone_ask_for_the_product(tmp_path):
    path = files.npz(tmp_path / "p.npz", patterns=files.counts(), indexes=np.arange(12))
    with pytest.raises(InputError, match=r"name the product file"):
        read_scan(path)


def test_patterns_and_product_of_different_scans_are_refused(tmp_path):
    path = files.npz(tmp_path / "p.npz", patterns=files.counts(), indexes=np.arange(12) + 500)
    files.write_product(tmp_path / "q.h5")
    with pytest.raises(InputError, match=r"500 to 511\) is among the positions' \(0 to 11\)"):
        read_scan(path, positions_file=tmp_path / "q.h5")
