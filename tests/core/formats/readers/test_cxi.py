"""CXI: units, geometry, mask and dark frames, and links."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from tests.helpers import scan_files as files


def assumed(scan, key):
    return next((a.value for a in scan.assumptions if a.key == key), None)


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


def test_als_cosmic_has_its_translation_with_the_detector_and_its_probe_with_the_source(tmp_path):
    m = files.TINY
    with h5py.File(tmp_path / "NS_1.cxi", "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"], detector["translation"] = m.counts.astype(np.float32), m.laboratory_m
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 2.0, 75e-6, 75e-6
        detector["probe_mask"] = np.ones((16, 16))
        source = file.create_group("entry_1/instrument_1/source_1")
        source["energy"], source["wavelength"] = 8000 * files.JOULE_PER_EV, 1.55e-10
        source["illumination"], source["data_illumination"] = m.probe, m.counts.mean(axis=0)
        data = file.create_group("entry_1/data_1")
        data["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        data["translation"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/translation")
    scan = read_scan(tmp_path / "NS_1.cxi")
    assert scan.source.format == "cxi"
    np.testing.assert_array_equal(scan.patterns[:], m.counts)
    np.testing.assert_allclose(scan.positions - scan.positions[0], m.positions - m.positions[0], atol=1e-9)
    np.testing.assert_array_equal(scan.probe, m.probe[None])
    assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))
