"""What is numbered, linked, chunked or counted is there as a whole, or what is missing is named; nothing is shifted."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.scan.mapping import Mapping
from tests.helpers import scan_files as files

M = files.Measurement(files.counts(24), files.positions(24), files.probe(), columns=4)
SKIP = {"missing": "skip"}


def eiger(folder, pieces, *, links, numbers=True, stated=24, length=4):
    """A master with links to numbered files of 4 patterns each, of which those in ``pieces`` are there."""
    for k in pieces:
        with h5py.File(folder / f"run_data_{k:06d}.h5", "w") as file:
            data = file.create_dataset("entry/data/data", data=M.counts[(k - 1) * length : k * length])
            if numbers:
                data.attrs["image_nr_low"], data.attrs["image_nr_high"] = (k - 1) * length + 1, k * length
    with h5py.File(folder / "run_master.h5", "w") as file:
        for k in links:
            file[f"entry/data/data_{k:06d}"] = h5py.ExternalLink(f"run_data_{k:06d}.h5", "/entry/data/data")
        if stated:
            file["entry/instrument/detector/detectorSpecific/nimages"] = stated
            file["entry/instrument/detector/detectorSpecific/ntrigger"] = 1
        file["stage/y"], file["stage/x"] = M.positions.T
    return folder / "run_master.h5"


def mapping(patterns="entry/data/data_*", **more):
    places = {"y": {"key": "stage/y", "unit": "px"}, "x": {"key": "stage/x", "unit": "px"}}
    return Mapping.from_dict({"version": 1, "patterns": patterns, "positions": {**places, **more}})


def assert_paired(scan, rows):
    np.testing.assert_array_equal(scan.patterns[:], M.counts[rows])
    np.testing.assert_allclose(scan.positions, M.positions[rows])


ROWS_WITHOUT_THE_SECOND = [k for k in range(24) if k not in range(4, 8)]


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("stated", [24, None])
@pytest.mark.parametrize("links", [range(1, 7), [1, 3, 4, 5, 6]])
def test_a_missing_piece_is_named_and_may_be_left_out_with_positions_still_paired(tmp_path, numbers, stated, links):
    path = eiger(tmp_path, [1, 3, 4, 5, 6], links=links, numbers=numbers, stated=stated)
    with pytest.raises(InputError, match=r"data_000002.* missing=skip") as caught:
        read_scan(path, mapping=mapping())
    assert [(fix.field, fix.value) for fix in caught.value.fixes] == [("missing", "skip")]
    scan = read_scan(path, mapping=mapping(), settings=SKIP)
    assert_paired(scan, ROWS_WITHOUT_THE_SECOND)
    assert any("data_000002" in note for note in scan.history)


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("links", [range(1, 7), range(3, 7)])
def test_where_the_first_pieces_are_missing_the_others_keep_their_positions(tmp_path, numbers, links):
    path = eiger(tmp_path, [3, 4, 5, 6], links=links, numbers=numbers)
    with pytest.raises(InputError, match=r"data_000001', '.*data_000002' are not there"):
        read_scan(path, mapping=mapping())
    assert_paired(read_scan(path, mapping=mapping(), settings=SKIP), range(8, 24))


def test_pieces_that_have_a_time_for_their_number_are_not_counted_by_it(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data_1732708800"], file["entry/data/data_1732708805"] = M.counts[:12], M.counts[12:]
        file["stage/y"], file["stage/x"] = M.positions.T
    assert_paired(read_scan(path, mapping=mapping()), range(24))


def test_more_links_than_files_are_no_gap_where_the_count_says_that_all_is_there(tmp_path):
    path = eiger(tmp_path, range(1, 7), links=range(1, 9))
    assert_paired(read_scan(path, mapping=mapping()), range(24))


def test_a_scan_that_ended_early_goes_on_with_the_first_positions(tmp_path):
    path = eiger(tmp_path, [1, 2, 3, 4], links=range(1, 7))
    with pytest.raises(InputError, match=r"there are 16 patterns, and '.*nimages' says 24.*data_000005"):
        read_scan(path, mapping=mapping())
    assert_paired(read_scan(path, mapping=mapping(), settings=SKIP), range(16))


def test_a_single_array_is_held_against_the_stated_count_too(tmp_path):
    path = eiger(tmp_path, [1], links=[1])
    with pytest.raises(InputError, match=r"holds 4 patterns, and '.*nimages' says 24"):
        read_scan(path, mapping=mapping("entry/data/data_000001"))


def test_a_stated_count_of_another_scan_in_the_file_is_not_this_ones(tmp_path):
    path = eiger(tmp_path, range(1, 7), links=range(1, 7), stated=None)
    with h5py.File(path, "a") as file:
        file["other/detector/nimages"] = 500
    assert_paired(read_scan(path, mapping=mapping()), range(24))


def test_a_missing_chunk_of_ptypy_is_named_and_may_be_left_out(tmp_path):
    path = files.write(tmp_path, "ptypy", M)
    with h5py.File(path, "a") as file:
        file.move("chunks/1", "chunks/2")
    with pytest.raises(InputError, match=r"'chunks/1' is missing.* missing=skip"):
        read_scan(path)
    scan = read_scan(path, settings=SKIP)
    np.testing.assert_array_equal(scan.patterns[:], M.counts)


def test_a_first_chunk_of_ptypy_that_is_missing_is_named_too(tmp_path):
    path = files.write(tmp_path, "ptypy", M)
    with h5py.File(path, "a") as file:
        file.move("chunks/1", "chunks/2")
        file.move("chunks/0", "chunks/1")
    with pytest.raises(InputError, match=r"'chunks/0' is missing.* missing=skip"):
        read_scan(path)
    np.testing.assert_array_equal(read_scan(path, settings=SKIP).patterns[:], M.counts)


@pytest.mark.parametrize("numbers", [True, False])
def test_a_piece_that_was_cut_short_leaves_the_positions_of_the_others(tmp_path, numbers):
    path = eiger(tmp_path, range(1, 7), links=range(1, 7), numbers=numbers)
    with h5py.File(tmp_path / "run_data_000003.h5", "a") as file:
        attributes = dict(file["entry/data/data"].attrs)
        del file["entry/data/data"]
        file["entry/data/data"] = M.counts[8:10]
        file["entry/data/data"].attrs.update(attributes)
    with pytest.raises(InputError, match="missing=skip"):
        read_scan(path, mapping=mapping())
    assert_paired(read_scan(path, mapping=mapping(), settings=SKIP), np.delete(np.arange(24), [10, 11]))


@pytest.mark.parametrize("name", ["NumImages", "number_of_images", "frames", "nb_frames", "numFrames"])
def test_a_count_is_known_by_its_usual_names(tmp_path, name):
    path = eiger(tmp_path, range(1, 6), links=range(1, 6), numbers=False, stated=None)
    with h5py.File(path, "a") as file:
        file[f"entry/instrument/detector/{name}"] = 24
        del file["stage"]
        file["stage/y"], file["stage/x"] = M.positions[:20].T
    with pytest.raises(InputError, match=rf"there are 20 patterns, and '.*/{name}' says 24"):
        read_scan(path, mapping=mapping())
    assert_paired(read_scan(path, mapping=mapping(), settings=SKIP), range(20))


def test_a_piece_that_lacks_patterns_itself_is_refused_not_paired_with_positions_of_another(tmp_path):
    path = eiger(tmp_path, range(1, 7), links=range(1, 7), numbers=False)
    layout = h5py.VirtualLayout((4, 16, 16), M.counts.dtype)
    layout[0:2] = h5py.VirtualSource("gone.h5", "frames", (2, 16, 16))
    layout[2:4] = h5py.VirtualSource("raw.h5", "frames", (2, 16, 16))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["frames"] = M.counts[10:12]
    with h5py.File(path, "a") as file:
        del file["entry/data/data_000003"]
        file.create_virtual_dataset("entry/data/data_000003", layout)
    with pytest.raises(InputError, match=r"2 of its patterns are missing: gone\.h5 is missing; put"):
        read_scan(path, mapping=mapping(), settings=SKIP)


def test_files_that_a_master_names_and_that_are_not_there_are_named(tmp_path):
    path = eiger(tmp_path, [], links=range(1, 7))
    with pytest.raises(InputError, match=r"run_data_000001\.h5.* missing"):
        read_scan(path, mapping=mapping())


def test_the_frames_that_ptypy_counted_have_to_be_there(tmp_path):
    path = files.write(tmp_path, "ptypy", M)
    with h5py.File(path, "a") as file:
        del file["chunks/1"]
    with pytest.raises(InputError, match=r"its chunks hold 13 patterns, and 'meta/num_frames' says 24"):
        read_scan(path)
    assert len(read_scan(path, settings=SKIP)) == 13


def fly_scan(folder, numbers, n_patterns=24):
    """Patterns without numbers of their own, and a table of triggers."""
    with h5py.File(folder / "fly.h5", "w") as file:
        file["frames"] = M.counts[:n_patterns]
    yx = np.stack([np.resize(M.positions[:, axis], len(numbers)) for axis in (0, 1)], axis=1)
    rows = [f"{number},{y:.12g},{x:.12g}" for number, (y, x) in zip(numbers, yx, strict=True)]
    (folder / "fly.csv").write_text("trigger,stage/y,stage/x\n" + "\n".join(rows))
    return {"positions_file": folder / "fly.csv", "mapping": mapping("frames", index="trigger", separate_file=True)}


@pytest.mark.parametrize(
    "triggers", [range(1, 25), range(1, 27), range(0, 26), range(7, 33), range(0, 48, 2), range(1, 49, 2)]
)
def test_patterns_without_numbers_are_paired_with_the_first_trigger_on_and_the_operator_is_told(tmp_path, triggers):
    how = fly_scan(tmp_path, triggers)
    scan = read_scan(tmp_path / "fly.h5", **how)
    assert_paired(scan, range(24))
    asked = [(one.value, one.choices) for one in scan.assumptions if one.key == "pairing"]
    assert asked == [("value" if triggers == range(26) else "order", ("order", "value"))]
    told = [one for one in check_scan(scan) if one.field == "pairing"]
    assert len(told) == (len(triggers) != 24)
    for one in told:
        (fix,) = (fix for fix in one.fixes if fix.value == "order")
        scan = read_scan(tmp_path / "fly.h5", settings={fix.field: fix.value}, **how)
        assert not [one for one in check_scan(scan) if one.field == "pairing"]
        assert_paired(scan, range(24))


def test_that_offset_is_the_operators_to_say(tmp_path):
    how = fly_scan(tmp_path, range(1, 27))
    scan = read_scan(tmp_path / "fly.h5", settings={"pairing": "value"}, **how)
    np.testing.assert_array_equal(scan.patterns[:], M.counts[1:])
    np.testing.assert_allclose(scan.positions, M.positions[:23])


@pytest.mark.parametrize(
    ("triggers", "asked"),
    [(range(24), False), ([0, *range(2, 22)], False), (range(22), True), ([0, *range(3, 30)], True)],
)
def test_numbers_with_gaps_that_are_places_of_the_patterns_are_no_question_and_lost_ones_are(tmp_path, triggers, asked):
    how = fly_scan(tmp_path, triggers)
    scan = read_scan(tmp_path / "fly.h5", **how)
    kept = [number for number in triggers if number < 24]
    np.testing.assert_array_equal(scan.patterns[:], M.counts[kept])
    assert [one.field for one in check_scan(scan) if one.field == "pairing"] == ["pairing"] * asked


def test_triggers_that_fit_the_places_of_the_patterns_are_taken_for_these(tmp_path):
    """The first five positions are lost: triggers 5 to 23 of 24 patterns."""
    how = fly_scan(tmp_path, range(5, 24))
    scan = read_scan(tmp_path / "fly.h5", **how)
    np.testing.assert_array_equal(scan.patterns[:], M.counts[5:])
    assert [one.value for one in scan.assumptions if one.key == "pairing"] == ["value"]


def test_fewer_positions_than_patterns_in_one_file_may_be_paired_by_order(tmp_path):
    path = eiger(tmp_path, range(1, 7), links=range(1, 7))
    with h5py.File(path, "a") as file:
        del file["stage"]
        file["stage/y"], file["stage/x"] = M.positions[:20].T
    with pytest.raises(InputError, match=r"pairing=order") as caught:
        read_scan(path, mapping=mapping())
    (fix,) = caught.value.fixes
    assert_paired(read_scan(path, mapping=mapping(), settings={fix.field: fix.value}), range(20))


PAIRED_OTHERWISE = ("ptychodus", "pty-chi", "ptypy")
"""By the value of indexes, or chunk by chunk."""


@pytest.mark.parametrize("n_positions", [20, 28])
@pytest.mark.parametrize("name", [name for name in files.WRITERS if name not in PAIRED_OTHERWISE])
def test_other_positions_than_patterns_may_be_paired_by_order_in_every_format(tmp_path, name, n_positions):
    more = files.Measurement(files.counts(n_positions), files.positions(n_positions), files.probe(), columns=4)
    path = files.write(tmp_path, name, more)
    (tmp_path / "patterns").mkdir()
    exchange_patterns(name, path, files.write(tmp_path / "patterns", name, M))
    with pytest.raises(InputError, match="pairing=order") as caught:
        read_scan(path)
    (fix,) = caught.value.fixes
    scan = read_scan(path, settings={fix.field: fix.value})
    n = min(24, n_positions)
    np.testing.assert_allclose(scan.patterns[:], M.counts[:n], atol=1e-3)
    np.testing.assert_allclose(scan.positions, files.positions(n_positions)[:n], atol=1e-6)


def exchange_patterns(name, path, other):
    """Put the patterns of another file of the format into one."""
    if name.endswith("npz"):
        with np.load(path) as arrays, np.load(other) as others:
            key = next(key for key in ("diff3d", "patterns") if key in arrays)
            changed = {**arrays, key: others[key]}
        files.npz(path.with_suffix(".npz"), **changed).rename(path)
        return
    key = {"fold-slice": "dp", "nsls2": "diffamp"}.get(name, "entry_1/instrument_1/detector_1/data")
    with h5py.File(path, "a") as file, h5py.File(other) as others:
        del file[key]
        file[key] = others[key][()].reshape(-1, *others[key].shape[-2:])
