from __future__ import annotations

import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from ptycho_core.formats.writers.disk_file import DiskFile


def fill(file):
    chunked = file.create_dataset("a/b/data", (40, 16, 16), np.uint16, chunks=(1, 16, 16), compression="gzip")
    for row in range(40):
        chunked[row] = np.random.default_rng(row).integers(0, 2000, (16, 16))
    for number in range(20):
        file[f"c/{number}"] = np.arange(20)
    file["link"] = h5py.SoftLink("/a/b/data")


def test_what_is_written_through_it_is_an_ordinary_hdf5_file(tmp_path):
    with DiskFile(tmp_path / "a.h5") as disk, h5py.File(disk, "w") as file:
        fill(file)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["link"].shape == (40, 16, 16)
        np.testing.assert_array_equal(file["link"][7], np.random.default_rng(7).integers(0, 2000, (16, 16)))
        assert list(file["c/19"]) == list(range(20))


def write_on_a_disk_of(size, path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with DiskFile(path) as disk, h5py.File(disk, "w") as file:
        fill(file)


@pytest.mark.parametrize("size", [0, 1000, 10_000, 20_000])
def test_a_full_disk_is_an_error_and_does_not_kill_the_process(tmp_path, size):
    code = f"""
from tests.core.formats.writers.test_disk_file import write_on_a_disk_of
try:
    write_on_a_disk_of({size}, {str(tmp_path / "a.h5")!r})
except OSError as error:
    raise SystemExit(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (27, b"")


def test_the_failure_can_be_asked_for_before_the_end(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        disk = DiskFile(tmp_path / "a.h5")
        assert disk.write(bytes(600)) == 600
        disk.raise_error()
        assert disk.write(bytes(600)) == 600
        assert disk.tell() == 1200
        with pytest.raises(OSError, match="File too large"):
            disk.raise_error()
        disk.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
