"""Which files of a folder are scans, what belongs to them, and for how long they have not changed."""

from __future__ import annotations

import os

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import FileState
from ptycho_core.runs.arrivals import GLOBS, Arrivals
from ptycho_core.runs.journal import Stamp
from ptycho_core.simulation.files import files_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def names(found):
    return [arrival.path.name for arrival in found]


def test_files_are_known_by_their_globs_in_the_order_in_which_they_came(tmp_path, clock):
    for age, name in enumerate(("c_master.h5", "a_master.h5", "b.cxi", "notes.txt", ".hidden.cxi", "a_data_1.h5")):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / "folder.cxi").mkdir()
    found = Arrivals(tmp_path, ("*_master.h5", "*.cxi"), clock).look(())
    assert names(found) == ["c_master.h5", "a_master.h5", "b.cxi"]
    assert [arrival.name for arrival in found] == ["c", "a", "b"]


def test_the_truth_beside_a_simulated_scan_is_none(tmp_path, clock):
    for path in files_of(tmp_path / "star.cxi"):
        path.write_text("made")
    assert names(Arrivals(tmp_path, GLOBS, clock).look(())) == ["star.cxi"]


def test_what_is_over_is_not_found_until_it_is_another_file(tmp_path, clock):
    path, arrivals = tmp_path / "a.cxi", Arrivals(tmp_path, ("*.cxi",), clock)
    path.write_text("one")
    (found,) = arrivals.look(())
    assert arrivals.look({found.stamp}) == []
    path.write_text("longer")
    assert names(arrivals.look({found.stamp})) == ["a.cxi"]
    path.unlink()
    assert arrivals.look(()) == []


def test_a_scan_is_not_quiet_while_what_it_was_read_from_changes_in_another_folder(tmp_path, clock):
    raw = tmp_path / "raw" / "data_1.h5"
    raw.parent.mkdir()
    raw.write_text("data")
    (tmp_path / "scan_1_master.h5").write_text("master")
    arrivals = Arrivals(tmp_path, ("*_master.h5",), clock)
    (found,) = arrivals.look(())
    found.files = (FileState.of(raw),)
    clock.now = 10
    (found,) = arrivals.look(())
    assert (found.quiet_s(clock()), found.looks) == (10, 1)
    raw.write_text("more data")
    (found,) = arrivals.look(())
    assert (found.quiet_s(clock()), found.looks) == (0, 0)


def test_quiet_is_counted_from_the_last_change_of_a_file_or_of_what_belongs_to_it(tmp_path, clock):
    arrivals = Arrivals(tmp_path, ("*_master.h5",), clock)
    (tmp_path / "scan_1_master.h5").write_text("master")
    arrivals.look(())
    clock.now = 10
    (tmp_path / "scan_1_data_1.h5").write_text("data")
    (found,) = arrivals.look(())
    assert (found.quiet_s(clock()), found.looks) == (0, 0)
    clock.now = 17
    (tmp_path / "scan_12_data_1.h5").write_text("of another scan")
    (found,) = arrivals.look(())
    assert (found.quiet_s(clock()), found.looks) == (7, 1)
    found.stir(clock())
    assert (found.quiet_s(20), found.looks) == (3, 0)


def test_a_clock_of_the_share_that_runs_backwards_is_a_change_and_nothing_else(tmp_path, clock):
    path, arrivals = tmp_path / "a.cxi", Arrivals(tmp_path, ("*.cxi",), clock)
    path.write_text("one")
    arrivals.look(())
    os.utime(path, (5, -100))
    clock.now = 30
    (found,) = arrivals.look(())
    assert found.quiet_s(clock()) == 0
    assert found.stamp == Stamp("a.cxi", 3, -100)


def test_a_folder_that_cannot_be_read_ends_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        Arrivals(tmp_path / "nowhere", ("*",)).look(())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        Arrivals(tmp_path / "file", ("*",)).look(())
    with pytest.raises(InputError, match="not of another one"):
        Arrivals(tmp_path, ("sub/*.h5",))
