"""Patterns stay on disk: what is read, when, how, and in which process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import zipfile

import h5py
import hdf5plugin
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.stores import store
from ptycho_core.formats.stores.hdf5_source import Hdf5Source
from ptycho_core.formats.stores.npz_store import MappedArray
from ptycho_core.scan import survey as survey_module
from tests.helpers import scan_files as files

BATCHES = [np.array([7, 3, 3, 0]), slice(2, 6), np.array([], int), 5, [11, 10, 9], slice(None, None, 4)]


def cxi(path, data, **options):
    files.write_cxi(path)
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file["entry_1/instrument_1/detector_1"].create_dataset("data", data=data, **options)
    return path


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (1, 16, 16), "compression": "gzip"},
        {"chunks": (5, 16, 8), "compression": "lzf"},
        {"chunks": (1, 16, 16), **hdf5plugin.Bitshuffle()},
        {"chunks": (3, 16, 16), **hdf5plugin.Zstd()},
    ],
)
def test_hdf5_batches_are_what_was_stored(tmp_path, options, batch):
    scan = read_scan(cxi(tmp_path / "a.cxi", files.counts(), **options))
    assert isinstance(scan.patterns.source, Hdf5Source)
    np.testing.assert_array_equal(scan.patterns[batch], files.counts()[batch])


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("order", "CF")
def test_uncompressed_npz_is_mapped_in_place(tmp_path, order, batch):
    path = files.npz(
        tmp_path / "a.npz", **{**files.plain_arrays(), "patterns": np.asarray(files.counts(), order=order)}
    )
    scan = read_scan(path)
    assert isinstance(scan.patterns.source, MappedArray)
    np.testing.assert_array_equal(scan.patterns[batch], files.counts()[batch])


def test_mapped_patterns_are_copies_that_may_be_written(tmp_path):
    arrays = {**files.plain_arrays(), "patterns": files.counts().astype(np.float32)}
    scan = read_scan(files.npz(tmp_path / "a.npz", **arrays))
    batch = scan.patterns[0:2]
    batch[:] = 0
    assert scan.patterns[0:2].any()


def test_member_behind_a_longer_local_header_is_mapped_at_the_right_place(tmp_path):
    # Zip64 members have an extra field in the local header only.
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key, value in files.plain_arrays().items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(value))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.npz").patterns[:], files.counts())


@pytest.mark.parametrize("name", files.WRITERS)
def test_scans_can_be_pickled_after_reading(tmp_path, name):
    scan = read_scan(files.write(tmp_path, name))
    first = scan.patterns[:3]
    again = pickle.loads(pickle.dumps(scan))
    np.testing.assert_array_equal(again.patterns[:3], first)


def test_pickling_a_lazy_scan_does_not_carry_its_patterns(tmp_path):
    data = np.zeros((200, 32, 32), np.uint16)
    data[:, 16, 16] = np.arange(200)
    path = cxi(tmp_path / "a.cxi", data)
    with h5py.File(path, "a") as file:
        del file["entry_1/sample_1/geometry_1/translation"]
        file["entry_1/sample_1/geometry_1/translation"] = np.arange(600.0).reshape(200, 3) * 1e-9
        del file["entry_1/instrument_1/detector_1/mask"]
    scan = read_scan(path)
    scan.patterns[:]
    assert len(pickle.dumps(scan)) < 40_000


@pytest.mark.parametrize("name", ["cxi", "plain-npz"])
def test_a_spawned_worker_reads_the_same_patterns(tmp_path, name):
    scan = read_scan(files.write(tmp_path, name))
    scan.patterns[0]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(scan.patterns.__getitem__, (slice(4, 8),)), files.counts()[4:8])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_opens_the_file_again(tmp_path):
    scan = read_scan(files.write(tmp_path, "cxi"))
    scan.patterns[0]
    source = scan.patterns.source
    with source._dataset() as dataset:
        inherited = dataset.id.id
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with source._dataset() as dataset:
            same = dataset.id.id == inherited
        os.write(writer, b"same" if same else b"new")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    os.close(writer)


def test_large_stacks_are_sampled_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_module, "LOOK_AT_ALL_BYTES", 1000)
    monkeypatch.setattr(survey_module, "SAMPLE_BYTES", 4 * 512)
    data = files.counts().astype(np.int16)
    data[0, 0, 0] = -1
    data[5, 0, 0] = -1
    with pytest.raises(InputError, match="1 negative values in 1 pixels of 1 patterns among the 4 of 12 patterns"):
        read_scan(cxi(tmp_path / "a.cxi", data))
    # Asked to treat bad values, it looks at all patterns: a mask from a sample would miss some.
    scan = read_scan(tmp_path / "a.cxi", settings={"bad_pixels": "drop"})
    np.testing.assert_array_equal(scan.patterns[:], np.delete(files.counts(), [0, 5], axis=0))


def test_opening_a_gigabyte_reads_little_of_it(tmp_path, monkeypatch):
    path = tmp_path / "a.cxi"
    files.write_cxi(path)
    n = 8192
    with h5py.File(path, "a") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        for key in ("data", "mask"):
            del detector[key]
        data = detector.create_dataset("data", (n, 256, 256), np.uint16, chunks=(1, 256, 256), fillvalue=3)
        data[n // 2] = 5
        del file["entry_1/sample_1/geometry_1/translation"]
        file["entry_1/sample_1/geometry_1/translation"] = np.random.default_rng(0).uniform(size=(n, 3)) * 1e-5
    read, original = [], h5py.Dataset.__getitem__

    def count(dataset, index):
        values = original(dataset, index)
        if dataset.shape == (n, 256, 256):
            read.append(values.nbytes)
        return values

    with monkeypatch.context() as patch:
        patch.setattr(h5py.Dataset, "__getitem__", count)
        scan = read_scan(path)
    assert 0 < sum(read) < 2**30 // 10
    assert scan.patterns.shape == (n, 256, 256)
    assert scan.patterns[n // 2].min() == 5


def test_a_compressed_stack_larger_than_the_memory_says_the_way_out(tmp_path, monkeypatch):
    path = files.write(tmp_path, "ptychopinn-npz")
    monkeypatch.setattr(store, "available_memory", lambda: 10_000)
    with pytest.raises(InputError, match=r"'diff3d' is compressed and takes .* run `ptycho convert`"):
        read_scan(path)
    assert len(read_scan(files.write(tmp_path, "plain-npz"))) == 12  # mapped: needs no memory


def test_reading_rows_of_one_chunk_reads_the_chunk_once(tmp_path, monkeypatch):
    scan = read_scan(cxi(tmp_path / "a.cxi", files.counts(), chunks=(6, 16, 16), compression="gzip"))
    reads = []
    original = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, i: reads.append(i) or original(self, i))
    np.testing.assert_array_equal(scan.patterns[[0, 2, 5, 9]], files.counts()[[0, 2, 5, 9]])
    assert reads == [(slice(0, 6),), (slice(9, 10),)]


def test_of_a_large_stack_what_is_compressed_together_is_looked_at_together(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_module, "LOOK_AT_ALL_BYTES", 1000)
    monkeypatch.setattr(survey_module, "SAMPLE_BYTES", 128 * 512)
    monkeypatch.setattr(survey_module, "_STRETCH_BYTES", 512)
    data, places = files.counts(1000), files.positions(1000)
    measured = files.Measurement(data, places, files.probe(), columns=4)
    looked_at = {}
    for chunk in (1, 5, 100):
        path = tmp_path / f"{chunk}.cxi"
        files.write_cxi(path, measured)
        with h5py.File(path, "a") as file:
            del file["entry_1/instrument_1/detector_1/data"]
            detector = file["entry_1/instrument_1/detector_1"]
            detector.create_dataset("data", data=data, chunks=(chunk, 16, 16), **hdf5plugin.Bitshuffle())
        rows = survey_module.rows_to_look_at(read_scan(path).patterns)
        assert 100 <= len(rows) <= 128
        assert rows[0] < 20
        assert rows[-1] > 950
        looked_at[chunk] = len(np.unique(rows // chunk))
    assert looked_at[5] <= 128 // 5 + 1
    assert looked_at[100] == 10


def test_patterns_split_over_files_by_a_virtual_dataset_are_read_from_beside_it(tmp_path, monkeypatch):
    data = files.counts()
    layout = h5py.VirtualLayout(data.shape, data.dtype)
    (tmp_path / "raw").mkdir()
    for first in (0, 5, 10):
        part = data[first : first + 5]
        with h5py.File(tmp_path / f"raw/{first}.h5", "w") as file:
            file.create_dataset("frames", data=part, chunks=(2, 16, 16), **hdf5plugin.Bitshuffle())
        layout[first : first + 5] = h5py.VirtualSource(f"raw/{first}.h5", "frames", part.shape)
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file.create_virtual_dataset("entry_1/instrument_1/detector_1/data", layout)
    monkeypatch.chdir("/")
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.patterns[[1, 6, 11, 4]], data[[1, 6, 11, 4]])
    for name in ("raw/5.h5", "raw/10.h5"):
        (tmp_path / name).unlink()
    with h5py.File(tmp_path / "raw/10.h5", "w") as file:
        file["frames"] = data[10:11]  # of two
    with pytest.raises(InputError, match=r"6 of its patterns are missing: raw/5\.h5 is missing, .*10\.h5 holds 1 of 2"):
        read_scan(path)
    rest = read_scan(path, settings={"missing": "skip"})
    there = [0, 1, 2, 3, 4, 10]
    np.testing.assert_array_equal(rest.patterns[:], data[there])
    np.testing.assert_allclose(rest.positions, scan.positions[there])
    assert rest.indexes.tolist() == there
    assert any("went on without what is missing" in note for note in rest.history)
    assert not any("not needed" in note for note in rest.history)


def taken_by_turns(raw, layout, data):
    for first in (0, 1, 2):
        layout[first::3] = raw(first, data[first::3])
    return [0, 3, 6, 9]


def of_modules(raw, layout, data):
    for first in (0, 8):
        layout[:, first : first + 8] = raw(first, data[:, first : first + 8])
    return range(12)


def without_order(raw, layout, data):
    in_first, in_second = [0, 1, 5, 7, 10], [2, 3, 4, 6, 8, 9, 11]
    for number, places in enumerate((in_first, in_second)):
        layout[places] = raw(number, data[places])
    return in_first


def without_limit(raw, layout, data):
    layout[: h5py.h5s.UNLIMITED] = raw(0, data)[: h5py.h5s.UNLIMITED]
    return range(12)


@pytest.mark.parametrize("kind", [taken_by_turns, of_modules, without_order, without_limit])
def test_only_what_is_missing_of_a_virtual_dataset_is_missed_whatever_part_of_it_each_file_holds(tmp_path, kind):
    def raw(number, part):
        longest = None, *part.shape[1:]
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("frames", data=part, maxshape=longest)
        return h5py.VirtualSource(f"{number}.h5", "frames", part.shape, maxshape=longest)

    data = files.counts()
    layout = h5py.VirtualLayout(data.shape, data.dtype, maxshape=(None, *data.shape[1:]))
    lacking = kind(raw, layout, data)
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file.create_virtual_dataset("entry_1/instrument_1/detector_1/data", layout)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.patterns[:], data)
    (tmp_path / "0.h5").unlink()
    with pytest.raises(InputError, match=rf"{len(lacking)} of its patterns are missing: 0\.h5 is missing; "):
        read_scan(path)
    if there := sorted({*range(12)} - {*lacking}):
        rest = read_scan(path, settings={"missing": "skip"})
        np.testing.assert_array_equal(rest.patterns[:], data[there])
        np.testing.assert_allclose(rest.positions, scan.positions[there])


def test_a_link_through_another_link_into_another_file_is_followed(tmp_path, monkeypatch):
    path = files.write(tmp_path, "cxi")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["run/frames"] = files.counts() + 1
        file["entry/data"] = h5py.SoftLink("/run/frames")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
        file["outside"] = h5py.ExternalLink("raw.h5", "/entry")
        file["entry_1/instrument_1/detector_1/data"] = h5py.SoftLink("/outside/data")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(read_scan(path).patterns[:], files.counts() + 1)


def test_a_link_to_what_is_no_file_is_refused_at_once(tmp_path):
    path = files.write(tmp_path, "cxi")
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        file["entry_1/data_1/data"] = h5py.ExternalLink("pipe", "/data")
    with pytest.raises(InputError, match="is a link to '/data' in the file 'pipe', which is no file"):
        read_scan(path)
