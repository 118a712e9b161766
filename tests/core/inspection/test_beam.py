"""Where a beam is focused and how wide it is, against beams that are known by formula."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ptycho_core.inspection.beam import Units, beam_of, caustic_of, propagated, units_of
from ptycho_core.inspection.inspection import describe, scan_figures
from ptycho_core.scan.scan import Geometry
from ptycho_core.simulation import SimulationSpec, simulate

FWHM_OF_WAIST = math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian beam's intensity over its waist w0, the radius where that is 1/e^2."""


def gaussian(units, waists, z, size=128):
    """A Gaussian beam (1, N, N) whose waist, (y, x) in the units, is a distance behind the sample."""
    k = np.arange(size) - size // 2
    y, x = k[:, None] * units.pixel[0], k * units.pixel[1]
    waist = np.exp(-((y / waists[0]) ** 2) - (x / waists[1]) ** 2)
    return propagated(waist[None].astype(np.complex64), -z, units)


def lens(defocus, astigmatism=0.0, size=128, aperture=0.35, stop=0.25):
    """A beam (1, N, N) of a zone plate with a soft edge: its phase and astigmatism at the sample are known."""
    q = np.fft.fftfreq(size)
    y, x = q[:, None], q[None]
    radius = np.hypot(y, x)
    pupil = 1 / (1 + np.exp((radius - aperture / 2) / 0.004)) - 1 / (1 + np.exp((radius - stop * aperture / 2) / 0.004))
    phase = np.pi * defocus * ((1 + astigmatism) * x**2 + (1 - astigmatism) * y**2)
    return np.fft.fftshift(np.fft.ifft2(pupil * np.exp(1j * phase)))[None].astype(np.complex64)


METRES = Units((50e-9, 80e-9), 1.24e-10, True)


@pytest.mark.parametrize(("units", "waist", "z"), [(Units(), 4.0, 120.0), (Units(), 4.0, -75.0), (METRES, 3e-7, 2e-3)])
def test_a_gaussian_beam_is_followed_as_by_its_formula(units, waist, z):
    rayleigh = math.pi * waist**2 / units.wavelength
    caustic = caustic_of(gaussian(units, (waist, waist), z), units)
    beam = caustic.beam
    assert beam.foci == pytest.approx((z, z), rel=1e-3)
    assert beam.focus_widths == pytest.approx([FWHM_OF_WAIST * waist] * 2, rel=1e-3)
    assert beam.widths == pytest.approx([FWHM_OF_WAIST * waist * math.hypot(1, z / rayleigh)] * 2, rel=1e-3)
    assert beam.depth == pytest.approx(rayleigh, rel=1e-3)
    expected = FWHM_OF_WAIST * waist * np.hypot(1, (caustic.z - z) / rayleigh)
    np.testing.assert_allclose(caustic.widths, np.stack([expected] * 2, axis=1), rtol=0.02)
    assert caustic.z[0] < min(0, z)
    assert caustic.z[-1] > max(0, z)


def test_each_axis_has_its_own_waist():
    beam = beam_of(gaussian(Units(), (3.0, 6.0), 60.0), Units())
    assert beam.foci == pytest.approx((60, 60), rel=1e-3)
    assert beam.focus_widths == pytest.approx((3 * FWHM_OF_WAIST, 6 * FWHM_OF_WAIST), rel=1e-3)


@pytest.mark.parametrize(("defocus", "astigmatism"), [(150.0, 0.0), (-150.0, 0.0), (220.0, 0.2), (200.0, -0.3)])
def test_defocus_and_astigmatism_of_a_lens_are_found(defocus, astigmatism):
    beam = beam_of(lens(defocus, astigmatism), Units())
    assert beam.foci == pytest.approx((defocus * (1 - astigmatism), defocus * (1 + astigmatism)), rel=1e-3)
    assert beam.focus == pytest.approx(defocus, rel=1e-3)
    assert beam.astigmatic == (astigmatism != 0)
    assert not beam.in_focus


def test_a_beam_in_focus_is_called_so():
    beam = beam_of(lens(0.0), Units())
    assert beam.in_focus
    assert beam.focus_widths == pytest.approx(beam.widths, rel=1e-3)


def test_noise_does_not_move_the_focus():
    rng = np.random.default_rng(3)
    probe = lens(150.0)
    noise = rng.normal(size=(2, 128, 128)) * np.sqrt((abs(probe) ** 2).mean() / 2)
    beam = beam_of((probe + 0.3 * (noise[0] + 1j * noise[1])).astype(np.complex64), Units())
    assert beam.foci == pytest.approx((150, 150), rel=0.02)


