"""Mappings that are wrong, and files that they do not fit: a sentence names what."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.scan.mapping import read_mapping
from tests.helpers.mapped_files import M, N, hdf5, mapping, positions


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
