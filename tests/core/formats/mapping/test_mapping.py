"""Mappings: files of no known format, read as a mapping says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.runs.recorded_scan import open_recorded, record_scan
from ptycho_core.scan.mapping import Mapping, read_mapping, write_mapping
from tests.helpers import scan_files as files
from tests.helpers.commands import ptycho
from tests.helpers.run_folders import through_json

M = files.TINY
N = files.N_PATTERNS
PIXEL = {"value": files.PIXEL_M * 1e9, "unit": "nm"}


def mapping(**changes: Any) -> Mapping:
    """Patterns in ``frames``, positions (n, 2) (y, x) in ``motors`` in metres; a change to None leaves it out."""
    body = {
        "version": 1,
        "patterns": "frames",
        "positions": {
            "y": {"key": "motors", "column": 0, "unit": "m"},
            "x": {"key": "motors", "column": 1, "unit": "m"},
        },
        "object_pixel": PIXEL,
        **changes,
    }
    return Mapping.from_dict({name: value for name, value in body.items() if value is not None})


def positions(y: str = "y", x: str = "x", unit: str = "m", **more: Any) -> dict[str, Any]:
    return {"y": {"key": y, "unit": unit}, "x": {"key": x, "unit": unit}, **more}


def hdf5(path: Path, **arrays: Any) -> Path:
    stored = {"frames": M.counts, "motors": M.positions * M.pixel_m, **arrays}
    with h5py.File(path, "w") as file:
        for key, value in stored.items():
            file[key] = value
    return path


def assert_as_measured(scan, rows=slice(None)) -> None:
    np.testing.assert_array_equal(scan.patterns[:], M.counts[rows])
    np.testing.assert_allclose(scan.positions, M.positions[rows], atol=1e-9)


# Patterns and positions


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


# Positions of their own file


def table(path: Path, header: str, *columns: np.ndarray, delimiter: str = ",", comment: str = "") -> Path:
    rows = [delimiter.join(f"{value:.17g}" for value in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*([comment] if comment else []), *([header] if header else []), *rows]) + "\n")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "  "])
@pytest.mark.parametrize("names", ["header", "comment", "numbers"])
def test_positions_in_a_table_of_text(tmp_path, delimiter, names):
    y, x = M.positions.T * M.pixel_m * 1e6
    title = delimiter.join(["time", "pos_y", "pos_x"])
    csv = table(
        tmp_path / "p.csv",
        title if names == "header" else "",
        np.arange(N) * 0.5,
        y,
        x,
        delimiter=delimiter,
        comment=f"# {title}" if names == "comment" else "# written by the beamline",
    )
    keys = ("1", "2") if names == "numbers" else ("pos_y", "pos_x")
    at = positions(*keys, unit="um", separate_file=True)
    scan = read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))
    assert_as_measured(scan)
    assert scan.source.positions_file == csv


def test_positions_paired_by_the_value_of_their_index_and_what_is_left_over(tmp_path):
    y, x = M.positions.T
    frames = np.arange(N) + 100
    order = np.random.default_rng(0).permutation(N)[:-2]
    csv = table(
        tmp_path / "p.csv",
        "frame,y,x",
        np.append(frames[order], [500, 501, 502]),
        np.append(y[order], [0, 0, 0]),
        np.append(x[order], [0, 0, 0]),
    )
    at = positions(unit="px", separate_file=True, index="frame")
    scan = read_scan(
        hdf5(tmp_path / "a.h5", numbers=frames), positions_file=csv, mapping=mapping(positions=at, index="numbers")
    )
    rows = np.sort(order)
    assert_as_measured(scan, rows)
    np.testing.assert_array_equal(scan.indexes, frames[rows])
    assert "left out 2 patterns whose index has no position" in scan.history
    assert "left out 3 positions whose index has no pattern" in scan.history


def test_several_readings_of_one_pattern_are_averaged(tmp_path):
    frames = np.repeat(np.arange(N), 2)
    y, x = (np.repeat(M.positions, 2, axis=0) + np.tile([[0.5], [-0.5]], (N, 1))).T
    csv = table(tmp_path / "p.txt", "", frames, y, x, delimiter=" ")
    at = positions("1", "2", unit="px", separate_file=True, index="0")
    scan = read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))
    assert_as_measured(scan)
    assert f"averaged the positions of {N} indexes that occur more than once" in scan.history


def test_indexes_without_a_common_value_are_refused(tmp_path):
    csv = table(tmp_path / "p.csv", "frame,y,x", np.arange(N) + 50, *M.positions.T)
    at = positions(unit="px", separate_file=True, index="frame")
    with pytest.raises(InputError, match=r"no pattern's index \(0 to 11\) is among the positions' \(50 to 61\)"):
        read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))


@pytest.mark.parametrize(("n", "sentence"), [(9, "last 3 of 12 patterns"), (14, "last 2 of 14 positions")])
def test_positions_paired_by_order_say_what_is_left_over(tmp_path, n, sentence):
    places = np.resize(M.positions, (n, 2))
    csv = table(tmp_path / "p.csv", "y,x", *places.T)
    at = positions(unit="px", separate_file=True)
    scan = read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))
    assert_as_measured(scan, slice(0, min(n, N)))
    assert any(sentence in said for said in scan.history)
    assert [a.value for a in scan.assumptions if a.key == "pairing"] == ["order"]


@pytest.mark.parametrize("suffix", ["h5", "npz"])
def test_positions_in_another_hdf5_or_npz(tmp_path, suffix):
    y, x = M.positions.T * M.pixel_m
    other = tmp_path / f"p.{suffix}"
    if suffix == "npz":
        np.savez(other, y=y, x=x)
    else:
        with h5py.File(other, "w") as file:
            file["y"], file["x"] = y, x
    at = positions(separate_file=True)
    assert_as_measured(read_scan(hdf5(tmp_path / "a.h5"), positions_file=other, mapping=mapping(positions=at)))


# Probe, mask, geometry


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


# As JSON, and again


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


def test_scan_is_read_again_by_its_record(tmp_path):
    csv = table(tmp_path / "p.csv", "frame,y,x", np.arange(N), *M.positions.T)
    at = positions(unit="px", separate_file=True, index="frame")
    scan = read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))
    recorded = through_json(record_scan(scan))
    again = open_recorded(recorded, (tmp_path / "a.h5").rename(tmp_path / "moved.h5"))
    assert_as_measured(again)
    assert again.source.mapping == scan.source.mapping


# What cannot be


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patern": "frames"}, "unknown name 'patern'; did you mean patterns?"),
        ({"patterns": 3}, r"mapping: patterns must be a text \(it is 3\)"),
        ({"positions": {"y": {"key": "y", "unit": "px"}}}, "positions lacks x"),
        ({"positions": {**positions(), "y": {"key": "", "unit": "m"}}}, "positions.y: a coordinate needs a 'key'"),
        ({"energy": {"value": 10**400, "unit": "eV"}}, "energy.value must be a number"),
        ({"positions": positions(unit="inch")}, r"positions\.y: the unit 'inch' of 'y' is not one of px, m, mm"),
        ({"positions": {**positions(), "y": {"key": "y", "unit": "m", "multiplier": 0}}}, "other than 0"),
        ({"positions": {**positions(), "y": {"key": "y", "unit": "px"}}}, "both be in pixels or both"),
        ({"energy": {"value": 8, "unit": "volt"}}, "the unit 'volt' of the energy is not one of j, joule"),
        ({"energy": {"unit": "eV"}}, "energy: a quantity is either a 'key' or a 'value'"),
        ({"distance": {"value": -1, "unit": "m"}}, "must be positive"),
        ({"mask": {"key": "bad", "invert": 1}}, "mask.invert must be true or false"),
        ({"settings": {"dat": "counts"}}, "there is no setting 'dat'"),
        ({"version": 7}, "has version 7; this program reads version 1"),
    ],
)
def test_mapping_that_is_wrong_is_refused_by_name(change, words):
    with pytest.raises(InputError, match=words):
        mapping(**change)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"version": 1}', "\xff"])
def test_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "map.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"map\.json"):
        read_mapping(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patterns": "frame"}, "has no key 'frame'; it holds frames"),
        ({"patterns": "motors"}, "patterns need 3 axes"),
        ({"positions": positions("motors", "motors")}, "'motors' has 24 values and 'motors' 24|24 positions"),
        (
            {"positions": {**positions(), "y": {"key": "motors", "column": 5, "unit": "m"}}},
            r"shape \(12, 2\), and so no column 5",
        ),
        ({"positions": positions("y", "short")}, "'y' has 12 values and 'short' 5, but there are 12 patterns"),
        ({"positions": positions("short", "short")}, "it has 5 positions, but there are 12 patterns"),
        ({"positions": positions("text", "y")}, "'text' has type"),
        ({"probe": "beam"}, "has no key 'beam'"),
        ({"mask": {"key": "y"}}, r"'y' is \(12,\) float64; the mask must be \(16, 16\), of numbers"),
        ({"energy": {"key": "y", "unit": "eV"}}, "must hold positive numbers"),
        ({"energy": {"key": "range", "unit": "eV"}}, "holds numbers from 1 to 9; it must be one"),
        ({"energy": {"key": "@e", "unit": "eV"}}, "'@e' is no attribute that holds a number"),
        ({"distance": {"key": "gone@e", "unit": "m"}}, "there is no .gone."),
        ({"positions": positions(separate_file=True)}, "from a file of its own"),
        ({"index": "y"}, "not whole numbers"),
    ],
)
def test_what_does_not_fit_the_file_is_named(tmp_path, change, words):
    arrays = {"y": M.positions[:, 0], "short": np.arange(5.0), "range": np.arange(1.0, 10), "text": ["a"] * N}
    path = hdf5(tmp_path / "a.h5", **arrays)
    with pytest.raises(InputError, match=words):
        read_scan(path, mapping=mapping(**change))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# nothing\n", "holds no table"),
        ("y,x\n", "no row of numbers"),
        ("y,x\n1,2\n3\n", "row 2 of the table has 1 cells and others 2"),
        ("y,y\n1,2\n", "two columns have the same name"),
        ("y,x\n1,2\n3,\n", "'x' holds 1 values that are not finite"),
        ("y,x\n1,2\n3,high\n", "'x' has type"),
        ("y,z\n1,2\n3,4\n", "has no key 'x'; it holds"),
        ("\0\0\0", "nor a table of text"),
        ("", "is empty"),
    ],
)
def test_table_of_text_that_cannot_be_used_is_refused(tmp_path, text, words):
    (tmp_path / "p.csv").write_text(text)
    at = positions(unit="px", separate_file=True)
    with pytest.raises(InputError, match=words):
        read_scan(hdf5(tmp_path / "a.h5"), positions_file=tmp_path / "p.csv", mapping=mapping(positions=at))


def test_positions_file_beside_a_mapping_that_needs_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="leave out"):
        read_scan(hdf5(tmp_path / "a.h5"), positions_file=hdf5(tmp_path / "b.h5"), mapping=mapping())


# The command line


def test_command_line_reads_by_a_mapping(tmp_path):
    path = hdf5(tmp_path / "a.h5")
    write_mapping(mapping(), tmp_path / "map.json")
    done = ptycho("convert", path, tmp_path / "b.cxi", "--mapping", tmp_path / "map.json")
    assert done.returncode == 0, done.stderr
    written = read_scan(tmp_path / "b.cxi")
    np.testing.assert_array_equal(written.patterns[:], M.counts)
    done = ptycho("inspect", path)
    assert done.returncode == 2
    assert "--mapping map.json" in done.stderr


@pytest.mark.parametrize("role", ["positions", "mask", "energy", "index"])
def test_absurd_shapes_are_refused_unread(tmp_path, role):
    path = hdf5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.create_dataset("huge", (10**6, 10**5), np.uint8, chunks=(1, 100))[0, 0] = 1
    change = {
        "positions": positions("huge", "huge"),
        "mask": {"key": "huge"},
        "energy": {"key": "huge", "unit": "eV"},
        "index": "huge",
    }[role]
    with pytest.raises(InputError, match="'huge'"):
        read_scan(path, mapping=mapping(**{role: change}))


# Coordinates in one array of complex numbers or of records


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
    del coordinates["x"]["column"]
    with pytest.raises(InputError, match=r"'places' holds . numbers in each place .* must say which by a 'column'"):
        read_scan(path, mapping=Mapping.from_dict(body))