def test_modes_add_in_intensity():
    one, other = lens(150.0), lens(150.0)[:, ::-1, ::-1]
    ramp = np.exp(2j * np.pi * 0.05 * np.arange(128))
    both = np.concatenate([one, 0.5 * other * ramp]).astype(np.complex64)
    caustic = caustic_of(both, Units())
    z = caustic.z[100]
    profile = (abs(propagated(both, z, Units())) ** 2).sum(axis=(0, 1))
    extent = profile.sum() ** 2 / (profile**2).sum()
    assert caustic.widths[100, 1] == pytest.approx(math.sqrt(2 * math.log(2) / math.pi) * extent, rel=0.01)


def test_light_that_fills_the_frame_evenly_has_no_focus():
    beam = beam_of(np.ones((1, 64, 64), np.complex64), Units())
    assert beam.foci == (None, None)
    assert beam.focus is None
    assert not beam.in_focus
    assert caustic_of(np.ones((1, 64, 64), np.complex64), Units()).z[0] < 0


@pytest.mark.parametrize("value", [0, np.nan])
def test_what_is_no_beam_has_none(value):
    assert beam_of(np.full((1, 32, 32), value, np.complex64), Units()) is None
    assert caustic_of(np.full((1, 32, 32), value, np.complex64), Units()) is None


def test_propagation_is_undone_by_going_back():
    probe = lens(150.0)
    there_and_back = propagated(propagated(probe, 1e-3, METRES), -1e-3, METRES)
    np.testing.assert_allclose(there_and_back, probe, atol=1e-5 * abs(probe).max())


def test_units_are_metres_only_where_energy_and_pixel_are_known():
    assert not units_of(Geometry(object_pixel_m=(1e-8, 1e-8)), 64).in_metres
    assert not units_of(Geometry(energy_ev=8000.0), 64).in_metres
    assert units_of(Geometry(energy_ev=8000.0, object_pixel_m=(1e-8, 2e-8)), 64).pixel == (1e-8, 2e-8)


def simulated(**changes):
    return simulate(SimulationSpec(n_patterns=16, defocus_m=1e-3, guess_defocus_error_m=0.2e-3, **changes)).scan


def test_inspection_tells_defocus_and_widths():
    info = scan_figures(simulated())
    beam = info["beam"]
    assert json.loads(json.dumps(beam, allow_nan=False)) == beam
    assert beam["defocus_m"] == pytest.approx([1.2e-3, 1.2e-3], rel=0.01)
    pixel = info["geometry"]["pixel_size_m"][0]
    assert beam["focus_width_px"] == pytest.approx([width / pixel for width in beam["focus_width_m"]])
    told = describe(info)
    assert "1.2 mm behind the focus" in told
    assert f"{1e9 * beam['focus_width_m'][0]:.4g} nm" in told


def test_inspection_tells_pixels_where_metres_are_not_known():
    scan = simulated()
    unknown = scan.replace(geometry=Geometry())
    beam = scan_figures(unknown)["beam"]
    assert beam["defocus_m"] is beam["width_m"] is None
    (pixel, _), wavelength = scan.pixel_size_m, scan.geometry.wavelength_m
    assert beam["defocus_px2_per_wavelength"] == pytest.approx([1.2e-3 * wavelength / pixel**2] * 2, rel=0.01)
    assert "px²/wavelength behind the focus" in describe(scan_figures(unknown))


def test_inspection_tells_astigmatism():
    scan = simulated().replace(geometry=Geometry(), probe=lens(100.0, 0.3, size=64))
    told = describe(scan_figures(scan))
    assert "70 px²/wavelength before (y) and 130 px²/wavelength before (x) the focus" in told


def test_a_guess_and_a_shadow_tell_no_focus():
    assert scan_figures(simulated().replace(probe=None))["beam"] is None
    near = Geometry(propagator="near", energy_ev=8e3, distance_m=1.0, detector_pixel_m=(1e-6, 1e-6), magnification=1.0)
    assert scan_figures(simulated().replace(geometry=near))["beam"] is None


def test_a_probe_of_any_scale_has_the_same_foci():
    assert beam_of(1e25 * lens(150.0), Units()).foci == pytest.approx(beam_of(lens(150.0), Units()).foci, abs=1e-3)
