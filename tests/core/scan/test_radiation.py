"""Wavelengths, and the geometry that hangs on them."""

from __future__ import annotations

import dataclasses

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.scan.radiation import energy_ev, wavelength_m
from ptycho_core.scan.scan import Geometry


@pytest.mark.parametrize(
    ("kilovolt", "picometres"), [(60, 4.8661), (80, 4.1757), (100, 3.7014), (200, 2.5079), (300, 1.9687)]
)
def test_electrons_have_relativistic_wavelengths(kilovolt, picometres):
    """Williams and Carter, Transmission Electron Microscopy, table 1.2."""
    assert wavelength_m(kilovolt * 1e3, "electrons") == pytest.approx(picometres * 1e-12, rel=1e-4)


def test_photons_have_h_c_over_e():
    assert wavelength_m(12398.4198, "photons") == pytest.approx(1e-10)


@pytest.mark.parametrize("source", ["photons", "electrons"])
def test_an_energy_is_found_of_its_wavelength(source):
    assert energy_ev(wavelength_m(3e5, source), source) == pytest.approx(3e5)


def test_a_pixel_of_the_far_field_follows_from_the_wavelength():
    photons = Geometry(300e3, 0.2, (55e-6, 55e-6))
    electrons = dataclasses.replace(photons, source="electrons")
    assert photons.pixel_size_m(128)[0] / electrons.pixel_size_m(128)[0] == pytest.approx(
        4.1328e-12 / 1.9687e-12, rel=1e-3
    )


def test_a_pixel_of_the_near_field_is_the_detectors_over_the_magnification():
    near = Geometry(1e4, 1.0, (50e-6, 60e-6), propagator="near", magnification=100.0)
    assert near.pixel_size_m(64) == near.pixel_size_m(128) == pytest.approx((0.5e-6, 0.6e-6))
    wavelength = wavelength_m(1e4, "photons")
    assert near.fresnel_spread == pytest.approx((wavelength * 0.01 / 0.25e-12, wavelength * 0.01 / 0.36e-12))


def test_a_stated_pixel_of_the_object_is_taken():
    near = Geometry(1e4, 1.0, object_pixel_m=(1e-7, 1e-7), propagator="near", magnification=100.0)
    assert near.fresnel_spread == pytest.approx([wavelength_m(1e4, "photons") * 0.01 / 1e-14] * 2)


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({"magnification": None}, "defocus_m or magnification"),
        ({"energy_ev": None, "detector_pixel_m": None}, "energy_ev, detector_pixel_m"),
        ({"distance_m": None}, "distance_m"),
    ],
)
def test_a_near_field_says_what_it_lacks(changes, asked):
    near = Geometry(1e4, 1.0, (50e-6, 50e-6), propagator="near", magnification=100.0)
    with pytest.raises(InputError, match=asked):
        _ = dataclasses.replace(near, **changes).fresnel_spread
