"""MDA files of EPICS: every point that was taken has what all loops read there, whatever the rank and the gaps."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ptycho_core.base.errors import InputError, UnknownFormatError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.formats.stores.open_store import open_store
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES
from tests.helpers.mda_files import Column, Loop, write_mda

M = files.TINY


def line(x, asked=None):
    return Loop([Column(x, "um", "sample x")], [Column(np.square(x), "cts")], asked=asked)


def read(path):
    with open_store(path, tables=True) as store:
        keys = store.keys()
        return {key: store.read(key) for key in keys}, store.notes


@pytest.mark.parametrize("version", [1.2, 1.3, 1.4])
def test_outer_values_are_repeated_for_the_points_within(tmp_path, version):
    outer = Loop([Column([0.5, 1.5], "um", "sample y")], [Column([7, 8])], [line([1, 2, 3]), line([4.25, 5, 6])])
    arrays, notes = read(write_mda(tmp_path / "a.mda", outer, version))
    assert list(arrays) == ["loop1/P1", "loop1/D01", "loop2/P1", "loop2/D01"]
    np.testing.assert_array_equal(arrays["loop1/P1"], [1, 2, 3, 4.25, 5, 6])
    np.testing.assert_array_equal(arrays["loop1/D01"], [1, 4, 9, 18.0625, 25, 36])
    np.testing.assert_array_equal(arrays["loop2/P1"], [0.5, 0.5, 0.5, 1.5, 1.5, 1.5])
    np.testing.assert_array_equal(arrays["loop2/D01"], [7, 7, 7, 8, 8, 8])
    assert notes == []


def test_points_that_were_never_taken_are_left_out_and_said(tmp_path):
    lines = [line([1, 2, 3]), line([4, 5], asked=3), line([6, 7, 8])]
    path = write_mda(tmp_path / "a.mda", Loop([Column([0, 1, 2])], within=lines, asked=7))
    arrays, notes = read(path)
    np.testing.assert_array_equal(arrays["loop1/P1"], np.arange(1, 9))
    np.testing.assert_array_equal(arrays["loop2/P1"], [0, 0, 0, 1, 1, 2, 2, 2])
    assert notes == [
        "the scan was ended after 3 of its 7 outer points",
        "1 of its 3 lines have fewer points than were asked for",
    ]


def test_an_empty_line_moves_no_other_lines_values(tmp_path):
    lines = [line([1, 2]), line([], asked=2), line([3, 4])]
    arrays, _ = read(write_mda(tmp_path / "a.mda", Loop([Column([10, 20, 30])], within=lines)))
    np.testing.assert_array_equal(arrays["loop2/P1"], [10, 10, 30, 30])


def test_spectra_within_each_point_are_no_points_and_a_third_loop_is_repeated_too(tmp_path):
    spectrum = Loop(detectors=[Column(np.arange(5))])
    lines = [Loop([Column([x, x + 1])], within=[spectrum, spectrum]) for x in (0, 10, 20, 30)]
    planes = [Loop([Column([y, y + 1])], within=pair) for y, pair in ((0, lines[:2]), (5, lines[2:]))]
    arrays, _ = read(write_mda(tmp_path / "a.mda", Loop([Column([-90, 90], "deg")], within=planes)))
    np.testing.assert_array_equal(arrays["loop1/P1"], [0, 1, 10, 11, 20, 21, 30, 31])
    np.testing.assert_array_equal(arrays["loop2/P1"], [0, 0, 1, 1, 5, 5, 6, 6])
    np.testing.assert_array_equal(arrays["loop3/P1"], [-90] * 4 + [90] * 4)


def test_its_columns_are_proposed_as_positions_by_what_they_are_called(tmp_path):
    patterns, _ = BEAMLINES["aps-mda (one loop)"].write(tmp_path, M)
    y, x = M.positions.T * M.pixel_m * 1e6
    scan = Loop(
        [Column(np.arange(len(y)), "s", "time"), Column(y, "um", "sample y"), Column(x, "um", "sample x")],
        [Column(np.full(len(y), 3.0))],
    )
    mda = write_mda(tmp_path / "scan.mda", scan)
    mapping = propose_file(patterns, mda).mapping
    assert (mapping.positions.y.key, mapping.positions.x.key) == ("loop1/P2", "loop1/P3")
    assert mapping.positions.y.unit == "um"
    assert mapping.guessed == ()


def test_a_unit_that_is_nowhere_stays_marked_as_guessed(tmp_path):
    beamline = BEAMLINES["aps-mda (one loop)"]
    patterns, mda = beamline.write(tmp_path, M)
    scan = read_scan(patterns, positions_file=mda, settings=beamline.answers)
    (asked,) = [one for one in scan.assumptions if one.key == "position_unit"]
    assert (asked.value, asked.answered) == ("um", False)
    assert "guessed" in asked.reason
    answered = read_scan(patterns, positions_file=mda, settings={**beamline.answers, "position_unit": "mm"})
    np.testing.assert_allclose(answered.positions, scan.positions * 1e3)


def test_an_mda_file_is_no_scan_and_no_file_of_positions_for_other_formats(tmp_path):
    mda = write_mda(tmp_path / "a.mda", line([1, 2, 3]))
    with pytest.raises(InputError, match="holds positions and no patterns: open the file of the patterns"):
        read_scan(mda)
    for name in ("fold-slice", "ptychodus"):
        with pytest.raises(UnknownFormatError, match="only a mapping says"):
            read_scan(files.write(tmp_path, name), positions_file=mda)


HEAD = struct.pack(">fiiiii", 1.4, 1, 1, 3, 1, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (HEAD[:9], "it ends"),
        (struct.pack(">fii", 1.4, 1, 2**20), "a number before byte 12 is 1048576"),
        (HEAD + struct.pack(">iii", 2, 3, 3), "not of the rank"),
        (HEAD + struct.pack(">iii", 1, 2**30, 3), "a number before"),
        (HEAD + struct.pack(">iiiiiiii", 1, 10**6, 10**6, 0, 0, 900, 0, 0), "it ends"),
        (HEAD + struct.pack(">iiiiiiii", 1, 3, 3, 0, 0, 0, 0, 0), "no positioner moved"),
    ],
)
def test_what_its_numbers_claim_is_checked_before_anything_is_taken(tmp_path, content, why):
    (tmp_path / "a.mda").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.mda: what its scan recorded cannot be read.*{why}"):
        read(tmp_path / "a.mda")


def test_scans_that_point_back_or_to_one_another_end(tmp_path):
    path = write_mda(tmp_path / "a.mda", Loop([Column([0, 1])], within=[line([1, 2]), line([3, 4])]))
    content = bytearray(path.read_bytes())
    at = 6 * 4 + 4 + 12  # behind the header of the outer scan
    first, second = struct.unpack_from(">ii", content, at)
    for offsets in ((first, first), (second, first), (28, 28), (first, 2**31 - 1)):
        struct.pack_into(">ii", content, at, *offsets)
        path.write_bytes(content)
        with pytest.raises(InputError, match="a scan is said to be at byte"):
            read(path)
