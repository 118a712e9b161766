"""What a proposal finds by values, shapes and groups where names say little; and what it marks as guessed, or open."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.scan.mapping import Mapping, read_mapping
from tests.helpers import scan_files as files

N = 48
M = files.Measurement(files.counts(N), files.positions(N), files.probe(), columns=8)
UM = M.positions * M.pixel_m * 1e6
GEOMETRY = {"energy": (8.0, "keV"), "distance": (files.DISTANCE_M, "m"), "x_pixel_size": (files.PITCH_M, "m")}


def write(path, geometry=True, **arrays):
    with h5py.File(path, "w") as file:
        for key, (value, unit) in (GEOMETRY if geometry else {}).items():
            file[f"setup/{key}"] = value
            file[f"setup/{key}"].attrs["units"] = unit
        for key, value in arrays.items():
            file[key.replace("__", "/")] = value
    return path


def counters():
    """What else is recorded for every pattern: clocks, counters, monitors, and a motor that stands still."""
    rng = np.random.default_rng(6)
    return {
        "scan__epoch": 1.7e9 + np.arange(N) * 0.051,
        "scan__elapsed": np.arange(N) * 0.051,
        "scan__ct01": rng.poisson(1000, N),
        "scan__roi": M.counts.sum(axis=(1, 2)).astype(float),
        "scan__stage_z": np.full(N, 3.3),
        "scan__trigger": np.arange(1, N + 1),
    }


def read(path, positions=None):
    return read_scan(path, mapping=propose_file(path, positions).mapping, positions_file=positions)


@pytest.mark.parametrize(("x", "y"), [("scan__m1", "scan__m2"), ("scan__nnp2_position", "scan__nnp3_user_position")])
def test_positions_are_found_by_what_they_do_among_counters_and_clocks(tmp_path, x, y):
    path = write(tmp_path / "a.h5", frames=M.counts, **counters(), **{x: UM[:, 1], y: UM[:, 0]})
    scan = read(path)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)
    assert set(propose_file(path).mapping.guessed) >= {"positions", "position_unit"}


def test_clocks_and_monitors_alone_are_no_positions(tmp_path):
    rng = np.random.default_rng(6)
    others = {"Epoch": 1.7e9 + np.arange(N), "Seconds": 0.5 + 0.01 * rng.random(N), "Monitor": rng.poisson(1e5, N)}
    proposed = propose_file(write(tmp_path / "a.h5", frames=M.counts, **others))
    assert proposed.mapping.open == ["y", "x"]
    assert "Epoch, Monitor, Seconds" in proposed.remarks[0]


def test_a_guess_of_axes_and_a_unit_that_one_of_both_has_stay_marked(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts, m1=UM[:, 1], m2=UM[:, 0])
    with h5py.File(path, "a") as file:
        file["m2"].attrs["units"] = "um"
    mapping = propose_file(path).mapping
    assert mapping.guessed == ("positions", "position_unit")
    asked = {one.key: one.reason for one in read_scan(path, mapping=mapping).assumptions}
    assert "which is y and which is x was guessed" in asked["orientation"]
    assert "guessed" in asked["position_unit"]


@pytest.mark.parametrize(("x", "y"), [("FAST", "SLOW"), ("Fast", "Slow"), ("X", "Y"), ("sampleHor", "sampleVer")])
def test_names_of_axes_are_known_in_any_case(tmp_path, x, y):
    path = write(tmp_path / "a.h5", frames=M.counts, **{y: UM[:, 0], x: UM[:, 1]})
    np.testing.assert_allclose(read(path).positions, M.positions, atol=1e-6)
    assert "positions" not in propose_file(path).mapping.guessed


def test_columns_are_known_by_their_titles(tmp_path):
    motors = np.stack([np.arange(N), UM[:, 1], UM[:, 0], np.zeros(N)], axis=1)
    path = write(tmp_path / "a.h5", frames=M.counts, motors=motors)
    with h5py.File(path, "a") as file:
        file["motors"].attrs["columns"] = ["t", "x", "y", "z"]
    np.testing.assert_allclose(read(path).positions, M.positions, atol=1e-6)


def test_several_rows_for_each_trigger_are_averaged_by_the_column_that_counts_them(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts)
    rows = [
        f"{3 * i + k},{x * 1e3 + k - 1:.6f},{y * 1e3 - k + 1:.6f},0,{-y * 1e3:.6f},{i + 1}"
        for i, (y, x) in enumerate(UM)
        for k in range(3)
    ]
    (tmp_path / "p.csv").write_text("\n".join(rows))
    scan = read(path, tmp_path / "p.csv")
    np.testing.assert_array_equal(scan.patterns[:], M.counts)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-4)


# Two scans in one file


def two_scans(path):
    other = files.Measurement(M.counts[::-1], M.positions[::-1] * 2, M.probe, 8)
    with h5py.File(path, "w") as file:
        for name, m, energy in (("1.1", other, 9.0), ("2.1", M, 8.0)):
            n = len(m.counts) // (1 if m is M else 2)
            file[f"{name}/instrument/eiger/data"] = m.counts[:n]
            for axis, motor in enumerate(("samy", "samx")):
                file[f"{name}/measurement/{motor}"] = m.positions[:n, axis] * m.pixel_m * 1e6
            for key, (value, unit) in {**GEOMETRY, "energy": (energy, "keV")}.items():
                file[f"{name}/instrument/positioners/{key}"] = value
                file[f"{name}/instrument/positioners/{key}"].attrs["units"] = unit
    return path


def test_patterns_positions_and_beam_are_of_the_same_scan(tmp_path):
    path = two_scans(tmp_path / "a.h5")
    found = propose_file(path)
    assert found.remarks == ("the file holds other scans, left alone: 1.1/",)
    scan = read_scan(path, mapping=found.mapping)
    np.testing.assert_array_equal(scan.patterns[:], M.counts)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)
    assert scan.geometry.energy_ev == pytest.approx(8000)


@pytest.mark.parametrize("mixed", ["measurement/samy", "instrument/positioners/energy"])
def test_a_mapping_that_mixes_two_scans_is_refused(tmp_path, mixed):
    path = two_scans(tmp_path / "a.h5")
    text = json.dumps(propose_file(path).mapping.to_dict()).replace(f"2.1/{mixed}", f"1.1/{mixed}")
    with pytest.raises(InputError, match=f"'1.1/{mixed}' is of another scan .*'2.1/{mixed}' is there"):
        read_scan(path, mapping=Mapping.from_dict(json.loads(text)))


# Provenance


def test_what_was_guessed_stays_marked_in_mapping_history_questions_and_the_runs_record(tmp_path, ptycho):
    path = write(tmp_path / "a.h5", frames=M.counts, pos_y=UM[:, 0], pos_x=UM[:, 1])
    with h5py.File(path, "a") as file:
        del file["setup/energy"].attrs["units"]
    assert ptycho("inspect", path, "--propose-mapping", tmp_path / "map.json").returncode == 0
    mapping = read_mapping(tmp_path / "map.json")
    assert set(mapping.guessed) == {"position_unit", "energy"}
    scan = read_scan(path, mapping=mapping)
    reasons = {one.key: one.reason for one in scan.assumptions}
    assert "guessed" in reasons["position_unit"]
    assert "guessed" in reasons["energy_ev"]
    assert any("not confirmed" in note for note in scan.history)
    assert Mapping.from_dict(json.loads(json.dumps(scan.source.mapping.to_dict()))).guessed == mapping.guessed


def test_what_is_stated_or_confirmed_is_no_guess(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts, pos_y_um=UM[:, 0], pos_x_um=UM[:, 1])
    mapping = propose_file(path).mapping
    assert mapping.guessed == ()
    assert {one.reason for one in read_scan(path, mapping=mapping).assumptions if one.key == "position_unit"} == {
        "the mapping says so"
    }


# What is open


def test_a_proposal_without_positions_is_written_with_what_is_open(tmp_path, ptycho):
    path = write(tmp_path / "a.h5", frames=M.counts, **{"log__temperature": np.arange(N) * 1.0})
    done = ptycho("inspect", path, "--propose-mapping", tmp_path / "map.json")
    assert done.returncode == 0, done.stderr
    assert f"arrays with {N} values: log/temperature" in done.stderr
    mapping = read_mapping(tmp_path / "map.json")
    assert mapping.open == ["y", "x"]
    assert mapping.energy.key == "setup/energy"
    with pytest.raises(InputError, match="leaves open what the y and x of the scan are"):
        read_scan(path, mapping=mapping)


def test_links_that_lead_nowhere_are_named_where_they_are_missed(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts)
    with h5py.File(path, "a") as file:
        file["pos_y"], file["pos_x"] = h5py.SoftLink("/gone/y"), h5py.ExternalLink("stage.h5", "/x")
    told = "'pos_x' is a link to '/x' in the file 'stage.h5', which is missing"
    with pytest.raises(InputError, match=told):
        read_scan(path)
    (remark,) = propose_file(path).remarks
    assert told in remark


def test_a_table_beside_a_file_of_a_known_format_points_to_the_mapping(tmp_path):
    path = write(tmp_path / "a.h5", entry__data__data=M.counts)
    (tmp_path / "p.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"p.csv is a table, .*only a mapping says"):
        read_scan(path, positions_file=tmp_path / "p.csv")


# Rasters


REGULAR = np.stack([np.arange(N) // 8 * 1.5, np.arange(N) % 8 * 2.0], axis=1)


def raster(**more):
    return Mapping.from_dict(
        {
            "version": 1,
            "patterns": "frames",
            "positions": {
                "y": {"key": "#line", "unit": "px", "multiplier": 1.5},
                "x": {"key": "#column", "unit": "px", "multiplier": 2.0},
                **more,
            },
        }
    )


@pytest.mark.parametrize("n", [48, 43])
@pytest.mark.parametrize("size", [{"columns": 8}, {"lines": 6, "columns": 8}])
def test_a_raster_is_told_by_its_step_with_a_missing_rest(tmp_path, n, size):
    path = write(tmp_path / "a.h5", frames=M.counts[:n])
    scan = read_scan(path, mapping=raster(**size))
    np.testing.assert_allclose(scan.positions, REGULAR[:n])
    assert any("lacks its last 5 patterns" in note for note in scan.history) == (n == 43 and "lines" in size)


def test_a_snake_runs_back_on_every_second_line(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts)
    x = read_scan(path, mapping=raster(columns=8, snake=True)).positions[:, 1]
    np.testing.assert_allclose(x[8:16], x[:8][::-1])
    np.testing.assert_allclose(x[16:24], x[:8])


def test_an_answer_goes_before_the_mappings_snake_and_patterns_on_the_way_back_shift_no_others(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts[:43])
    x = read_scan(path, mapping=raster(columns=8, snake=True), settings={"snake": "no"}).positions[:, 1]
    np.testing.assert_allclose(x, REGULAR[:43, 1])
    kept = [k for k in range(43) if k % 8 < 6]
    scan = read_scan(path, mapping=raster(columns=8), settings={"flyback": "2"})
    np.testing.assert_allclose(scan.positions, REGULAR[kept])
    np.testing.assert_array_equal(scan.patterns[:], M.counts[kept])
    cut = {"flyback": "2", "pairing": "order"}
    scan = read_scan(path, mapping=raster(lines=4, columns=8), settings=cut)
    np.testing.assert_allclose(scan.positions, REGULAR[[k for k in kept if k < 32]])


def test_the_patterns_own_axes_are_the_raster(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts.reshape(6, 8, 16, 16))
    np.testing.assert_allclose(read_scan(path, mapping=raster()).positions, REGULAR)


def test_more_patterns_than_the_raster_has_places_are_asked_about(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts)
    with pytest.raises(InputError, match=r"40 positions, but there are 48 patterns.*pairing=order"):
        read_scan(path, mapping=raster(lines=5, columns=8))
    assert len(read_scan(path, mapping=raster(lines=5, columns=8), settings={"pairing": "order"})) == 40


def test_positions_of_most_patterns_are_proposed(tmp_path):
    path = write(tmp_path / "a.h5", frames=M.counts, pos_y=UM[:43, 0], pos_x=UM[:43, 1])
    mapping = propose_file(path).mapping
    with pytest.raises(InputError, match="43 positions, but there are 48 patterns"):
        read_scan(path, mapping=mapping)
    scan = read_scan(path, mapping=mapping, settings={"pairing": "order"})
    np.testing.assert_allclose(scan.positions, M.positions[:43], atol=1e-6)


@pytest.mark.parametrize("n", [48, 43])
def test_the_axes_of_a_raster_are_found_with_a_missing_rest(tmp_path, n):
    y, x = np.arange(6) * 1.5, np.arange(8) * 2.0
    path = write(tmp_path / "a.h5", frames=M.counts[:n], y=y, x=x, geometry=False)
    mapping = propose_file(path).mapping
    assert mapping.positions.y.key == "y"
    np.testing.assert_allclose(read_scan(path, mapping=mapping).positions, REGULAR[:n])


def test_a_square_raster_may_lack_its_rest_too(tmp_path):
    axis = np.arange(7) * 2.0
    path = write(tmp_path / "a.h5", frames=M.counts[:46], y=axis, x=axis, geometry=False)
    positions = read_scan(path, mapping=propose_file(path).mapping).positions
    np.testing.assert_allclose(positions[-1], (12.0, 6.0))
