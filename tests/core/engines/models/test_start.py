"""Where a fit begins: the probe at the scan's brightness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.engines.models.start import (
    at_brightness,
    brightest,
    scan_summary,
    starting_probe,
)
from ptycho_core.engines.physics import squared_modulus
from ptycho_core.scan.scan import Patterns, Scan


def with_mask(scan: Scan) -> Scan:
    """The scan with a bad pixel that outshines all others."""
    mask = np.ones((32, 32), np.bool_)
    mask[3, 5] = False
    counts = scan.patterns[:].copy()
    counts[:, 3, 5] = 1e8
    return scan.replace(patterns=Patterns(counts), mask=mask)


@pytest.mark.parametrize("modes", [1, 4])
def test_probe_gives_the_brightest_pattern_on_vacuum(tiny_scan: Scan, modes):
    probe = starting_probe(tiny_scan, modes)
    assert probe.shape == (modes, 32, 32)
    assert probe.dtype == torch.complex64
    most = tiny_scan.patterns[:].sum(axis=(1, 2)).max()
    assert float(squared_modulus(probe).sum()) == pytest.approx(most, rel=1e-5)
    assert float(squared_modulus(at_brightness(7 * probe, tiny_scan)).sum()) == pytest.approx(most, rel=1e-5)


def test_a_scans_own_probe_keeps_its_shape(tiny_scan: Scan):
    probe = starting_probe(tiny_scan, 1).numpy()
    ratio = probe / tiny_scan.probe
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-3)


@pytest.mark.parametrize("given", [None, np.zeros((1, 32, 32), np.complex64)])
def test_a_scan_without_a_probe_gets_a_guess(tiny_scan: Scan, given):
    probe = starting_probe(tiny_scan.replace(probe=given), 2)
    assert probe.shape == (2, 32, 32)
    assert float(squared_modulus(probe).sum()) == pytest.approx(brightest(tiny_scan), rel=1e-5)


def test_bad_pixels_are_no_brightness(tiny_scan: Scan):
    without = tiny_scan.patterns[:].copy()
    without[:, 3, 5] = 0
    assert brightest(with_mask(tiny_scan)) == without.sum(axis=(1, 2)).max()


def test_summary_tells_scans_apart(tiny_scan: Scan):
    assert scan_summary(tiny_scan) == scan_summary(tiny_scan.replace(patterns=Patterns(tiny_scan.patterns[:])))
    for other in (tiny_scan.take(range(59)), tiny_scan.replace(patterns=Patterns(tiny_scan.patterns[:] + 1))):
        assert scan_summary(other) != scan_summary(tiny_scan)
