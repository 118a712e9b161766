"""Readers: what each format stores becomes the core's convention, and every conversion is told."""

from __future__ import annotations

import json
import subprocess
import sys

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
    assert {*files.WRITERS, "empad", "merlin"} == set(READERS)  # both are in readers/test_raster_4d.py


def test_positions_file_beside_a_format_that_has_its_own_is_refused(tmp_path):
    files.write_product(tmp_path / "q.h5")
    with pytest.raises(InputError, match="leave out"):
        read_scan(files.write(tmp_path, "cxi"), positions_file=tmp_path / "q.h5")
