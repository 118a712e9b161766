"""What a file of no known format holds: its tree, what could be what in it, and mappings kept for its layout."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.layout import Node, arrays_of, fingerprint, layout
from ptycho_core.formats.mapping.proposal import propose, propose_file
from ptycho_core.formats.mapping.saved_mappings import find_for, save_named
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.scan.mapping import Mapping, read_mapping
from tests.helpers import scan_files as files
from tests.helpers.scan_files import lab_file

M = files.TINY


def tree(path: Path, **options: float) -> Node:
    with open_store(path) as store:
        return layout(store, **options)


def found(root: Node, key: str) -> Node:
    return next(node for node in everything(root) if node.key == key)


def everything(root: Node) -> list[Node]:
    return [root, *(node for child in root.children for node in everything(child))]


# Proposals


def test_masks_of_single_patterns_are_found_beside_them(tmp_path):
    path = lab_file(tmp_path / "a.h5")
    good = np.random.default_rng(0).random(M.counts.shape) > 0.1
    (key,) = [node.key for node in everything(tree(path)) if node.key.endswith("mask")]
    with h5py.File(path, "a") as file:
        del file[key]
        file[key] = ~good
    scan = read_scan(path, mapping=propose_file(path).mapping)
    np.testing.assert_array_equal(scan.mask[:], good)


def test_proposal_of_a_laboratorys_layout_reads_as_it_was_measured(tmp_path):
    path = lab_file(tmp_path / "a.h5")
    mapping = propose_file(path).mapping
    scan = read_scan(path, mapping=mapping)
    np.testing.assert_array_equal(scan.patterns[:], M.counts)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)
    np.testing.assert_array_equal(scan.mask, ~np.eye(16, dtype=bool))
    np.testing.assert_array_equal(scan.probe[0], M.probe)
    assert scan.geometry.energy_ev == pytest.approx(files.ENERGY_EV)
    assert scan.geometry.distance_m == pytest.approx(files.DISTANCE_M)


@pytest.mark.parametrize("name", ["ptychopinn-npz", "plain-npz", "fold-slice"])
def test_proposal_finds_what_known_formats_hold(tmp_path, name):
    path = files.write(tmp_path, name)
    mapped, known = read_scan(path, mapping=propose_file(path).mapping), read_scan(path)
    np.testing.assert_allclose(mapped.patterns[:], known.patterns[:])
    np.testing.assert_allclose(mapped.positions, known.positions)


def test_proposal_of_patterns_in_numbered_arrays(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/data_000001"], file["data/data_000002"] = np.split(M.counts, 2)
        file["pos"] = M.positions
    mapping = propose_file(tmp_path / "a.h5").mapping
    assert mapping.patterns == "data/data_*"
    assert len(read_scan(tmp_path / "a.h5", mapping=mapping)) == len(M.counts)


def test_proposal_of_patterns_whose_last_axis_counts_them(tmp_path):
    np.savez(tmp_path / "a.npz", frames=np.moveaxis(M.counts, 0, -1), pos=M.positions)
    scan = read_scan(tmp_path / "a.npz", mapping=propose_file(tmp_path / "a.npz").mapping)
    np.testing.assert_array_equal(scan.patterns[:], M.counts)


@pytest.mark.parametrize("header", ["frame,time,motor_y_um,motor_x_um\n", ""])
def test_proposal_with_a_table_of_positions(tmp_path, header):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"], file["dx"] = M.counts, M.pixel_m
    rows = [f"{i},{0.1 * i:.3f},{y:.12g},{x:.12g}" for i, (y, x) in enumerate(M.positions * M.pixel_m * 1e6)]
    (tmp_path / "p.csv").write_text(header + "\n".join(rows))
    mapping = propose_file(tmp_path / "a.h5", tmp_path / "p.csv").mapping
    assert mapping.positions.separate_file
    assert mapping.positions.index == ("frame" if header else None)
    scan = read_scan(tmp_path / "a.h5", positions_file=tmp_path / "p.csv", mapping=mapping)
    np.testing.assert_allclose(scan.positions, M.positions, atol=1e-6)


def test_proposal_lists_other_candidates(tmp_path):
    path = lab_file(
        tmp_path / "a.h5", **{"entry/scan/target_x": M.positions[:, 1], "entry/scan/target_y": M.positions[:, 0]}
    )
    with open_store(path) as store:
        candidates = propose(store).candidates
    assert candidates["patterns"] == ("entry/eiger/frames", "entry/eiger/dark_frames")
    assert set(candidates["y"]) == {"entry/scan/stage_y", "entry/scan/target_y"}
    assert candidates["energy"] == ("entry@photon_energy_keV",)  # never the machine's


def test_file_without_patterns_has_no_proposal(tmp_path):
    np.savez(tmp_path / "a.npz", numbers=np.arange(5))
    with pytest.raises(InputError, match="nothing with the shape of a stack of patterns: numbers"):
        propose_file(tmp_path / "a.npz")


def test_command_line_writes_a_proposal_that_it_reads_by(tmp_path, ptycho):
    path = lab_file(tmp_path / "a.h5")
    done = ptycho("inspect", path, "--propose-mapping", tmp_path / "map.json")
    assert done.returncode == 0, done.stderr
    assert read_mapping(tmp_path / "map.json") == propose_file(path).mapping
    done = ptycho("inspect", path, "--mapping", tmp_path / "map.json", "--json")
    assert json.loads(done.stdout)["format"] == "mapped"


# The tree


def test_tree_tells_names_shapes_types_attributes_and_first_values(tmp_path):
    root = tree(lab_file(tmp_path / "a.h5"))
    assert [child.name for child in root.children] == ["entry"]
    frames = found(root, "entry/eiger/frames")
    assert (frames.kind, frames.shape, frames.dtype) == ("array", (3, 4, 16, 16), "uint16")
    assert frames.text.endswith(", ...")
    assert found(root, "entry/eiger/distance").attributes == (("units", "mm"),)
    assert found(root, "entry/eiger/distance").text == "2000"
    assert found(root, "entry/title").text == "night shift"
    assert found(root, "entry").attributes == (("photon_energy_keV", "8"),)


@pytest.mark.parametrize("compressed", [False, True])
def test_tree_of_an_archive(tmp_path, compressed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **{"lab/frames": M.counts, "name": "tiny"})
    root = tree(tmp_path / "a.npz")
    assert found(root, "lab/frames").shape == M.counts.shape
    assert found(root, "lab/frames").text.startswith(f"{M.counts.flat[0]}, {M.counts.flat[1]}")
    assert found(root, "name").text == "tiny"


def test_tree_ends_where_links_loop_or_lead_nowhere(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/b/numbers"] = np.arange(3.0)
        file["a/b/again"] = h5py.SoftLink("/a")
        file["gone"] = h5py.SoftLink("/nowhere")
        file["outside"] = h5py.ExternalLink("missing.h5", "/data")
        file["loop"] = h5py.SoftLink("/loop")
    root = tree(tmp_path / "a.h5")
    assert [node.key for node in arrays_of(root)] == ["a/b/numbers"]
    assert "missing.h5" in found(root, "outside").text
    assert found(root, "gone").kind == found(root, "loop").kind == "unreadable"


def test_tree_says_what_cannot_be_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("huge", (10**9, 4096, 4096), np.float32, chunks=(1, 256, 256))
        file["table"] = np.zeros(3, [("a", "f8"), ("b", "i4")])
        file["pointers"] = h5py.Empty("f4")
    root = tree(tmp_path / "a.h5")
    assert "nothing was written" in found(root, "huge").text
    assert found(root, "pointers").kind == "unreadable"
    assert found(root, "table").shape == (3,)
    assert fingerprint(root)


def test_tree_of_too_much_is_cut_short_by_time(tmp_path):
    root = tree(lab_file(tmp_path / "a.h5"), seconds=0.0)
    assert not arrays_of(root)
    assert "too much" in found(root, "entry/eiger/frames").text


def test_archive_of_absurdly_deep_names_has_a_tree(tmp_path):
    np.savez(tmp_path / "a.npz", **{"/".join("a" * 5000): np.ones(3)})
    assert len(arrays_of(tree(tmp_path / "a.npz"))) == 1


# Layouts and saved mappings


def test_layout_is_the_same_for_another_scan_of_other_size_and_number(tmp_path):
    def mark(path: Path) -> str:
        return fingerprint(tree(path))

    longer = files.Measurement(np.tile(M.counts, (2, 1, 1)), np.tile(M.positions, (2, 1)), M.probe, 4)
    first = mark(lab_file(tmp_path / "a.h5", **{"scan_0041": 1.0}))
    assert mark(lab_file(tmp_path / "b.h5", longer, **{"scan_0042": 2.0})) == first
    assert mark(lab_file(tmp_path / "c.h5", **{"other": 1.0})) != first


def test_saved_mappings_are_offered_for_their_layout_the_newest_first(tmp_path):
    folder = tmp_path / "config" / "mappings"
    one = propose_file(lab_file(tmp_path / "a.h5")).mapping
    assert find_for(folder, "layout") == []
    save_named(folder, "Beamline 5: night/../shift", one, "layout")
    os.utime(save_named(folder, "other", one, "layout"), (0, 0))
    save_named(folder, "elsewhere", one, "another layout")
    (folder / "broken.json").write_text("{")
    offered = find_for(folder, "layout")
    assert [saved.name for saved in offered] == ["Beamline 5: night/../shift", "other"]
    assert offered[0].mapping == one
    assert all(path.parent == folder for path in tmp_path.rglob("*.json"))
    with pytest.raises(InputError, match="needs letters or digits"):
        save_named(folder, "../", one, "layout")


def test_mapping_that_is_saved_again_under_its_name_replaces_the_earlier(tmp_path):
    one = propose_file(lab_file(tmp_path / "a.h5")).mapping
    other = Mapping(one.patterns, one.positions)
    save_named(tmp_path, "mine", one, "layout")
    save_named(tmp_path, "mine", other, "layout")
    assert [saved.mapping for saved in find_for(tmp_path, "layout")] == [other]


# Damaged files


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("container", ["hdf5", "npz"])
def test_damaged_file_ends_in_a_sentence_or_a_tree_and_a_scan(tmp_path, container, seed):
    path, rng = tmp_path / "a.scan", np.random.default_rng([seed, len(container)])
    if container == "hdf5":
        lab_file(path)
    else:
        with open(path, "wb") as file:
            np.savez(file, frames=M.counts, stage_y=M.positions[:, 0], stage_x=M.positions[:, 1], energy_ev=8000.0)
    mapping = propose_file(path).mapping
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), 30):
        content[place] = rng.integers(256)
    path.write_bytes(content if seed % 4 else content[: rng.integers(len(content))])
    for look in (tree, propose_file, lambda path: read_scan(path, mapping=mapping).patterns[:]):
        with contextlib.suppress(InputError):
            look(path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_table_ends_in_a_sentence_or_a_scan(tmp_path, seed):
    rng, table = np.random.default_rng(seed), tmp_path / "p.csv"
    np.savez(tmp_path / "a.npz", frames=M.counts)
    rows = ["frame,y,x", *(f"{i},{y:.3f},{x:.3f}" for i, (y, x) in enumerate(M.positions))]
    content = bytearray("\n".join(rows).encode())
    for place in rng.integers(0, len(content), 3):
        content[place] = rng.choice(list(b'\0\n\r,;"#\xff9e-'))
    table.write_bytes(content)
    with contextlib.suppress(InputError):
        scan = read_scan(
            tmp_path / "a.npz", positions_file=table, mapping=propose_file(tmp_path / "a.npz", table).mapping
        )
        assert np.isfinite(scan.positions).all()
        assert len(scan) == len(scan.positions)
