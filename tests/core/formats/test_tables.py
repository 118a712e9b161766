"""Tables of positions as people and programs write them: the right numbers come of each; what was skipped is told."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.scan.mapping import Mapping
from tests.helpers import scan_files as files

M = files.TINY
UM = M.positions * M.pixel_m * 1e6
ROWS = [(f"{x:.9f}", f"{y:.9f}") for y, x in UM]


def joined(delimiter, *, decimal=".", rows=ROWS):
    return "\n".join(delimiter.join(cell.replace(".", decimal) for cell in row) for row in rows) + "\n"


TABLES = {
    "names": "x,y\n" + joined(","),
    "decimal commas": "x;y\n" + joined(";", decimal=","),
    "decimal commas and tabs": "x\ty\n" + joined("\t", decimal=","),
    "decimal commas and spaces": "x y\n" + joined("   ", decimal=","),
    "tabs": "x\ty\n" + joined("\t"),
    "bars": "x|y\n" + joined("|"),
    "title": "Scan 42 of the night shift\nmotor positions, by hand\n\nx,y\n" + joined(","),
    "title with numbers": "Scan 42\n2024-03-02 11:00:00\nx y\n" + joined(" "),
    "percent": "% made by MATLAB\n% x y\n" + joined(" "),
    "slashes": "// x, y\n" + joined(","),
    "SPEC": "#S 1 mesh samx 0 1 3 samy 0 1 2 0.1\n#N 2\n#L x  y\n" + joined(" "),
    "numpy": "# x y\n" + joined(" "),
    "row of units": "x,y\num,um\n" + joined(","),
    "row of units in brackets": "x\ty\n[um]\t[um]\n" + joined("\t"),
    "quotes": '"x","y"\n' + joined(",", rows=[(f'"{x}"', f'"{y}"') for x, y in ROWS]),
    "number of rows first": f"{len(ROWS)}\nx y\n" + joined(" "),
    "footer": "x,y\n" + joined(",") + "\nend of scan\n",
    "FORTRAN": ("x y\n" + joined(" ", rows=[tuple(f"{float(v):.9E}".replace("E", "D") for v in row) for row in ROWS])),
    "Windows": ("x,y\n" + joined(",")).replace("\n", "\r\n"),
    "times beside": "x,y,time\n" + joined(",", rows=[(*row, "2024-03-02T11:00:00") for row in ROWS]),
}


def scan_with(folder, table, encoding="utf-8", **settings):
    with h5py.File(folder / "a.h5", "w") as file:
        file["frames"], file["dx"] = M.counts, M.pixel_m
    (folder / "p.csv").write_bytes(table.encode(encoding))
    coordinates = {axis: {"key": axis, "unit": "um"} for axis in "yx"}
    body = {
        "version": 1,
        "patterns": "frames",
        "positions": {**coordinates, "separate_file": True},
        "object_pixel": {"key": "dx", "unit": "m"},
    }
    return read_scan(
        folder / "a.h5", positions_file=folder / "p.csv", mapping=Mapping.from_dict(body), settings=settings
    )


@pytest.mark.parametrize("name", TABLES)
def test_the_right_positions_come_of_every_dialect(tmp_path, name):
    np.testing.assert_allclose(scan_with(tmp_path, TABLES[name]).positions, M.positions, atol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_the_right_positions_come_of_every_encoding(tmp_path, encoding):
    table = "Probenörter\n" + TABLES["names"]
    np.testing.assert_allclose(scan_with(tmp_path, table, encoding).positions, M.positions, atol=1e-6)


@pytest.mark.parametrize("name", ["title", "footer", "row of units", "number of rows first", "decimal commas"])
def test_what_was_skipped_or_taken_for_something_else_is_told(tmp_path, name):
    said = {
        "title": "skipped 2 lines above the table: 'Scan 42 of the night shift'",
        "footer": "skipped below the numbers of the table: 'end of scan'",
        "row of units": "took a row of the table for units: um, um",
        "number of rows first": "skipped 1 lines above the table: '12'",
        "decimal commas": "decimal commas",
    }[name]
    assert any(said in note for note in scan_with(tmp_path, TABLES[name]).history)


def test_a_row_of_numbers_for_the_columns_is_no_position(tmp_path):
    for header in ("0,1\n", ",0,1\n"):
        rows = ROWS if header[0] == "0" else [(str(k), *row) for k, row in enumerate(ROWS)]
        (tmp_path / "p.csv").write_text(header + joined(",", rows=rows))
        with open_store(tmp_path / "p.csv", tables=True) as store:
            assert len(store.numbers(store.keys()[-1])) == len(ROWS)


def test_columns_of_the_same_name_are_known_by_their_numbers_and_hinder_no_others(tmp_path):
    scan = scan_with(tmp_path, "x,y,counts,counts\n" + joined(",", rows=[(*row, "7", "8") for row in ROWS]))
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)
    assert "several columns of the table are called counts: they are known by their numbers" in scan.history


def test_lines_to_skip_are_an_answer(tmp_path):
    table = "1 2\n3 4\nx y\n" + joined(" ")
    with pytest.raises(InputError, match=r"holds no number .* skip_lines") as caught:
        scan_with(tmp_path, table)
    scan = scan_with(tmp_path, table, skip_lines="2")
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)
    assert any("skipped the first 2 lines" in note for note in scan.history)
    assert caught.value.fixes[0].field == "skip_lines"


@pytest.mark.parametrize("name", ["row of units", "capitals", "SPEC"])
def test_a_proposal_reads_the_table_as_it_was_meant(tmp_path, name):
    scan_with(tmp_path, TABLES["names"])
    (tmp_path / "p.csv").write_text(TABLES.get(name, "FAST,SLOW\n" + joined(",")))
    mapping = propose_file(tmp_path / "a.h5", tmp_path / "p.csv").mapping
    assert mapping.positions.y.unit == "um"
    assert ("position_unit" in mapping.guessed) == (name != "row of units")
    scan = read_scan(tmp_path / "a.h5", positions_file=tmp_path / "p.csv", mapping=mapping)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


def test_a_header_of_numbers_is_no_first_position_that_shifts_all_others(tmp_path):
    table = f"{len(ROWS)} 2\n" + joined(" ")
    scan_with(tmp_path, TABLES["names"])
    (tmp_path / "p.csv").write_text(table)
    mapping = propose_file(tmp_path / "a.h5", tmp_path / "p.csv").mapping
    with pytest.raises(InputError, match="lies far from all others") as caught:
        read_scan(tmp_path / "a.h5", positions_file=tmp_path / "p.csv", mapping=mapping)
    fix = caught.value.fixes[0]
    how = {"positions_file": tmp_path / "p.csv", "mapping": mapping, "settings": {fix.field: fix.value}}
    scan = read_scan(tmp_path / "a.h5", **how)
    np.testing.assert_allclose(scan.positions / scan.positions.max(), M.positions / M.positions.max(), atol=1e-4)


def test_a_row_of_whole_numbers_above_others_is_a_header_where_there_is_a_row_too_many(tmp_path):
    scan_with(tmp_path, TABLES["names"])
    (tmp_path / "p.csv").write_text("1,2\n" + joined(","))
    places = {axis: {"key": key, "unit": "um"} for axis, key in (("x", "0"), ("y", "1"))}
    body = {
        "version": 1,
        "patterns": "frames",
        "positions": {**places, "separate_file": True},
        "object_pixel": {"key": "dx", "unit": "m"},
    }
    how = {"positions_file": tmp_path / "p.csv", "mapping": Mapping.from_dict(body)}
    with pytest.raises(InputError, match="holds whole numbers and most others do not") as caught:
        read_scan(tmp_path / "a.h5", **how)
    fix = caught.value.fixes[0]
    scan = read_scan(tmp_path / "a.h5", settings={fix.field: fix.value}, **how)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


def test_a_row_without_a_number_among_the_positions_is_no_position(tmp_path):
    lines = joined(",").splitlines()
    lines[9] = "error,error"
    table = "\n".join(["x,y", *lines])
    with pytest.raises(InputError, match="bad_positions=drop"):
        scan_with(tmp_path, table)
    scan = scan_with(tmp_path, table, bad_positions="drop")
    np.testing.assert_allclose(scan.positions, np.delete(M.positions, 9, axis=0), atol=1e-6)
    np.testing.assert_array_equal(scan.patterns[:], np.delete(M.counts, 9, axis=0))


def test_titles_that_look_like_rows_are_skipped_by_the_button(tmp_path):
    table = "Scan 14\n12.5,3\nx,y\n" + joined(",")
    with pytest.raises(InputError, match="skip_lines=2") as caught:
        scan_with(tmp_path, table)
    (fix,) = caught.value.fixes
    np.testing.assert_allclose(scan_with(tmp_path, table, **{fix.field: fix.value}).positions, M.positions, atol=1e-6)
