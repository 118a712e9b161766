"""Mappings whose positions lie in a file of their own: tables of text, HDF5 and NPZ, paired by index or by order."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.runs.recorded_scan import open_recorded, record_scan
from tests.helpers.mapped_files import M, N, assert_as_measured, hdf5, mapping, positions, table
from tests.helpers.run_folders import through_json


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


def test_scan_is_read_again_by_its_record(tmp_path):
    csv = table(tmp_path / "p.csv", "frame,y,x", np.arange(N), *M.positions.T)
    at = positions(unit="px", separate_file=True, index="frame")
    scan = read_scan(hdf5(tmp_path / "a.h5"), positions_file=csv, mapping=mapping(positions=at))
    recorded = through_json(record_scan(scan))
    again = open_recorded(recorded, (tmp_path / "a.h5").rename(tmp_path / "moved.h5"))
    assert_as_measured(again)
    assert again.source.mapping == scan.source.mapping


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# nothing\n", "holds no table"),
        ("y,x\n", "no row of numbers"),
        ("y,x\n1,2\n3\n", "row 2 of the table has 1 cells and others 2"),
        ("y,x,x\n1,2,3\n", "has no key 'x'; it holds"),
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
