"""The probe that is guessed for a scan without one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.scan.grouping import probe_diameter
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import simulate


def likeness(a, b):
    """Correlation of two probes, wherever they are: 1 for the same up to a shift and a factor."""
    correlation = np.fft.ifft2(np.fft.fft2(a) * np.fft.fft2(b).conj())
    return abs(correlation).max() / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("probe", ["zone_plate", "aperture"])
@pytest.mark.parametrize("defocus_m", [2.5e-3, -2.5e-3, 1e-3, -1e-3])
def test_defocus_is_found_with_its_sign(tiny_sim, probe, defocus_m):
    spec = dataclasses.replace(tiny_sim.spec, size=64, n_patterns=64, probe=probe, defocus_m=defocus_m)
    simulation = simulate(spec)
    guess = initial_probe(simulation.scan.replace(probe=None))
    assert guess.shape == (1, 64, 64)
    assert guess.dtype == np.complex64
    assert likeness(guess[0], simulation.truth.probe[0]) > 0.8


def test_power_is_that_of_the_brightest_pattern(tiny_scan):
    guess = initial_probe(tiny_scan)
    assert np.sum(abs(guess) ** 2) == pytest.approx(tiny_scan.patterns[:].sum(axis=(1, 2)).max(), rel=1e-4)


def test_real_scan_gets_a_probe_of_about_the_known_width(real_scan_path):
    scan = read_scan(real_scan_path)
    assert probe_diameter(initial_probe(scan)) == pytest.approx(probe_diameter(scan.probe), rel=0.5)


def test_bad_pixels_do_not_shape_the_guess(tiny_scan):
    mask = np.ones((32, 32), bool)
    mask[3, 4] = False
    hot = tiny_scan.patterns[:].copy()
    hot[:, 3, 4] = 1e7
    guess = initial_probe(tiny_scan.replace(patterns=Patterns(hot), mask=mask))
    assert likeness(guess[0], initial_probe(tiny_scan)[0]) > 0.95


@pytest.mark.parametrize("spacing", [0.0, 1e-4, 1e9])
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_hopeless_scans_still_get_a_finite_guess(spacing, level):
    positions = np.stack([np.arange(6) * spacing, np.arange(6) % 2 * spacing], axis=1)
    scan = Scan(Patterns(np.full((6, 16, 16), level, np.float32)), positions)
    assert np.isfinite(initial_probe(scan)).all()
