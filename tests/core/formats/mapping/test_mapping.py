"""Mappings: files of no known format, read as a mapping says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.scan.mapping import Mapping, read_mapping, write_mapping
from tests.helpers import scan_files as files
from tests.helpers.mapped_files import M, N, assert_as_measured, hdf5, mapping, positions


@pytest.mark.parametrize("container", ["hdf5", "npz", "npz, compressed"])
def test_one_array_of_positions(tmp_path, container):
    arrays = {"frames": M.counts, "motors": M.positions * M.pixel_m}
    if container == "hdf5":
        path = hdf5(tmp_path / "a.h5")
    else:
        path = tmp_path / "a.npz"
        (np.savez if container == "npz" else np.savez_compressed)(path, **arrays)
    scan = read_scan(path, mapping=mapping())
    assert_as_measured(scan)
    assert scan.source.format == "mapped"
    assert "mapped: patterns from 'frames', y from 'motors', column 0, in m and x from 'motors'" in scan.history[1]


def test_transposed_positions_with_the_columns_the_other_way_round(tmp_path):
    path = hdf5(tmp_path / "a.h5", motors=M.positions.T[::-1] * M.pixel_m)
    swapped = {"y": {"key": "motors", "column": 1, "unit": "m"}, "x": {"key": "motors", "column": 0, "unit": "m"}}
    assert_as_measured(read_scan(path, mapping=mapping(positions=swapped)))


def test_two_arrays_of_positions_with_unit_multiplier_and_sign(tmp_path):
    y, x = M.positions.T * M.pixel_m
    path = hdf5(tmp_path / "a.h5", **{"stage/y": -y * 1e9 / 2, "stage/x": x * 1e3})
    at = {"y": {"key": "stage/y", "unit": "nm", "multiplier": -2}, "x": {"key": "stage/x", "unit": "mm"}}
    assert_as_measured(read_scan(path, mapping=mapping(positions=at)))


@pytest.mark.parametrize("unit", ["px", "m", "mm", "um", "nm"])
def test_units_of_positions(tmp_path, unit):
    per_unit = {"px": M.pixel_m, "m": 1, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}[unit]
    y, x = M.positions.T * M.pixel_m / per_unit
    scan = read_scan(hdf5(tmp_path / "a.h5", y=y, x=x), mapping=mapping(positions=positions(unit=unit)))
    assert_as_measured(scan)
    assert [a.value for a in scan.assumptions if a.key == "position_unit"] == [unit]


def raster_scan(folder: Path, **arrays: Any) -> Path:
    return hdf5(folder / "a.h5", frames=M.counts.reshape(3, 4, 16, 16), **arrays)


def test_raster_with_positions_for_each_place(tmp_path):
    y, x = (values.reshape(3, 4) for values in M.positions.T * M.pixel_m)
    assert_as_measured(read_scan(raster_scan(tmp_path, y=y, x=x), mapping=mapping(positions=positions())))


def test_raster_with_an_array_of_pairs(tmp_path):
    pairs = (M.positions * M.pixel_m).reshape(3, 4, 2)
    assert_as_measured(read_scan(raster_scan(tmp_path, motors=pairs), mapping=mapping()))


@pytest.mark.parametrize("stack", ["raster", "flat"])
def test_raster_with_two_axes(tmp_path, stack):
    shape = (3, 4, 16, 16) if stack == "raster" else (12, 16, 16)
    y, x = np.arange(3) * 5.0, np.arange(4) * 6.0
    path = hdf5(tmp_path / "a.h5", frames=M.counts.reshape(shape), y=y, x=x)
    scan = read_scan(path, mapping=mapping(positions=positions(unit="px")))
    expected = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(scan.positions, expected)


def test_raster_whose_lines_run_along_y(tmp_path):
    y, x = np.arange(4) * 5.0, np.arange(3) * 6.0
    scan = read_scan(raster_scan(tmp_path, y=y, x=x), mapping=mapping(positions=positions(unit="px")))
    np.testing.assert_array_equal(scan.positions[:5], [[0, 0], [5, 0], [10, 0], [15, 0], [0, 6]])


@pytest.mark.parametrize("container", ["hdf5", "npz, compressed", "npz"])
@pytest.mark.parametrize("axes", ["yxn", "nxy"])
def test_other_orders_of_axes(tmp_path, container, axes):
    stored = np.moveaxis(M.counts, 0, -1) if axes == "yxn" else np.swapaxes(M.counts, 1, 2)
    good = np.ones((16, 16), bool)
    good[2, 5] = False
    arrays = {"frames": stored, "motors": M.positions * M.pixel_m, "good": good.T if axes == "nxy" else good}
    if container == "hdf5":
        path = hdf5(tmp_path / "a.h5", **arrays)
    else:
        path = tmp_path / "a.npz"
        (np.savez if container == "npz" else np.savez_compressed)(path, **arrays)
    scan = read_scan(path, mapping=mapping(settings={"axes": axes}, mask={"key": "good"}))
    np.testing.assert_array_equal(scan.patterns[:], M.counts)
    np.testing.assert_array_equal(scan.patterns[[7, 2, 3]], M.counts[[7, 2, 3]])
    assert [tuple(p) for p in np.argwhere(~scan.mask)] == [(2, 5)]


def test_patterns_of_several_arrays_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "a.h5"
    pieces = {f"entry/data_{i}": part for i, part in enumerate(np.split(M.counts, 12))}
    hdf5(path, **pieces)
    assert_as_measured(read_scan(path, mapping=mapping(patterns="entry/data_*")))
    with pytest.raises(InputError, match=r"no array's name is like 'entry/date_\*'"):
        read_scan(path, mapping=mapping(patterns="entry/date_*"))


def test_what_is_set_overrides_the_settings_of_the_mapping(tmp_path):
    path = hdf5(tmp_path / "a.h5", frames=M.counts + np.float32(0.25))
    by_mapping = read_scan(path, mapping=mapping(settings={"data": "amplitude"}))
    np.testing.assert_allclose(by_mapping.patterns[:], (M.counts + np.float32(0.25)) ** 2)
    by_operator = read_scan(path, mapping=mapping(settings={"data": "amplitude"}), settings={"data": "counts"})
    np.testing.assert_array_equal(by_operator.patterns[:], M.counts + np.float32(0.25))
    assert by_operator.source.settings == {"data": "counts"}


def test_probe_and_mask_either_way(tmp_path):
    bad = np.zeros((16, 16), np.uint8)
    bad[2, 5] = 1
    path = hdf5(tmp_path / "a.h5", beam=M.probe, bad=bad, good=1 - bad)
    by_bad = read_scan(path, mapping=mapping(probe="beam", mask={"key": "bad", "invert": True}))
    by_good = read_scan(path, mapping=mapping(mask={"key": "good"}))
    np.testing.assert_array_equal(by_bad.probe[0], M.probe)
    np.testing.assert_array_equal(by_bad.mask, bad == 0)
    np.testing.assert_array_equal(by_good.mask, bad == 0)


@pytest.mark.parametrize(
    ("stored", "unit"),
    [
        (8.0, "keV"),
        (8000.0, "eV"),
        (8000 * files.JOULE_PER_EV, "J"),
        (1.23984198e-6 / 8000, "m"),
        (1.23984198 / 8, "nm"),
        (12.3984198 / 8, "angstrom"),
    ],
)
@pytest.mark.parametrize("where", ["value", "array", "attribute", "readings"])
def test_energy_or_wavelength(tmp_path, stored, unit, where):
    path = hdf5(tmp_path / "a.h5", energy=stored, log=np.full(N, stored) * np.linspace(0.999, 1.001, N))
    with h5py.File(path, "a") as file:
        file.create_group("beam").attrs["e"] = stored
    at = {"value": {"value": stored}, "array": {"key": "energy"}, "attribute": {"key": "beam@e"}}
    quantity = {**at.get(where, {"key": "log"}), "unit": unit}
    geometry = read_scan(path, mapping=mapping(energy=quantity)).geometry
    assert geometry.energy_ev == pytest.approx(8000, rel=1e-3 if where == "readings" else 1e-7)


def test_positions_in_metres_become_pixels_by_energy_distance_and_detector_pixel(tmp_path):
    path = hdf5(tmp_path / "a.h5", z=files.DISTANCE_M * 1e3, pitch=np.full(2, files.PITCH_M * 1e6))
    scan = read_scan(
        path,
        mapping=mapping(
            object_pixel=None,
            energy={"value": 8.0, "unit": "keV"},
            distance={"key": "z", "unit": "mm"},
            detector_pixel={"key": "pitch", "unit": "um"},
        ),
    )
    np.testing.assert_allclose(scan.positions, M.positions, rtol=1e-9)
    assert scan.pixel_size_m == pytest.approx((M.pixel_m, M.pixel_m))


def test_mapping_survives_json(tmp_path):
    full = mapping(
        index="numbers",
        probe="beam",
        mask={"key": "bad", "invert": True},
        energy={"key": "@energy", "unit": "keV"},
        distance={"value": 2, "unit": "m"},
        settings={"dc": "corner"},
    )
    write_mapping(full, tmp_path / "map.json")
    assert read_mapping(tmp_path / "map.json") == full


def test_command_line_reads_by_a_mapping(tmp_path, ptycho):
    path = hdf5(tmp_path / "a.h5")
    write_mapping(mapping(), tmp_path / "map.json")
    done = ptycho("convert", path, tmp_path / "b.cxi", "--mapping", tmp_path / "map.json")
    assert done.returncode == 0, done.stderr
    written = read_scan(tmp_path / "b.cxi")
    np.testing.assert_array_equal(written.patterns[:], M.counts)
    done = ptycho("inspect", path)
    assert done.returncode == 2
    assert "--mapping map.json" in done.stderr


@pytest.mark.parametrize("kind", ["S16", h5py.string_dtype(), h5py.string_dtype("ascii")])
def test_positions_may_be_text(tmp_path, kind):
    y, x = ([f"{value:.6f}".encode() for value in axis] for axis in M.positions.T)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = M.counts
        for key, texts in (("pos_y", y), ("pos_x", x), ("name", [b"a sample"] * len(y))):
            file.create_dataset(key, data=np.array(texts, "S16"), dtype=kind)
    proposed = propose_file(tmp_path / "a.h5").mapping
    assert (proposed.positions.y.key, proposed.positions.x.key) == ("pos_y", "pos_x")
    scan = read_scan(tmp_path / "a.h5", mapping=proposed, settings={"position_unit": "px"})
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


def test_positions_that_are_no_numbers_in_their_texts_are_refused(tmp_path):
    rows = h5py.vlen_dtype(np.float64)
    for values, kind, why in (
        (["1.0"] * (N - 1) + ["here"], h5py.string_dtype(), "must hold real numbers"),
        (["1.0"] * (N - 1) + ["1" * 2000], h5py.string_dtype(), "a text of more than 1000 letters"),
        (np.array([*map(np.ones, range(1, N + 1))], object), rows, "must hold real numbers"),
    ):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["frames"], file["x"] = M.counts, M.positions[:, 1]
            file.create_dataset("y", data=values, dtype=kind)
        with pytest.raises(InputError, match=f"'y'.*{why}"):
            read_scan(tmp_path / "a.h5", mapping=mapping(positions=positions()))


@pytest.mark.parametrize("container", ["h5", "npz"])
@pytest.mark.parametrize("kind", ["complex", "records"])
def test_positions_may_be_complex_numbers_or_records(tmp_path, kind, container):
    y, x = M.positions.T
    if kind == "complex":
        places = y + 1j * x
    else:
        places = np.zeros(len(y), [("x", "f8"), ("time", "f8"), ("y", "f8")])
        places["x"], places["y"] = x, y
    columns = {"y": 0, "x": 1} if kind == "complex" else {"y": 2, "x": 0}
    path = tmp_path / f"a.{container}"
    if container == "npz":
        np.savez(path, frames=M.counts, places=places)
    else:
        with h5py.File(path, "w") as file:
            file["frames"], file["places"] = M.counts, places
    coordinates = {axis: {"key": "places", "unit": "px", "column": column} for axis, column in columns.items()}
    body = {"version": 1, "patterns": "frames", "positions": coordinates}
    np.testing.assert_allclose(read_scan(path, mapping=Mapping.from_dict(body)).positions, M.positions)
    proposed = propose_file(path).mapping
    assert {axis: getattr(proposed.positions, axis).column for axis in "yx"} == columns
    np.testing.assert_allclose(read_scan(path, mapping=proposed).positions, M.positions)
    del coordinates["x"]["column"]
    with pytest.raises(InputError, match=r"'places' holds . numbers in each place .* must say which by a 'column'"):
        read_scan(path, mapping=Mapping.from_dict(body))
