"""Where DC is: told by the light that goes on across the edges, not by where most of it lies."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_scan
from tests.helpers import scan_files as files

N, SIZE = 12, 32


def light(y, x, ring=0.0, width=3.0):
    rows, columns = np.indices((SIZE, SIZE))
    radius = np.hypot(rows - y, columns - x)
    mean = 300 * np.exp(-((radius - ring) ** 2) / (2 * width**2)) + 0.1
    return np.random.default_rng(0).poisson(mean, (N, SIZE, SIZE)).astype(np.uint16)


def opened(folder, counts):
    return read_scan(files.npz(folder / "a.npz", patterns=counts, positions=files.positions(N)))


CENTRED = {
    "centre": light(16, 16),
    "near a corner": light(5, 5),
    "at an edge": light(16, 3),
    "ring": light(16, 16, ring=11, width=1.5),
    "ring off centre": light(12, 19, ring=10, width=1.5),
    "wide": light(16, 16, width=7),
}


@pytest.mark.parametrize("name", CENTRED)
def test_beams_off_centre_and_rings_stay_as_they_are(tmp_path, name):
    scan = opened(tmp_path, CENTRED[name])
    np.testing.assert_array_equal(scan.patterns[:], CENTRED[name])
    assert not [one for one in scan.assumptions if one.key == "dc"]


@pytest.mark.parametrize("name", ["centre", "ring", "wide"])
def test_dc_in_the_corner_comes_to_the_centre(tmp_path, name):
    stored = np.fft.ifftshift(CENTRED[name], axes=(1, 2))
    scan = opened(tmp_path, stored)
    np.testing.assert_array_equal(scan.patterns[:], CENTRED[name])
    assert [one.value for one in scan.assumptions if one.key == "dc"] == ["corner"]


@pytest.mark.parametrize(("place", "axis"), [("top", 1), ("left", 2)])
@pytest.mark.parametrize("name", ["centre", "ring"])
def test_dc_in_the_middle_of_an_edge_comes_to_the_centre(tmp_path, name, place, axis):
    stored = np.fft.ifftshift(CENTRED[name], axes=axis)
    scan = opened(tmp_path, stored)
    np.testing.assert_array_equal(scan.patterns[:], CENTRED[name])
    assert [one.value for one in scan.assumptions if one.key == "dc"] == [place]
    path = files.npz(tmp_path / "b.npz", patterns=stored, positions=files.positions(N))
    np.testing.assert_array_equal(read_scan(path, settings={"dc": "centre"}).patterns[:], stored)
    np.testing.assert_array_equal(read_scan(path, settings={"dc": place}).patterns[:], CENTRED[name])


def test_a_beam_near_a_corner_is_told_as_off_centre(tmp_path):
    assert "centre" in [problem.field for problem in check_scan(opened(tmp_path, CENTRED["near a corner"]))]


def test_making_patterns_square_says_which_part_of_the_counts_is_lost(tmp_path):
    counts = np.zeros((N, 16, 32), np.uint16)
    counts[:, :, 0:16] = files.counts(N)
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions(N))
    scan = read_scan(path, settings={"square": "crop", "dc": "centre"})
    lost = 1 - scan.patterns[:].sum() / counts.sum()
    assert any(f"{lost:.2%} of the counts lay outside" in note for note in scan.history)


@pytest.mark.parametrize("size", [16, 15])
def test_dc_in_the_corner_is_found_moved_and_told(tmp_path, size):
    values = files.counts(height=size, width=size)
    stored = np.fft.ifftshift(values, axes=(1, 2))
    path = files.npz(tmp_path / "a.npz", patterns=stored, positions=files.positions())
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.patterns[:], values)
    assert [one.value for one in scan.assumptions if one.key == "dc"] == ["corner"]
    assert any("corner" in sentence for sentence in scan.history)
    np.testing.assert_array_equal(read_scan(path, settings={"dc": "centre"}).patterns[:], stored)


def test_flat_patterns_do_not_tell_where_dc_is(tmp_path):
    path = files.npz(tmp_path / "a.npz", patterns=np.full((12, 16, 16), 7), positions=files.positions())
    assert [one.value for one in read_scan(path).assumptions if one.key == "dc"] == ["centre"]
