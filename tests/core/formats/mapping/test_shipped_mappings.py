"""Files of beamlines as their published loaders read them open by a shipped mapping, with the right numbers."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError, UnknownFormatError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.shipped_mappings import shipped_readers
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.preprocessing import open_scan
from tests.helpers import beamline_files
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES

M = files.TINY


def written(folder, name):
    """Return what reads a new file of a beamline, with more answers than it needs."""
    beamline = BEAMLINES[name]
    path, positions = beamline.write(folder, M)
    return lambda **more: read_scan(path, positions_file=positions, settings={**beamline.answers, **more})


@pytest.mark.parametrize("name", BEAMLINES)
def test_a_beamlines_file_opens_by_its_shipped_mapping(tmp_path, name):
    scan = written(tmp_path, name)()
    assert scan.source.format == name.partition(" ")[0]
    truth = beamline_files.grid() if name in beamline_files.ON_A_GRID else M
    good = np.ones((M.size, M.size), bool) if scan.mask is None else scan.mask
    np.testing.assert_array_equal(scan.patterns[:][:, good], M.counts[:, good])
    bad = BEAMLINES[name].bad
    assert [tuple(pixel) for pixel in np.argwhere(~good)] == ([] if bad is None else [bad])
    moved = scan.positions - scan.positions[0]
    np.testing.assert_allclose(moved, truth.positions - truth.positions[0], atol=1e-6 if "velo" not in name else 0.02)
    assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))
    assert scan.geometry.energy_ev == pytest.approx(files.ENERGY_EV)
    title = shipped_readers()[scan.source.format].shipped.title
    assert any(f"read as {title}" in sentence for sentence in scan.history)
    np.testing.assert_array_equal(open_scan(scan.source).positions, scan.positions)  # as a run that is resumed does


def test_every_shipped_mapping_has_a_file_that_tests_it_and_says_whose_it_is():
    assert {name.partition(" ")[0] for name in BEAMLINES} == set(shipped_readers())
    for reader in shipped_readers().values():
        assert reader.shipped.title
        assert reader.shipped.source
        assert not reader.shipped.mapping.settings, "answers belong to the operator"


def test_of_several_scans_in_a_file_the_first_is_taken_and_said_and_another_can_be(tmp_path):
    read = written(tmp_path, "esrf-id13")
    scan = read()
    (asked,) = [one for one in scan.assumptions if one.key == "scan_index"]
    assert (asked.value, asked.choices) == ("1.1", ("1.1", "2.1"))
    other = read(scan_index="2.1")
    np.testing.assert_array_equal(other.patterns[:], M.counts[::-1])
    with pytest.raises(InputError, match=r"scan_index=3\.1 is not valid here; it is one of 1\.1, 2\.1"):
        read(scan_index="3.1")


def test_a_unit_that_the_file_states_goes_before_the_mappings(tmp_path):
    path, _ = BEAMLINES["lcls-amo"].write(tmp_path, M)
    with h5py.File(path, "a") as file:
        for axis in "xy":
            file[f"data/pos{axis}"][...] *= 1e3
            file[f"data/pos{axis}"].attrs["units"] = "um"
    scan = read_scan(path, settings=BEAMLINES["lcls-amo"].answers)
    np.testing.assert_allclose(scan.positions - scan.positions[0], M.positions - M.positions[0], atol=1e-6)
    assert not any("guessed" in sentence for sentence in (*scan.history, *(one.reason for one in scan.assumptions)))


def test_a_turned_stage_moves_less_across_the_beam(tmp_path):
    read = written(tmp_path, "aps-velociprobe")
    right, along = read(), read(angle="ignore")
    ratio = np.ptp(right.positions[:, 1]) / np.ptp(along.positions[:, 1])
    assert ratio == pytest.approx(np.cos(np.radians(beamline_files.CHI)), rel=1e-3)
    np.testing.assert_allclose(right.positions[:, 0], along.positions[:, 0])


def test_a_missing_file_of_a_series_is_named_and_may_be_left_out_with_positions_still_paired(tmp_path):
    beamline = BEAMLINES["petra3-p06"]
    path, positions = beamline.write(tmp_path, M)
    path.with_name("eiger_4m_01_000002.h5").unlink()
    with pytest.raises(InputError, match=r"'eiger_4m_01_000002\.h5' is not there.*missing=skip"):
        read_scan(path, positions_file=positions, settings=beamline.answers)
    scan = read_scan(path, positions_file=positions, settings={**beamline.answers, "missing": "skip"})
    kept = [*range(5), *range(10, 12)]
    np.testing.assert_array_equal(scan.patterns[:], M.counts[kept])
    np.testing.assert_allclose(scan.positions - scan.positions[0], M.positions[kept] - M.positions[0], atol=1e-6)


def test_a_missing_data_file_of_a_master_is_named(tmp_path):
    path, positions = BEAMLINES["dectris"].write(tmp_path, M)
    path.with_name("run_data_000002.h5").unlink()
    with pytest.raises(InputError, match=r"data_000002.*missing=skip"):
        read_scan(path, positions_file=positions)
    scan = read_scan(path, positions_file=positions, settings={"missing": "skip"})
    assert scan.positions.shape == (7, 2)
    kept = [*range(5), *range(10, 12)]
    np.testing.assert_allclose(scan.positions - scan.positions[0], M.positions[kept] - M.positions[0], atol=1e-6)


def test_a_master_without_positions_asks_for_their_file_or_for_the_step_of_its_raster(tmp_path):
    path, _ = BEAMLINES["dectris-raster"].write(tmp_path, M)
    with pytest.raises(UnknownFormatError, match="name their file, say by a mapping which") as caught:
        read_scan(path, settings={"columns": "4"})
    assert [fix.field for fix in caught.value.fixes] == ["step_m"]
    with pytest.raises(InputError, match="set columns") as caught:
        read_scan(path, settings={"step_m": "1e-9"})
    assert [fix.field for fix in caught.value.fixes] == ["columns"]


def test_patterns_whose_positions_are_elsewhere_are_known_and_said(tmp_path):
    path, _ = BEAMLINES["aps-lynx"].write(tmp_path, M)
    with pytest.raises(
        UnknownFormatError, match=r"its patterns are as in files of APS LYNX, whose positions are in a second file"
    ):
        read_scan(path)


def test_a_table_of_another_make_is_not_taken_for_velociprobes(tmp_path):
    path, _ = BEAMLINES["aps-velociprobe"].write(tmp_path, M)
    table = tmp_path / "other.csv"
    np.savetxt(table, np.random.default_rng(0).random((len(M.counts), 9)), delimiter=",")
    with pytest.raises(UnknownFormatError, match="only a mapping says"):
        read_scan(path, positions_file=table)


@pytest.mark.parametrize("first", [0, 1])
def test_velociprobes_triggers_may_be_counted_from_0_or_1_and_have_a_comment_above(tmp_path, first):
    path, table = BEAMLINES["aps-velociprobe"].write(tmp_path, M)
    rows = np.loadtxt(table, delimiter=",", dtype=int)
    rows[:, 7] += first
    np.savetxt(table, rows, fmt="%d", delimiter=",", header="velociprobe positions")
    scan = read_scan(path, positions_file=table)
    np.testing.assert_allclose(scan.positions - scan.positions[0], M.positions - M.positions[0], atol=0.02)
    assert [one.value for one in scan.assumptions if one.key == "pairing"] == (["order"] if first else [])


@pytest.mark.parametrize(("names", "factor"), [("X (mm),Y (mm)", 1e3), ("stage_x,stage_y", 1e6), ("x_nm,y_nm", 1e9)])
def test_a_master_takes_positions_from_tables_with_usual_names_and_units(tmp_path, names, factor):
    path, table = BEAMLINES["dectris"].write(tmp_path, M)
    rows = M.positions[:, ::-1] * M.pixel_m * factor
    np.savetxt(table, rows, delimiter=",", header=names, comments="")
    scan = read_scan(path, positions_file=table)
    np.testing.assert_allclose(scan.positions - scan.positions[0], M.positions - M.positions[0], atol=1e-6)


def test_files_that_other_readers_know_are_not_taken_from_them(tmp_path):
    for name in files.WRITERS:
        assert read_scan(files.write(tmp_path, name)).source.format == name
        with open_store(tmp_path / f"{name}.scan") as store:
            assert not [one for one, reader in shipped_readers().items() if reader.sniff(store, None)]
