"""Damaged files: whatever happens to the bytes, keys, shapes and values, a reader ends in a scan or a sentence."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.scan_checks import check_scan
from tests.core import scan_files as files

N_SEEDS = 12
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("intact")
    return {name: files.write(folder, name).read_bytes() for name in files.WRITERS}


def assert_scan_or_sentence(path: Path) -> None:
    try:
        scan = read_scan(path)
        check_scan(scan)
        counts = scan.patterns[:]
    except InputError:
        return
    assert counts.shape == (len(scan.positions), scan.size, scan.size)
    assert np.isfinite(scan.positions).all()


def seeded(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), seed])


@pytest.mark.parametrize("seed", range(N_SEEDS))
@pytest.mark.parametrize("name", files.WRITERS)
def test_flipped_bytes(tmp_path, intact, name, seed):
    rng = seeded(name, seed)
    content = np.frombuffer(intact[name], np.uint8).copy()
    # Half of the seeds aim at the first kilobyte, where headers are.
    places = rng.integers(0, len(content) if seed % 2 else min(1024, len(content)), rng.integers(1, 20))
    content[places] = rng.integers(0, 256, len(places))
    (tmp_path / "a").write_bytes(content.tobytes())
    assert_scan_or_sentence(tmp_path / "a")


@pytest.mark.parametrize("seed", range(N_SEEDS))
@pytest.mark.parametrize("name", files.WRITERS)
def test_truncated_or_with_a_piece_missing(tmp_path, intact, name, seed):
    rng = seeded(name, seed)
    first, last = sorted(rng.integers(0, len(intact[name]), 2))
    content = intact[name][:first] + (intact[name][last:] if seed % 2 else b"")
    (tmp_path / "a").write_bytes(content)
    assert_scan_or_sentence(tmp_path / "a")


def damaged(rng: np.random.Generator, value: np.ndarray) -> np.ndarray | None:
    """Return an array with something wrong with it, or None for a key that is gone."""
    kind = rng.integers(0, 9)
    if kind == 0:
        return None
    if kind == 1:
        return value[..., None]
    if kind == 2:
        return value[:-1] if value.ndim else np.array([1.0, 2.0])
    if kind == 3:
        return value.ravel()
    if kind == 4:
        return np.asarray(rng.choice([np.nan, np.inf, -1.0, 0.0, 1e300]))
    if kind == 5:
        return np.full(value.shape, rng.choice([np.nan, np.inf, -np.inf, -5.0, 0.0, 3e38]))
    if kind == 6:
        planted = np.array(value, np.float64 if value.dtype.kind != "c" else np.complex128)
        planted.ravel()[rng.integers(0, planted.size)] = rng.choice([np.nan, -1.0, 1e30])
        return planted
    if kind == 7:
        return value[:0] if value.ndim else np.empty(0)
    return np.array([b"text"] * 3)


@pytest.mark.parametrize("seed", range(N_SEEDS))
@pytest.mark.parametrize("arrays", [files.ptychopinn_arrays, files.plain_arrays], ids=["ptychopinn", "plain"])
def test_npz_with_a_wrong_array(tmp_path, arrays, seed):
    rng, stored = seeded(arrays.__name__, seed), arrays()
    key = rng.choice(sorted(stored))
    path = files.npz(tmp_path / "a.npz", **{**stored, key: damaged(rng, np.asarray(stored[key]))})
    assert_scan_or_sentence(path)


@pytest.mark.parametrize("seed", range(N_SEEDS))
@pytest.mark.parametrize("name", files.HDF5)
def test_hdf5_with_a_wrong_dataset(tmp_path, name, seed):
    rng, path = seeded(name, seed), files.write(tmp_path, name)
    with h5py.File(path, "a") as file:
        keys: list[str] = []
        file.visititems(
            lambda key, item: (
                keys.append(key) if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufc" else None
            )
        )
        key = rng.choice(sorted(keys))
        value, attributes = damaged(rng, np.asarray(file[key][()])), dict(file[key].attrs)
        del file[key]
        if value is not None:
            file[key] = value
            file[key].attrs.update(attributes)
        elif seed % 3 == 0:
            file.create_group(key)
    assert_scan_or_sentence(path)


@pytest.mark.parametrize("value", [np.nan, -1.0, "text", np.ones(3), np.array([], np.float32)])
@pytest.mark.parametrize("key", ["pixel_width_m", "center_x_m"])
def test_ptychodus_with_a_wrong_attribute(tmp_path, key, value):
    path = files.write(tmp_path, "ptychodus")
    with h5py.File(path, "a") as file:
        file["object"].attrs[key] = value
    assert_scan_or_sentence(path)
