"""Energies, distances and pixels that cannot be right are named, with the values that were meant."""

from __future__ import annotations

import pytest

from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.scan.plausible import implausible
from ptycho_core.scan.scan import Geometry, Patterns, Scan
from ptycho_core.scan.settings import Assumption
from tests.helpers import scan_files as files

GOOD = {"energy_ev": 8000.0, "distance_m": 2.0, "detector_pixel_m": (75e-6, 75e-6)}


def test_usual_measurements_are_plausible():
    assert implausible(Geometry(**GOOD)) == []
    assert implausible(Geometry(1.96, 0.05, (4.65e-6, 4.65e-6))) == []  # a laser and a camera
    assert implausible(Geometry(object_pixel_m=(1e-11, 1e-11), energy_ev=300e3)) == []  # electrons


@pytest.mark.parametrize(
    ("key", "stored", "meant"),
    [
        ("energy_ev", 8.0, "8000"),
        ("energy_ev", 8e-7, "8000"),  # a wavelength in angstrom, taken for metres
        ("energy_ev", 8000 * 1.602176634e-19, "8000"),  # J
        ("energy_ev", 8e12, "8000"),  # a wavelength in m, taken for nm
        ("energy_ev", 1.549802e-7, "8000"),  # 8 keV, taken for a wavelength in m
        ("distance_m", 2000.0, "2"),
        ("detector_pixel_m", (75.0, 75.0), "7.5e-05"),
        ("detector_pixel_m", (0.075, 0.075), "7.5e-05"),
        ("detector_pixel_m", (7.5e-11, 7.5e-11), "7.5e-05"),  # m, taken for micrometres
        ("object_pixel_m", (129.0, 129.0), "1.29e-07"),
    ],
)
def test_the_number_that_is_off_is_named_and_what_was_meant(key, stored, meant):
    (problem,) = implausible(Geometry(**{**GOOD, key: stored}))
    assert problem.field == key
    assert (key, meant) in [(fix.field, fix.value) for fix in problem.fixes]


def scan(step_px: float, **geometry):
    """A scan whose steps are ``step_px`` with the right geometry, read with another."""
    right, read = Geometry(**GOOD).pixel_size_m(16), Geometry(**{**GOOD, **geometry})
    positions = files.positions(40) / 5 * step_px * right[0] / read.pixel_size_m(16)[0]
    told = Assumption("position_unit", "m", (), "")
    return Scan(Patterns(files.counts(40)), positions, files.probe()[None], geometry=read, assumptions=(told,))


@pytest.mark.parametrize("wrong", [{"distance_m": 2000.0}, {"detector_pixel_m": (75.0, 75.0)}, {"energy_ev": 8.0}])
def test_the_culprit_is_put_right_and_not_the_unit_of_the_positions(wrong):
    problems = check_scan(scan(5.0, **wrong))
    assert {fix.field for problem in problems for fix in problem.fixes} == set(wrong)


def test_a_plausible_number_that_makes_steps_too_small_is_offered_beside_the_unit():
    (problem,) = check_scan(scan(5.0, energy_ev=800.0))
    assert problem.severity == "warning"
    assert "less than a pixel" in problem.message
    assert ("energy_ev", "8000") in [(fix.field, fix.value) for fix in problem.fixes]


@pytest.mark.parametrize("energy_ev", [1.549802, 1549.802, 154.9802])
def test_a_wavelength_for_an_energy_or_the_other_way_round_is_offered_as_what_it_is(energy_ev):
    """1.55 angstrom for eV, for keV; 8 keV for a wavelength in nm."""
    fixes = [(fix.field, fix.value) for problem in check_scan(scan(5.0, energy_ev=energy_ev)) for fix in problem.fixes]
    assert any(field == "energy_ev" and abs(float(value) / 8000 - 1) < 1e-3 for field, value in fixes)


@pytest.mark.parametrize("energy_ev", [8.0, 0.155, 1.55e-10])
def test_a_number_that_two_slips_lead_to_is_offered_once(energy_ev):
    (problem,) = implausible(Geometry(**{**GOOD, "energy_ev": energy_ev}))
    values = [fix.value for fix in problem.fixes]
    assert len(set(values)) == len(values)
