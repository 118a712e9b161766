"""How further scans are read as a first one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.scan.source import ScanSource, sources_alike


@pytest.mark.parametrize(
    ("scan", "positions", "other", "its"),
    [
        ("d/scan_1_master.h5", "d/scan_1_places.csv", "d/scan_2_master.h5", "d/scan_2_places.csv"),
        ("d/scan_1_master.h5", "d/scan_1_places.csv", "e/scan_10_master.h5", "e/scan_10_places.csv"),
        ("d/scan_1.h5", "d/scan_1.csv", "d/b.h5", "d/b.csv"),
        ("d/a.h5", "d/a.h5.txt", "d/b.h5", "d/b.h5.txt"),
        ("d/s1.h5", "motors/s1_places.csv", "e/s2.h5", "motors/s2_places.csv"),
        ("1/master.h5", "1/places.csv", "2/master.h5", "2/places.csv"),
    ],
)
def test_the_positions_of_another_scan_are_named_after_it_as_those_of_the_first(scan, positions, other, its):
    first = ScanSource(Path(scan), Path(positions), {"energy_ev": "8000"})
    assert sources_alike(first, [Path(other)]) == [first, ScanSource(Path(other), Path(its), {"energy_ev": "8000"})]


@pytest.mark.parametrize(
    ("scan", "positions", "other"),
    [
        ("scan_1.h5", "places.csv", "scan_2.h5"),
        ("scan_12.h5", "scan_1_places.csv", "scan_22.h5"),
        ("scan_1_master.h5", "scan_1_places.csv", "scan_2.nxs"),
    ],
)
def test_names_that_do_not_tell_are_refused(scan, positions, other):
    with pytest.raises(InputError, match=f"do not tell which file has the positions of {other}"):
        sources_alike(ScanSource(Path(scan), Path(positions)), [Path(other)])


def test_positions_in_the_file_of_a_scan_are_in_that_of_another_one_too():
    assert ScanSource(Path("a.npz")).alike(Path("b.npz")) == ScanSource(Path("b.npz"))
