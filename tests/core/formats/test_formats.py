"""Readers: what each format stores becomes the core's convention, and every conversion is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import READERS, read_scan
from tests.helpers import scan_files as files


def assumed(scan, key):
    return next((a.value for a in scan.assumptions if a.key == key), None)


def relative(positions):
    return positions - positions[0]


@pytest.mark.parametrize("name", files.WRITERS)
def test_every_format_is_told_by_content_and_gives_the_same_scan(tmp_path, name):
    scan = read_scan(files.write(tmp_path, name))
    assert scan.source.format == name
    np.testing.assert_allclose(scan.patterns[:], files.counts(), rtol=1e-6)
    np.testing.assert_allclose(relative(scan.positions), relative(files.positions()), atol=1e-9)
    if name in files.HAVE_NO_PROBE:
        assert scan.probe is None
    else:
        np.testing.assert_array_equal(scan.probe, files.probe()[None])
    assert scan.mask is None
    if name in files.HDF5:
        assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))
    assert scan.history


@pytest.mark.parametrize("name", files.WRITERS)
def test_opening_does_not_import_torch(tmp_path, name):
    path = files.write(tmp_path, name)
    code = f"import sys; from ptycho_core.formats import read_scan; read_scan({str(path)!r}); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" not in modules
    assert ("h5py" in modules) == (name in files.HDF5)


def test_real_scan_opens_as_amplitudes_of_whole_counts(real_scan_path):
    scan = read_scan(real_scan_path)
    assert scan.patterns.shape == (516, 128, 128)
    assert assumed(scan, "data") is None
    assert any("squared" in sentence for sentence in scan.history)
    assert scan.patterns[:].max() == pytest.approx(963, rel=1e-5)
    assert scan.probe.shape == (1, 128, 128)


# Amplitudes or counts


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">f4"])
def test_whole_numbers_are_counts(tmp_path, dtype):
    values = files.counts().clip(max=200).astype(dtype)
    scan = read_scan(files.npz(tmp_path / "a.npz", **{**files.ptychopinn_arrays(), "diff3d": values}))
    np.testing.assert_array_equal(scan.patterns[:], values)
    assert assumed(scan, "data") is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_square_roots_of_whole_numbers_are_amplitudes(tmp_path, dtype):
    values = np.sqrt(files.counts().astype(dtype))
    scan = read_scan(files.npz(tmp_path / "a.npz", patterns=values, positions=files.positions()))
    np.testing.assert_allclose(scan.patterns[:], files.counts(), rtol=1e-5)
    assert assumed(scan, "data") is None


@pytest.mark.parametrize(("key", "held"), [("diff3d", "amplitude"), ("patterns", "counts")])
def test_numbers_that_do_not_tell_are_assumed_and_settable(tmp_path, key, held):
    arrays = files.ptychopinn_arrays() if key == "diff3d" else files.plain_arrays()
    values = (files.counts() * 0.37).astype(np.float32)
    path = files.npz(tmp_path / "a.npz", **{**arrays, key: values})
    scan = read_scan(path)
    assert assumed(scan, "data") == held
    assert any("assumed" in sentence for sentence in scan.history)
    np.testing.assert_allclose(scan.patterns[:], values**2 if held == "amplitude" else values, rtol=1e-6)
    other = "counts" if held == "amplitude" else "amplitude"
    np.testing.assert_allclose(
        read_scan(path, settings={"data": other}).patterns[:],
        values**2 if other == "amplitude" else values,
        rtol=1e-6,
    )


# PtychoPINN


def test_diffraction_goes_before_diff3d(tmp_path):
    arrays = files.ptychopinn_arrays()
    path = files.npz(tmp_path / "a.npz", **arrays, diffraction=np.full_like(arrays["diff3d"], 2))
    assert (read_scan(path).patterns[:] == 2).all()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_legacy_pattern_axis_last_is_told_by_the_number_of_positions(tmp_path, save):
    arrays = files.ptychopinn_arrays()
    arrays["diff3d"] = np.moveaxis(arrays["diff3d"], 0, -1)
    save(tmp_path / "a.npz", **arrays)
    scan = read_scan(tmp_path / "a.npz")
    np.testing.assert_allclose(scan.patterns[[3, 1]], files.counts()[[3, 1]], rtol=1e-6)
    assert any("legacy" in sentence for sentence in scan.history)


def test_pattern_axis_is_asked_for_where_both_ends_fit(tmp_path):
    arrays = files.ptychopinn_arrays()
    values = files.counts(files.SIZE)
    arrays.update(diff3d=values, xcoords=np.arange(16.0), ycoords=np.arange(16.0) % 5, scan_index=None)
    path = files.npz(tmp_path / "a.npz", **arrays)
    assert assumed(read_scan(path), "axes") == "nyx"
    # DC is told by the mean pattern, which has another axis now: set both.
    legacy = read_scan(path, settings={"axes": "yxn", "dc": "centre"})
    np.testing.assert_array_equal(legacy.patterns[:], np.moveaxis(values, -1, 0))


@pytest.mark.parametrize(
    "shape", [(16, 16), (1, 16, 16), (3, 16, 16), (16, 16, 1), (1, 1, 1, 3, 16, 16), (2, 3, 16, 16)]
)
def test_probes_of_every_layout_become_modes(tmp_path, shape):
    values = (np.arange(np.prod(shape)) + 1).reshape(shape).astype(np.complex64)
    scan = read_scan(files.npz(tmp_path / "a.npz", **{**files.ptychopinn_arrays(), "probeGuess": values}))
    modes = 3 if 3 in shape else 1
    np.testing.assert_array_equal(scan.probe.ravel(), values.ravel()[: modes * 256])
    assert scan.probe.shape == (modes, 16, 16)


def test_one_of_several_scans_in_a_file_can_be_chosen(tmp_path):
    arrays = {**files.ptychopinn_arrays(), "scan_index": np.arange(12) // 8}
    path = files.npz(tmp_path / "a.npz", **arrays)
    assert len(read_scan(path)) == 12
    scan = read_scan(path, settings={"scan_index": "1"})
    np.testing.assert_array_equal(scan.indexes, [8, 9, 10, 11])
    np.testing.assert_array_equal(scan.positions, files.positions()[8:])
    np.testing.assert_allclose(scan.patterns[:], files.counts()[8:], rtol=1e-6)
    with pytest.raises(InputError, match="one of all, 0, 1"):
        read_scan(path, settings={"scan_index": "7"})


def test_metadata_is_quoted_and_never_unpickled(tmp_path):
    path = files.npz(tmp_path / "a.npz", **files.ptychopinn_arrays(), _metadata=json.dumps({"nphotons": 1e9}))
    assert any("nphotons" in sentence for sentence in read_scan(path).history)
    bad = files.npz(tmp_path / "b.npz", **files.ptychopinn_arrays(), _metadata="{not json")
    assert any("not JSON" in sentence for sentence in read_scan(bad).history)


# Plain NPZ


def test_leading_axes_of_length_one_are_dropped(tmp_path):
    path = files.npz(
        tmp_path / "a.npz",
        data=files.counts()[None, None],
        scan=files.positions()[None],
        probe=files.probe()[None, None, None, None],
    )
    scan = read_scan(path)
    assert scan.patterns.shape == (12, 16, 16)
    np.testing.assert_array_equal(scan.positions, files.positions())


@pytest.mark.parametrize("size", [16, 15])
def test_dc_in_the_corner_is_found_moved_and_told(tmp_path, size):
    values = files.counts(height=size, width=size)
    stored = np.fft.ifftshift(values, axes=(1, 2))
    path = files.npz(tmp_path / "a.npz", patterns=stored, positions=files.positions())
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.patterns[:], values)
    assert assumed(scan, "dc") == "corner"
    assert any("corner" in sentence for sentence in scan.history)
    np.testing.assert_array_equal(read_scan(path, settings={"dc": "centre"}).patterns[:], stored)


def test_flat_patterns_do_not_tell_where_dc_is(tmp_path):
    path = files.npz(tmp_path / "a.npz", patterns=np.full((12, 16, 16), 7), positions=files.positions())
    assert assumed(read_scan(path), "dc") == "centre"


def test_orientation_of_positions_is_settable(tmp_path):
    path = files.write(tmp_path, "plain-npz")
    y, x = files.positions().T
    turned = read_scan(path, settings={"orientation": "-x+y"})
    np.testing.assert_array_equal(turned.positions, np.stack([-x, y], axis=1))


def test_positions_in_another_unit_are_converted_with_the_pixel_size(tmp_path):
    path = files.npz(tmp_path / "a.npz", patterns=files.counts(), positions=files.positions() * 0.02)
    scan = read_scan(path, settings={"position_unit": "um", "object_pixel_m": "2e-8"})
    np.testing.assert_allclose(scan.positions, files.positions())
    with pytest.raises(InputError, match="how large a pixel is; set energy_ev"):
        read_scan(path, settings={"position_unit": "um"})


# ptychodus


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


# CXI


def edit_cxi(folder: Path, **changes) -> Path:
    path = files.write(folder, "cxi")
    with h5py.File(path, "a") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        for key, value in changes.items():
            if key in detector:
                del detector[key]
            if value is not None:
                detector[key] = value
    return path


def test_cxi_energy_is_joule_and_lengths_are_metres(tmp_path):
    scan = read_scan(files.write(tmp_path, "cxi"))
    assert scan.geometry.energy_ev == pytest.approx(8000)
    assert scan.geometry.distance_m == 2
    assert scan.geometry.detector_pixel_m == (75e-6, 75e-6)
    assert any("8000 eV" in sentence for sentence in scan.history)


def test_cxi_wavelength_stands_in_for_the_energy(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/source_1/energy"]
        file["entry_1/instrument_1/source_1/wavelength"] = 1.23984198e-10
    assert read_scan(path).geometry.energy_ev == pytest.approx(10000)


def test_cxi_energy_that_is_no_photons_in_joule_is_read_as_electronvolt_and_said(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/source_1/energy"][()] = 8000.0
    scan = read_scan(path)
    assert scan.geometry.energy_ev == 8000
    assert assumed(scan, "energy_ev") == "8000"
    assert read_scan(path, settings={"energy_ev": "9000"}).geometry.energy_ev == 9000


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("rows_along", "columns_along", "expected"),
    [
        ((0, -1), (-1, 0), lambda y, x: (y, x)),
        ((0, 1), (-1, 0), lambda y, x: (-y, x)),
        ((0, -1), (1, 0), lambda y, x: (y, -x)),
        ((-1, 0), (0, -1), lambda y, x: (x, y)),
    ],
)
def test_cxi_basis_vectors_turn_the_positions(tmp_path, transposed, rows_along, columns_along, expected):
    basis = np.zeros((2, 3))
    basis[0, :2], basis[1, :2] = np.multiply(rows_along, 75e-6), np.multiply(columns_along, 75e-6)
    scan = read_scan(edit_cxi(tmp_path, basis_vectors=basis.T if transposed else basis))
    y, x = files.positions().T
    np.testing.assert_allclose(scan.positions, np.stack(expected(y, x), axis=1), atol=1e-9)


def test_cxi_pixel_size_comes_from_the_basis_where_it_is_not_stated(tmp_path):
    basis = np.array([[0, -50e-6, 0], [-55e-6, 0, 0]])
    scan = read_scan(edit_cxi(tmp_path, basis_vectors=basis, x_pixel_size=None, y_pixel_size=None))
    assert scan.geometry.detector_pixel_m == (50e-6, 55e-6)


def test_cxi_distance_comes_from_the_corner_where_it_is_not_stated(tmp_path):
    scan = read_scan(edit_cxi(tmp_path, distance=None, corner_position=[1e-3, 1e-3, -1.5]))
    assert scan.geometry.distance_m == 1.5


def test_cxi_mask_bit_has_signal_does_not_mark_a_pixel_as_bad(tmp_path):
    mask = np.zeros((16, 16), np.uint32)
    mask[0, 0], mask[1, 1], mask[2, 2], mask[3, 3] = 0x1000, 0x1, 0x1001, 0x8000
    scan = read_scan(edit_cxi(tmp_path, mask=mask))
    assert [tuple(p) for p in np.argwhere(~scan.mask)] == [(1, 1), (2, 2), (3, 3)]


def test_cxi_dark_frames_are_subtracted_unless_ignored(tmp_path):
    path = edit_cxi(tmp_path, data_dark=np.full((3, 16, 16), 2.0))
    np.testing.assert_array_equal(read_scan(path).patterns[:], np.maximum(files.counts().astype(float) - 2, 0))
    np.testing.assert_array_equal(read_scan(path, settings={"dark": "ignore"}).patterns[:], files.counts())


def test_cxi_translation_in_stated_units(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        translation = file["entry_1/sample_1/geometry_1/translation"]
        translation[...] = translation[...] * 1e6
        translation.attrs["units"] = "um"
    np.testing.assert_allclose(read_scan(path).positions, files.positions(), atol=1e-9)


def test_cxi_data_behind_an_external_link_resolves_beside_the_file(tmp_path, monkeypatch):
    path = files.write(tmp_path, "cxi")
    with h5py.File(tmp_path / "raw.h5", "w") as raw:
        raw["frames"] = files.counts() + 1
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        file["entry_1/data_1/data"] = h5py.ExternalLink("raw.h5", "/frames")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(read_scan(path).patterns[:], files.counts() + 1)


def test_cxi_without_energy_asks_for_what_metres_need(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/source_1"]
    with pytest.raises(InputError, match=r"positions are in m, and .* how large a pixel is; set energy_ev"):
        read_scan(path)
    np.testing.assert_allclose(
        read_scan(path, settings={"energy_ev": "8000"}).positions, files.positions(), rtol=1e-9, atol=1e-9
    )


# Settings and formats


def test_what_the_operator_set_is_in_the_history_even_against_the_file(tmp_path):
    scan = read_scan(files.write(tmp_path, "cxi"), settings={"energy_ev": "9000"})
    assert scan.geometry.energy_ev == 9000
    assert "set by the operator: energy_ev=9000" in scan.history


def test_unknown_setting_lists_those_that_exist_nearest_first(tmp_path):
    with pytest.raises(InputError, match=r"no setting 'sqare'; did you mean square\?"):
        read_scan(files.write(tmp_path, "cxi"), settings={"sqare": "crop"})


def test_setting_of_another_format_is_not_ignored(tmp_path):
    with pytest.raises(InputError, match="axes does not apply"):
        read_scan(files.write(tmp_path, "cxi"), settings={"axes": "yxn"})


@pytest.mark.parametrize("value", ["-3", "0", "nan", "inf", "many", ""])
def test_numbers_that_are_not_positive_are_refused(tmp_path, value):
    with pytest.raises(InputError, match="must be a positive number"):
        read_scan(files.write(tmp_path, "cxi"), settings={"energy_ev": value})


def test_choice_that_does_not_exist_lists_the_valid_ones(tmp_path):
    with pytest.raises(InputError, match="one of crop, pad"):
        read_scan(files.write(tmp_path, "cxi"), settings={"square": "fold"})


def test_format_can_be_forced_and_must_exist(tmp_path):
    path = files.write(tmp_path, "plain-npz")
    with pytest.raises(InputError, match=r"no format 'ptychopin'; did you mean ptychopinn-npz\?"):
        read_scan(path, format="ptychopin")
    with pytest.raises(InputError, match="has no key 'diffraction' or 'diff3d'"):
        read_scan(path, format="ptychopinn-npz")
    assert set(files.WRITERS) == set(READERS)


def test_positions_file_beside_a_format_that_has_its_own_is_refused(tmp_path):
    files.write_product(tmp_path / "q.h5")
    with pytest.raises(InputError, match="leave out"):
        read_scan(files.write(tmp_path, "cxi"), positions_file=tmp_path / "q.h5")
