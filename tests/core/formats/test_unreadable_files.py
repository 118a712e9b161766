"""Files that cannot be opened, are damaged, or lie about what they hold: one sentence says so."""

from __future__ import annotations

import os
import struct
import zipfile

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import format_of, read_scan
from tests.helpers import scan_files as files
from tests.helpers.refusals import refused


def test_missing_file(tmp_path):
    refused(tmp_path / "none.npz", "does not exist")


def test_directory(tmp_path):
    refused(tmp_path, "is a directory")


def test_empty_file(tmp_path):
    (tmp_path / "a.h5").touch()
    refused(tmp_path / "a.h5", "is empty")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = files.plain(tmp_path)
    path.chmod(0)
    refused(path, "no permission")


def test_no_permission_is_told_whoever_runs_this(tmp_path, monkeypatch):
    path = files.plain(tmp_path)

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", deny)
    refused(path, "no permission")


def test_file_of_no_known_format(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"hello, this is text")
    refused(tmp_path / "a.npz", "neither HDF5 .* nor an NPZ")


def test_single_array(tmp_path):
    np.save(tmp_path / "a.npy", files.counts())
    refused(tmp_path / "a.npy", "single NumPy array")


def test_archive_with_other_keys_lists_them(tmp_path):
    refused(files.npz(tmp_path / "a.npz", pattern=files.counts(), xs=np.arange(12)), "no known .* holds pattern, xs")


def test_a_format_is_told_without_reading_the_scan(tmp_path):
    assert format_of(files.plain(tmp_path)) == "plain-npz"
    with pytest.raises(InputError, match=r"no known format; it holds .*pattern"):
        format_of(files.npz(tmp_path / "a.npz", pattern=files.counts()))


def test_hdf5_with_other_keys_lists_them(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/frames"] = files.counts()
    refused(tmp_path / "a.h5", "no known format; it holds .*scan/frames")


@pytest.mark.parametrize("name", files.WRITERS)
def test_truncated_file(tmp_path, name):
    path = files.write(tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    refused(path, "truncated|damaged")


def test_hdf5_links_that_loop_do_not_hang(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a/b")
        group["up"] = file["/"]
        file["soft"] = h5py.SoftLink("/soft")
        file["x"] = h5py.SoftLink("/y")
        file["y"] = h5py.SoftLink("/x")
        file["a/b/data"] = np.arange(3)
    refused(tmp_path / "a.h5", "no known format; it holds .*a/b/data;")


def test_link_to_a_missing_file_is_named(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        file["entry_1/data_1/data"] = h5py.ExternalLink("raw_000001.h5", "/entry/data")
    refused(path, "'entry_1/data_1/data' is a link to '/entry/data' in the file 'raw_000001.h5', which is missing")


def test_link_to_a_missing_dataset_is_named(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/data"]
    refused(path, "is a link to '/entry_1/instrument_1/detector_1/data', which does not exist")


def test_missing_source_of_a_virtual_dataset_is_named(tmp_path):
    path = files.write(tmp_path, "cxi")
    layout = h5py.VirtualLayout((12, 16, 16), np.uint16)
    layout[:] = h5py.VirtualSource("frames.h5", "data", (12, 16, 16))
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        file.create_virtual_dataset("entry_1/data_1/data", layout)
    refused(path, "12 of its patterns are missing: frames.h5 is missing; .* missing=skip")
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["data"] = files.counts()
    np.testing.assert_array_equal(read_scan(path).patterns[:], files.counts())


def tampered_npz(path, shape, dtype="<f4", data=b"", compression=zipfile.ZIP_DEFLATED):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("patterns.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)
        archive.writestr("positions.npy", b"")
    return path


@pytest.mark.parametrize("shape", [(10**6, 10**6, 10**6), (2**62, 2**62, 4), (12, 16, 16), (-12, 16, 16)])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_shapes_that_the_archive_does_not_hold_are_not_allocated(tmp_path, shape, compression):
    refused(tampered_npz(tmp_path / "a.npz", shape, compression=compression), "'patterns' declares|cannot be read")


def test_a_size_that_no_compression_reaches_is_not_believed(tmp_path):
    claimed = 2**32 - 2
    path = tampered_npz(tmp_path / "a.npz", ((claimed - 128) // 2, 1, 1), dtype="<i2")
    content = bytearray(path.read_bytes())
    uncompressed_size = content.find(b"PK\x01\x02") + 24  # in the central directory's first entry
    content[uncompressed_size : uncompressed_size + 4] = struct.pack("<I", claimed)
    path.write_bytes(content)
    refused(path, "no compression does")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(
        tmp_path / "a.npz", **{**files.plain_arrays(), "positions": np.array([[1, {}]], object)}, allow_pickle=True
    )
    refused(tmp_path / "a.npz", "'positions' holds pickled Python objects")


def test_huge_hdf5_dataset_that_was_never_written(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        file["entry_1/data_1"].create_dataset("data", (10**9, 4096, 4096), np.float32, chunks=(1, 256, 256))
    refused(path, "nothing was written into it yet")


def test_hdf5_array_of_an_absurd_size(tmp_path):
    path = files.write(tmp_path, "cxi")
    with h5py.File(path, "a") as file:
        geometry = file["entry_1/sample_1/geometry_1"]
        del geometry["translation"], file["entry_1/data_1/data"]
        for group, key, shape in (
            (geometry, "translation", (10**6, 3)),
            (file["entry_1/data_1"], "data", (10**6, 10**6, 10**6)),
        ):
            dataset = group.create_dataset(key, shape, np.float64, chunks=(1,) * (len(shape) - 1) + (3,))
            dataset[(0,) * len(shape)] = 1
    refused(path, "more than any detector gives")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "not a file but a device or a pipe")


@pytest.mark.parametrize("text", ["", "\0", "a" * 5000])
def test_names_that_are_no_file_names(text):
    with pytest.raises(InputError):
        read_scan(text)
