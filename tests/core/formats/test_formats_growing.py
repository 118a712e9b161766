"""Files that another program is still writing, and many threads that read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from h5py._objects import phil

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.runs.recorded_scan import open_recorded
from ptycho_core.scan.mapping import Mapping
from tests.helpers import scan_files as files
from tests.helpers.growing_files import DETECTOR, Writer
from tests.helpers.patience import PATIENCE_S

COUNTS = files.counts(40)


@pytest.fixture
def writer(tmp_path):
    with Writer(tmp_path / "live.cxi") as writing:
        yield writing


def test_a_file_that_grows_opens_with_what_is_there(writer):
    writer.write(12)
    scan = read_scan(writer.path)
    assert scan.growing
    assert scan.history[1] == "the file is still being written: read what was there"
    assert any("still being written" in problem.message for problem in check_scan(scan))
    np.testing.assert_array_equal(scan.patterns[:], COUNTS[:12])


@pytest.mark.parametrize(("patterns", "positions"), [(20, 13), (13, 20)])
def test_patterns_and_positions_are_paired_up_to_the_shorter(writer, patterns, positions):
    writer.write(patterns, positions)
    scan = read_scan(writer.path)
    assert len(scan) == len(scan.positions) == 13
    np.testing.assert_array_equal(scan.patterns[:], COUNTS[:13])
    np.testing.assert_allclose(scan.positions, files.positions(40)[:13], atol=1e-9)
    assert f"of {patterns} patterns and {positions} values in" in scan.history[2]
    assert scan.history[2].endswith("took the first 13")
    assert len({assumption.key for assumption in scan.assumptions}) == len(scan.assumptions)


def test_reading_again_gives_what_was_added_and_the_earlier_scan_stays(writer):
    writer.write(12)
    first = read_scan(writer.path)
    first.patterns[:5]
    writer.write(20)
    second = read_scan(writer.path)
    writer.write(30)
    np.testing.assert_array_equal(second.patterns[:], COUNTS[:20])
    np.testing.assert_array_equal(first.patterns[:], COUNTS[:12])
    third = read_scan(writer.path)
    writer.write(40)
    writer.close()
    whole = read_scan(writer.path)
    assert not whole.growing
    for scan, n in ((first, 12), (second, 20), (third, 30), (whole, 40)):
        np.testing.assert_array_equal(scan.patterns[:], COUNTS[:n])


def test_a_file_that_grows_is_read_by_a_mapping_too(writer):
    writer.write(20, 13)
    where = "entry_1/sample_1/geometry_1/translation"
    position = {"key": where, "unit": "m", "multiplier": -1}
    mapping = {
        "version": 1,
        "patterns": f"{DETECTOR}/data",
        "positions": {"y": {**position, "column": 1}, "x": {**position, "column": 0}},
        "object_pixel": {"value": 1e-8, "unit": "m"},
    }
    scan = read_scan(writer.path, mapping=Mapping.from_dict(mapping, "test"))
    assert len(scan) == 13


def test_a_file_without_any_pattern_yet_is_refused(writer):
    with pytest.raises(InputError, match="it holds no patterns"):
        read_scan(writer.path)
    writer.write(5, 0)
    with pytest.raises(InputError, match="has 0 positions, but there are 5 patterns"):
        read_scan(writer.path)


def test_what_a_writer_left_that_died_can_be_read(writer):
    writer.write(12)
    writer.die()
    np.testing.assert_array_equal(read_scan(writer.path).patterns[:], COUNTS[:12])


def test_a_file_that_its_writer_has_locked_ends_in_a_sentence(tmp_path):
    with (
        Writer(tmp_path / "locked.cxi", swmr=False) as writer,
        pytest.raises(InputError, match=r"locked\.cxi is still being written, or was not closed"),
    ):
        read_scan(writer.path)


def master(path, link):
    files.write_cxi(path, files.Measurement(COUNTS[:12], files.positions(12), files.probe(), columns=4))
    with h5py.File(path, "a") as file:
        del file["entry_1/data_1/data"]
        link(file, "entry_1/data_1/data")
    return path


def external(target):
    def link(file, key):
        file[key] = h5py.ExternalLink(target.name, f"/{DETECTOR}/data")

    return link


def virtual(target):
    def link(file, key):
        layout = h5py.VirtualLayout((12, 16, 16), np.uint16)
        layout[:] = h5py.VirtualSource(target.name, f"{DETECTOR}/data", (12, 16, 16))
        file.create_virtual_dataset(key, layout)

    return link


def test_a_closed_file_may_link_to_one_that_grows(writer, tmp_path):
    writer.write(20)
    path = master(tmp_path / "master.cxi", external(writer.path))
    scan = read_scan(path)
    assert scan.growing
    np.testing.assert_array_equal(scan.patterns[:], COUNTS[:12])


def test_a_virtual_dataset_over_a_file_that_grows_is_refused_not_read_as_zeros(writer, tmp_path):
    writer.write(12)
    path = master(tmp_path / "master.cxi", virtual(writer.path))
    with pytest.raises(InputError, match=r"live\.cxi is still being written"):
        read_scan(path)
    writer.close()
    np.testing.assert_array_equal(read_scan(path).patterns[:], COUNTS[:12])


def test_a_run_on_a_file_that_grows_ends_well_and_is_not_mistaken_for_one_on_the_whole(writer, tmp_path):
    from ptycho_core.engines.training import train

    writer.write(20)
    scan = read_scan(writer.path)
    seen = []

    def grow(event):
        seen.append(event)
        if type(event).__name__ == "RunStarted":
            writer.write(40)

    config = Config(engine="direct", max_epochs=2, batch_size=8, preview_seconds=0, probe_search=False)
    info = train(config, scan, tmp_path / "run", events=grow)
    assert info.status == "finished"
    assert info.scan.shape[0] == 20
    with pytest.raises(InputError, match=r"was still being written when the run read it, and has changed since"):
        open_recorded(info.scan)


def test_threads_read_a_closed_and_a_growing_file_at_once(writer, tmp_path):
    writer.write(40)
    closed = tmp_path / "closed.cxi"
    files.write_cxi(closed, files.Measurement(COUNTS, files.positions(40), files.probe(), columns=4))
    scans = [read_scan(closed), read_scan(writer.path), read_scan(closed)]

    def read(number):
        rng = np.random.default_rng(number)
        for _ in range(20):
            rows = rng.integers(0, 40, 7)
            np.testing.assert_array_equal(scans[number % 3].patterns[rows], COUNTS[rows])
        return len(read_scan(writer.path if number % 2 else closed))

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(read, range(12))) == {40}


@pytest.mark.parametrize("grows", [False, True])
def test_a_scan_is_dropped_without_waiting_for_another_thread_that_reads(writer, tmp_path, grows):
    writer.write(12)
    if not grows:
        writer.close()
    scan = read_scan(writer.path)
    scan.patterns[0]
    holding, dropped = threading.Event(), threading.Event()

    def hold():
        with phil:
            holding.set()
            assert dropped.wait(PATIENCE_S)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        holding.wait()
        del scan
        dropped.set()
        held.result()
