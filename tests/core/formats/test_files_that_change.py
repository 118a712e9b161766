"""Files that another program writes while a scan of them is open: it is not kept out, and it is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import changed_since
from ptycho_core.formats import read_scan
from ptycho_core.inspection.run_checks import check_run
from tests.helpers import scan_files as files
from tests.helpers.growing_files import DETECTOR

COUNTS = files.counts(12)

_WRITES = f"""
import sys, h5py
with h5py.File(sys.argv[1], "a", libver=sys.argv[2]) as file:
    file["{DETECTOR}/data"][...] += 1
    file.attrs["written"] = 1.0
"""
_HOLDS = """
import sys, h5py
file = h5py.File(sys.argv[1], "a", libver=sys.argv[2])
file.attrs["written"] = 1.0
print("open", flush=True)
sys.stdin.readline()
file.close()
"""


def scan_file(folder: Path, libver: str = "latest") -> Path:
    """A CXI file of an older or the newest layout of HDF5."""
    path = files.write(folder, "cxi")
    with h5py.File(path, "r") as old, h5py.File(folder / "new.cxi", "w", libver=libver) as new:
        for key in old:
            old.copy(key, new)
    return folder / "new.cxi"


def write(path: Path, libver: str = "latest") -> None:
    """Have another program open the file for writing, and add one to all counts."""
    subprocess.run([sys.executable, "-c", _WRITES, path, libver], check=True)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_scan_that_is_open_does_not_keep_its_writer_out(tmp_path, libver):
    path = scan_file(tmp_path, libver)
    scan = read_scan(path)
    scan.patterns[3]
    assert changed_since(scan.files) == ""
    write(path, libver)
    assert changed_since(scan.files) == f"{path} was written into since the scan was opened: open it again"
    again = read_scan(path)
    np.testing.assert_array_equal(again.patterns[:], COUNTS + 1)
    assert changed_since(again.files) == ""
    np.testing.assert_array_equal(scan.patterns[:], COUNTS + 1)  # whose file was opened again with it


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_that_another_program_holds_open_for_writing_ends_in_a_sentence(tmp_path, libver):
    path = scan_file(tmp_path, libver)
    command = [sys.executable, "-c", _HOLDS, path, libver]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(InputError, match=r"new\.cxi is still being written, .* open it again when"):
            read_scan(path)
        writer.communicate("close\n")
    np.testing.assert_array_equal(read_scan(path).patterns[:], COUNTS)


def test_a_file_may_be_open_elsewhere_in_the_program(tmp_path):
    path = scan_file(tmp_path)
    with h5py.File(path, "r"):
        scan = read_scan(path)
        np.testing.assert_array_equal(scan.patterns[:], COUNTS)
    with h5py.File(path, "r") as file:
        assert file[f"{DETECTOR}/distance"][()] == files.DISTANCE_M
    np.testing.assert_array_equal(scan.patterns[:], COUNTS)


def test_a_file_that_another_one_replaces_is_noticed_and_the_scan_stays_what_it_was(tmp_path):
    path = scan_file(tmp_path)
    scan = read_scan(path)
    scan.patterns[0]
    other = files.write(tmp_path, "cxi", files.Measurement(COUNTS[:9], files.positions(9), files.probe(), columns=3))
    os.replace(other, path)
    assert changed_since(scan.files) == f"{path} was replaced by another file since the scan was opened: open it again"
    np.testing.assert_array_equal(scan.patterns[:], COUNTS)
    assert len(read_scan(path)) == 9
    path.unlink()
    assert f"{path} is no longer there" in changed_since(scan.files)


@pytest.mark.parametrize("how", ["link", "virtual dataset"])
def test_a_file_that_a_link_or_a_virtual_dataset_leads_to_is_watched_too(tmp_path, how):
    path = scan_file(tmp_path)
    master = tmp_path / "master.cxi"
    with h5py.File(path, "r") as old, h5py.File(master, "w") as new:
        for key in old:
            old.copy(key, new)
        del new[f"{DETECTOR}/data"]
        if how == "link":
            new[f"{DETECTOR}/data"] = h5py.ExternalLink(path.name, f"/{DETECTOR}/data")
        else:
            layout = h5py.VirtualLayout(COUNTS.shape, COUNTS.dtype)
            layout[:] = h5py.VirtualSource(path.name, f"{DETECTOR}/data", COUNTS.shape)
            new.create_virtual_dataset(f"{DETECTOR}/data", layout)
    scan = read_scan(master)
    np.testing.assert_array_equal(scan.patterns[:], COUNTS)
    write(path)
    assert f"{path} was written into" in changed_since(scan.files)


def test_an_npz_that_is_cut_short_ends_in_a_sentence_and_not_the_program(tmp_path):
    path = tmp_path / "scan.npz"
    np.savez(path, patterns=files.counts(400), positions=files.positions(400))
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.patterns[399], files.counts(400)[399])
    os.truncate(path, 5000)
    with pytest.raises(InputError, match="cut short by another program since it was opened: open it again"):
        scan.patterns[399]
    assert "was written into" in changed_since(scan.files)


def test_a_change_before_a_run_is_a_warning_and_one_during_it_is_said_at_its_end(tmp_path):
    from ptycho_core.engines.training import train

    path = scan_file(tmp_path)
    scan = read_scan(path)
    config = Config(engine="direct", max_epochs=2, batch_size=8, preview_seconds=0, probe_search=False)
    assert [one for one in check_run(config, scan) if one.field == "changed"] == []
    write(path)
    (problem,) = [one for one in check_run(config, scan) if one.field == "changed"]
    assert (problem.severity, problem.message) == ("warning", changed_since(scan.files))
    scan = read_scan(path)

    def change(event):
        if type(event).__name__ == "RunStarted":
            write(path)

    info = train(config, scan, tmp_path / "run", events=change)
    assert info.status == "finished"
    assert info.reason.endswith("was written into since the scan was opened: open it again")
