"""Scans of the near field and of electrons: what is asked when they are opened, and what files keep of it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.scan.radiation import wavelength_m
from tests.helpers import scan_files as files

FORMATS = pytest.mark.parametrize("suffix", [".npz", ".cxi"])


@pytest.fixture
def path(tmp_path):
    """A CXI file with energy, distance and detector pixel, positions in metres."""
    return files.write(tmp_path, "cxi")


def answered(scan) -> dict[str, str]:
    return {one.key: one.value for one in scan.assumptions}


def fixes(scan, field: str) -> list[tuple[str, object]]:
    return [(fix.field, fix.value) for problem in check_scan(scan) if problem.field == field for fix in problem.fixes]


@pytest.mark.parametrize("key", ["defocus_m", "magnification"])
def test_a_defocus_or_a_magnification_opens_a_scan_as_near_field(path, key):
    far = read_scan(path)
    value = {"magnification": 250.0, "defocus_m": far.geometry.distance_m / 249.0}[key]
    near = read_scan(path, settings={key: repr(value)})
    pitch = np.array(near.geometry.detector_pixel_m)
    np.testing.assert_allclose(near.pixel_size_m, pitch / 250)
    metres = far.positions * far.pixel_size_m
    np.testing.assert_allclose(near.positions * near.pixel_size_m, metres)
    assert answered(near)["propagator"] == "near"
    assert "propagator" not in answered(far)


def test_the_near_field_asks_for_what_it_lacks(path):
    near = read_scan(path, settings={"propagator": "near"})
    assert (answered(near)["defocus_m"], answered(near)["magnification"]) == ("unknown", "unknown")
    assert ("defocus_m", None) in fixes(near, "defocus_m")


def test_the_near_field_asks_for_the_energy_too(path):
    with h5py.File(path, "r+") as file:
        del file["entry_1/instrument_1/source_1/energy"]
    near = read_scan(path, settings={"propagator": "near", "magnification": "250"})
    assert answered(near)["energy_ev"] == "unknown"
    assert ("energy_ev", None) in fixes(near, "energy_ev")


def test_far_field_wins_over_a_defocus_that_was_answered_before(path):
    scan = read_scan(path, settings={"defocus_m": "1e-3", "propagator": "far"})
    assert scan.geometry == read_scan(path).geometry
    assert "left out defocus and magnification, which are of the near field" in scan.history


def test_a_spread_wider_than_the_frame_is_no_near_field(path):
    assert fixes(read_scan(path, settings={"defocus_m": "1e-6"}), "propagator") == [("propagator", "far")]


@FORMATS
def test_files_that_we_write_keep_the_near_field(path, tmp_path, suffix):
    near = read_scan(path, settings={"magnification": "250"})
    write_scan(near, tmp_path / f"again{suffix}", {".npz": "ptychopinn", ".cxi": "cxi"}[suffix])
    again = read_scan(tmp_path / f"again{suffix}")
    assert again.geometry.propagator == "near"
    assert again.fresnel_spread == pytest.approx(near.fresnel_spread)
    np.testing.assert_allclose(again.positions, near.positions)


def test_a_defocus_that_tells_no_magnification_yet_asks_for_the_distance_and_not_for_the_files_word(path, tmp_path):
    write_scan(read_scan(path, settings={"magnification": "250"}), tmp_path / "again.cxi", "cxi")
    with h5py.File(tmp_path / "again.cxi", "r+") as file:
        for key in ("distance", "corner_position"):
            del file[f"entry_1/instrument_1/detector_1/{key}"]
    stated = read_scan(tmp_path / "again.cxi", settings={"position_unit": "px"})
    assert stated.geometry.magnification == 250
    near = read_scan(tmp_path / "again.cxi", settings={"position_unit": "px", "defocus_m": "1e-3"})
    assert near.geometry.magnification is None
    assert ("distance_m", None) in fixes(near, "distance_m")


def test_a_shadow_has_no_centre_to_be_found(path):
    with h5py.File(path, "r+") as file:
        data = file["entry_1/instrument_1/detector_1/data"]
        data[...] = np.fft.fftshift(data[...], axes=(1, 2))
    assert "dc" in answered(read_scan(path))
    near = read_scan(path, settings={"magnification": "250"})
    assert "dc" not in answered(near)


@pytest.mark.parametrize("kilovolt", [80, 300])
def test_electrons_are_asked_for_where_the_energy_leaves_it_open(path, kilovolt):
    open_question = read_scan(path, settings={"energy_ev": str(kilovolt * 1e3)})
    assert answered(open_question)["source"] == "photons"
    assert fixes(open_question, "source") == [("source", "electrons"), ("source", "photons")]
    electrons = read_scan(path, settings={"energy_ev": str(kilovolt * 1e3), "source": "electrons"})
    assert electrons.geometry.wavelength_m == wavelength_m(kilovolt * 1e3, "electrons")
    assert fixes(electrons, "source") == []
    photons = read_scan(path, settings={"energy_ev": str(kilovolt * 1e3), "source": "photons"})
    assert fixes(photons, "source") == []


def test_ordinary_photons_ask_nothing(path):
    assert "source" not in answered(read_scan(path))


@FORMATS
def test_files_that_we_write_keep_the_electrons(path, tmp_path, suffix):
    scan = read_scan(path, settings={"energy_ev": "300e3", "source": "electrons"})
    write_scan(scan, tmp_path / f"again{suffix}", {".npz": "ptychopinn", ".cxi": "cxi"}[suffix])
    again = read_scan(tmp_path / f"again{suffix}")
    assert again.geometry.source == "electrons"
    assert again.geometry.wavelength_m == pytest.approx(1.9687e-12, rel=1e-4)


def test_a_nexus_file_that_names_electrons_is_believed(tmp_path):
    path = files.write(tmp_path, "nexus")
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/probe"] = "electron"
    assert read_scan(path).geometry.source == "electrons"


def test_a_stored_wavelength_of_electrons_stays_what_it_is(tmp_path):
    path = files.write(tmp_path, "nsls2")
    stored, electrons = (read_scan(path, settings=settings).geometry for settings in ({}, {"source": "electrons"}))
    assert electrons.wavelength_m == pytest.approx(stored.wavelength_m)
    assert electrons.energy_ev < stored.energy_ev


def fold_slice(tmp_path, **parameters):
    """A scan with a reconstruction by fold_slice whose ``p`` holds these."""
    files.write_fold_slice_patterns(tmp_path / "a.hdf5")
    files.write_fold_slice_result(tmp_path / "b.mat", files.TINY, np.ones((40, 40), np.complex64))
    with h5py.File(tmp_path / "b.mat", "r+") as file:
        for key, value in parameters.items():
            if key in file["p"]:
                del file[f"p/{key}"]
            text = isinstance(value, str)
            file[f"p/{key}"] = np.array([[ord(c)] for c in value], np.uint16) if text else np.atleast_2d(value).T
    return read_scan(tmp_path / "a.hdf5", positions_file=tmp_path / "b.mat").geometry


def test_a_reconstruction_by_fold_slice_tells_its_near_field(tmp_path):
    """It keeps the effective distance, that of sample and detector over the magnification."""
    near = {"prop_regime": "nearfield", "nearfield_magnification": 200.0, "z": 5e-3, "dx_spec": [3e-7, 3e-7]}
    geometry = fold_slice(tmp_path, **near)
    assert (geometry.propagator, geometry.magnification) == ("near", 200.0)
    wavelength = geometry.wavelength_m
    assert geometry.fresnel_spread == pytest.approx([wavelength * 5e-3 / 9e-14] * 2)


def test_a_reconstruction_by_fold_slice_of_the_far_field_is_one(tmp_path):
    assert fold_slice(tmp_path, prop_regime="farfield", z=5.0).propagator == "far"


def test_a_reconstruction_by_fold_slice_tells_its_electrons_in_angstrom(tmp_path):
    geometry = fold_slice(tmp_path, beam_source="electron", **{"lambda": 0.019687, "dx_spec": [0.2, 0.2]})
    assert geometry.source == "electrons"
    assert geometry.energy_ev == pytest.approx(300e3, rel=1e-4)
    assert geometry.object_pixel_m == pytest.approx((2e-11, 2e-11))
