"""The scan of a run: known again by its bytes, and read again as it was read."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.runs.record import BrokenRun, find_runs, read_run
from ptycho_core.runs.recorded_scan import Fingerprint, fingerprint, is_recorded_file, open_recorded, record_scan
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers import scan_files
from tests.helpers.run_folders import finished_run, through_json


def test_a_scan_is_known_again_by_its_bytes(tmp_path):
    scan = tmp_path / "scan.npz"
    scan.write_bytes(b"patterns" * 1000)
    recorded = fingerprint(scan)
    assert recorded == Fingerprint(scan, 8000, hashlib.sha256(b"patterns" * 1000).hexdigest())
    assert is_recorded_file(scan.rename(tmp_path / "moved.npz"), recorded)
    (tmp_path / "other.npz").write_bytes(b"Patterns" * 1000)
    assert not is_recorded_file(tmp_path / "other.npz", recorded)
    with pytest.raises(InputError, match=r"cannot read .*gone\.npz: No such file"):
        is_recorded_file(tmp_path / "gone.npz", recorded)


def test_what_was_assumed_and_what_a_mapping_guessed_stay_marked_in_the_record(tmp_path):
    m = scan_files.TINY
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"], file["m1"], file["m2"], file["energy"] = m.counts, m.positions[:, 1], m.positions[:, 0], 8.0
    mapping = propose_file(tmp_path / "a.h5").mapping
    kept = through_json(record_scan(read_scan(tmp_path / "a.h5", mapping=mapping)))
    assert {line.partition("=")[0] for line in kept.assumed} >= {"energy_ev", "orientation", "position_unit"}
    assert sum("guessed" in line for line in kept.assumed) == 3
    assert any("not confirmed since: energy, positions, position_unit" in line for line in kept.history)
    answers = {"energy_ev": "8000", "position_unit": "px", "orientation": "+y+x"}
    kept = through_json(record_scan(read_scan(tmp_path / "a.h5", mapping=mapping, settings=answers)))
    assert not [line for line in (*kept.assumed, *kept.history) if "guessed" in line]


def test_all_that_reading_a_scan_again_takes_is_kept(tmp_path):
    (tmp_path / "scan.npz").write_bytes(b"patterns")
    (tmp_path / "positions.csv").write_bytes(b"1,2")
    scan = Scan(Patterns(np.ones((3, 8, 8), np.float32)), np.zeros((3, 2)))
    assert record_scan(scan).file is None
    info = record_scan(
        scan.replace(
            source=ScanSource(tmp_path / "scan.npz", tmp_path / "positions.csv", {"data": "counts"}, "plain-npz"),
            history=("squared",),
        )
    )
    assert encode(info) == {
        **encode(fingerprint(tmp_path / "scan.npz")),
        "positions": encode(fingerprint(tmp_path / "positions.csv")),
        "settings": {"data": "counts"},
        "mapping": None,
        "preprocessing": {"version": 1, "steps": []},
        "format": "plain-npz",
        "assumed": [],
        "growing": False,
        "pixel_size_m": None,
        "shape": [3, 8, 8],
        "history": ["squared"],
    }


@pytest.fixture
def simulated_path(tmp_path):
    return write_simulation(simulate(SimulationSpec(size=16, n_patterns=20)), tmp_path / "scan.npz")[0]


def test_a_scan_is_read_again_as_it_was_read_from_wherever_it_is_now(simulated_path, tmp_path):
    scan = read_scan(simulated_path, settings={"energy_ev": "9000"})
    info = through_json(record_scan(scan))
    moved = simulated_path.rename(tmp_path / "moved.npz")
    again = open_recorded(info, moved)
    assert again.geometry.energy_ev == 9000
    np.testing.assert_array_equal(again.patterns[:], read_scan(moved).patterns[:])
    with pytest.raises(InputError, match=r"cannot read .*scan\.npz"):
        open_recorded(info)


def test_another_scan_than_the_recorded_one_is_not_read(simulated_path, tmp_path):
    info = record_scan(read_scan(simulated_path))
    other = write_simulation(simulate(SimulationSpec(size=16, n_patterns=21)), tmp_path / "other.npz")[0]
    with pytest.raises(InputError, match=r"other\.npz is not the file that the run has read"):
        open_recorded(info, other)


def test_a_scan_that_was_changed_after_reading_is_not_taken_for_the_file_alone(simulated_path):
    info = record_scan(read_scan(simulated_path).replace("cropped to 8 pixels"))
    with pytest.raises(InputError, match=r"cannot be made from .*scan\.npz again, because of: cropped to 8 pixels"):
        open_recorded(info)
    with pytest.raises(InputError, match="not read from a file"):
        open_recorded(replace(info, path=None))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"path": 3}, "scan.path must be a text"),
        ({"sha256": None}, "scan: a scan that is in a file needs size and sha256"),
        ({"positions": {"path": "/data/p.csv"}}, "scan.positions lacks size, sha256"),
        ({"shape": [36, 16]}, "scan: shape must be three whole numbers"),
        ({"history": "squared"}, "scan.history must be a list"),
        ({"settings": {"energy_ev": 9000}}, "scan.settings.energy_ev must be a text"),
    ],
)
def test_a_record_whose_scan_is_damaged_says_where(tmp_path, damage, words):
    finished_run(tmp_path)
    body = json.loads((tmp_path / "run.json").read_text())
    body["scan"].update(damage)
    (tmp_path / "run.json").write_text(json.dumps(body))
    with pytest.raises(InputError, match=rf"^the run's record .*run\.json: {re.escape(words)}"):
        read_run(tmp_path)
    del body["scan"]["preprocessing"]
    (tmp_path / "run.json").write_text(json.dumps(body))
    assert isinstance(find_runs(tmp_path)[0], BrokenRun)


@pytest.mark.parametrize("part", ["preprocessing", "mapping"])
def test_a_run_is_listed_and_its_scan_refused_where_what_was_done_to_it_is_not_known(tmp_path, part):
    finished_run(tmp_path)
    body = json.loads((tmp_path / "run.json").read_text())
    body["scan"][part] = {"version": 99}
    (tmp_path / "run.json").write_text(json.dumps(body))
    with pytest.raises(InputError, match="the run's record"):
        open_recorded(read_run(tmp_path).scan)
