"""Steps on scans of the near field, where a pixel of the detector is one of the object."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.scan import Geometry, Patterns, Scan
from ptycho_core.scan.steps import Bin, Centre, Crop, Orient, Pad
from ptycho_core.simulation.forward import fresnel

N = 32
GEOMETRY = Geometry(12400.0, 1.0, (50e-6, 50e-6), propagator="near", magnification=200.0)


def spot(n: int, y: float, x: float, width: float) -> np.ndarray:
    k = np.arange(n)
    return np.exp(-((k[:, None] - y) ** 2 + (k - x) ** 2) / (2 * width**2))


@pytest.fixture
def scan() -> Scan:
    """The shadow of a spot off the centre, and the beam that gives it."""
    scan = Scan(Patterns(np.zeros((3, N, N), np.float32)), np.array([[0.0, 0], [3, 5], [8, 2]]), geometry=GEOMETRY)
    probe = spot(N, 19, 13, 3.0)[None].astype(np.complex64)
    light = abs(fresnel(probe[0], scan.fresnel_spread)) ** 2
    return scan.replace(patterns=Patterns(np.stack([1e3 * light.astype(np.float32)] * 3)), probe=probe)


def shadow_of_the_probe(scan: Scan) -> np.ndarray:
    return abs(fresnel(scan.probe[0], scan.fresnel_spread)) ** 2


def assert_explained(scan: Scan) -> None:
    shadow, seen = shadow_of_the_probe(scan), scan.patterns[0]
    np.testing.assert_allclose(shadow / shadow.max(), seen / seen.max(), atol=0.04)


@pytest.mark.parametrize("step", [Crop(24), Pad(40)])
def test_crop_and_pad_change_what_is_seen_and_no_pixel(scan, step):
    after = preprocess(scan, [step])
    assert after.pixel_size_m == scan.pixel_size_m
    np.testing.assert_array_equal(after.positions, scan.positions)
    assert_explained(after)


def test_bins_make_the_pixels_of_the_object_larger(scan):
    after = preprocess(scan, [Bin(2)])
    np.testing.assert_allclose(after.pixel_size_m, 2 * np.array(scan.pixel_size_m))
    np.testing.assert_allclose(after.positions, scan.positions / 2)
    assert after.fresnel_spread == pytest.approx(np.array(scan.fresnel_spread) / 4)
    assert_explained(after)


def test_a_stated_pixel_of_the_object_grows_with_the_bins(scan):
    stated = scan.replace(geometry=dataclasses.replace(GEOMETRY, object_pixel_m=(1e-7, 1e-7)))
    assert preprocess(stated, [Bin(2)]).pixel_size_m == (2e-7, 2e-7)


def test_a_turned_shadow_is_that_of_a_turned_beam(scan):
    after = preprocess(scan, [Orient("+x-y")])
    assert_explained(after)
    assert not np.allclose(after.probe, scan.probe, atol=0.1)


def test_a_shadow_has_no_centre(scan):
    with pytest.raises(InputError, match="near field"):
        preprocess(scan, [Centre("mass")])
