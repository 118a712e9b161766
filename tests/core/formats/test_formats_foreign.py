"""What NeXus, fold_slice, pty-chi, ptypy and NSLS-II files may hold beside the golden layouts, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from tests.helpers import scan_files as files
from tests.helpers.refusals import refused

DETECTOR = "entry_1/instrument_1/detector_1"
MOTORS = "entry_1/sample_1/transformations"
BATCHES = [np.array([7, 3, 3, 0]), slice(2, 6), slice(5, 5), np.array([], int), 5, slice(None, None, 4)]


def edited(folder: Path, name: str, edit: Callable[[h5py.File], None]) -> Path:
    path = files.write(folder, name)
    with h5py.File(path, "a") as file:
        edit(file)
    return path


def replace(file: h5py.File, key: str, value: object) -> None:
    attributes = dict(file[key].attrs)
    del file[key]
    file[key] = value
    file[key].attrs.update(attributes)


def assert_as_written(scan, atol=1e-9):
    np.testing.assert_array_equal(scan.patterns[:], files.counts())
    relative = scan.positions - scan.positions[0]
    np.testing.assert_allclose(relative, files.positions() - files.positions()[0], atol=atol)


# Patterns in several pieces


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["ptypy", "nexus"])
def test_patterns_of_chunks_and_rasters_are_read_in_any_order_and_process(tmp_path, name, batch):
    patterns = pickle.loads(pickle.dumps(read_scan(files.write(tmp_path, name)).patterns))
    assert not patterns.in_memory
    np.testing.assert_array_equal(patterns[batch], files.counts()[batch])


# NeXus


def test_nexus_photon_energy_is_not_the_machines(tmp_path):
    assert read_scan(files.write(tmp_path, "nexus")).geometry.energy_ev == pytest.approx(8000)
    path = edited(tmp_path, "nexus", lambda file: file.__delitem__("entry_1/instrument_1/beam_1"))
    with h5py.File(path, "a") as file:
        energy = file["entry_1/instrument_1/source_1/energy"]
        energy[()], energy.attrs["units"] = 3e9 * files.JOULE_PER_EV, "J"
    refused(path, "how large a pixel is; set energy_ev")
    scan = read_scan(path, settings={"energy_ev": "8000"})
    assert any("3 GeV is the machine's" in sentence for sentence in scan.history)


def test_nexus_wavelength_stands_in_for_the_energy(tmp_path):
    def edit(file):
        del file["entry_1/instrument_1/beam_1/incident_beam_energy"]
        file["entry_1/instrument_1/beam_1/incident_wavelength"] = 1.23984198
        file["entry_1/instrument_1/beam_1/incident_wavelength"].attrs["units"] = "angstrom"

    assert read_scan(edited(tmp_path, "nexus", edit)).geometry.energy_ev == pytest.approx(10000)


def test_nexus_motors_may_have_a_value_for_each_line_and_for_each_place_in_a_line(tmp_path):
    y, x = np.arange(3) * 5.0, np.arange(4) * 5.0
    grid = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)

    def edit(file):
        replace(file, f"{MOTORS}/x", x * files.PIXEL_M * 1e6)
        replace(file, f"{MOTORS}/y", y * files.PIXEL_M * 1e6)

    np.testing.assert_allclose(read_scan(edited(tmp_path, "nexus", edit)).positions, grid, atol=1e-9)


def test_nexus_motor_moves_along_its_vector(tmp_path):
    def edit(file):
        for axis, vector in (("x", [-1.0, 0, 0]), ("y", [0, -2.0, 0])):
            file[f"{MOTORS}/{axis}"][...] *= -1
            file[f"{MOTORS}/{axis}"].attrs["vector"] = vector

    assert_as_written(read_scan(edited(tmp_path, "nexus", edit)))


def test_nexus_arbitrary_scan_has_three_axes_and_a_translation(tmp_path):
    def edit(file):
        replace(file, f"{DETECTOR}/data", files.counts())
        del file["entry_1/sample_1/transformations"], file["entry_1/data"]
        file[f"{DETECTOR}/translation"] = files.TINY.laboratory_m * 1e3
        file[f"{DETECTOR}/translation"].attrs["units"] = "mm"
        file["entry_1/sample_1/geometry_1/translation"] = h5py.SoftLink(f"/{DETECTOR}/translation")

    assert_as_written(read_scan(edited(tmp_path, "nexus", edit)))


def test_nexus_without_numbers_behind_its_names(tmp_path):
    path = tmp_path / "a.nxs"
    with h5py.File(files.write(tmp_path, "nexus")) as numbered, h5py.File(path, "w") as plain:
        detector = plain.create_group("entry/instrument/detector")
        for key in ("data", "distance", "x_pixel_size"):
            numbered.copy(f"{DETECTOR}/{key}", detector)
        numbered.copy("entry_1/instrument_1/beam_1", plain, "entry/instrument/beam")
        numbered.copy(MOTORS, plain, "entry/sample/transformations")
        plain["entry/data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
    scan = read_scan(path)
    assert scan.source.format == "nexus"
    assert_as_written(scan)


def test_nexus_probe_is_where_cxi_has_it(tmp_path):
    def edit(file):
        file["entry_1/instrument_1/source_1/illumination"] = files.probe()
        file["entry_1/instrument_1/source_1/probe"] = "x-ray"  # the kind of radiation, in NeXus

    np.testing.assert_array_equal(read_scan(edited(tmp_path, "nexus", edit)).probe, files.probe()[None])


def test_nexus_pixel_mask(tmp_path):
    path = edited(tmp_path, "nexus", lambda file: file[f"{DETECTOR}/pixel_mask"].__setitem__((2, 5), 1))
    assert [tuple(p) for p in np.argwhere(~read_scan(path).mask)] == [(2, 5)]


@pytest.mark.parametrize(
    "key", [f"{DETECTOR}/distance", f"{MOTORS}/x", "entry_1/instrument_1/beam_1/incident_beam_energy"]
)
def test_nexus_unit_that_is_none(tmp_path, key):
    path = edited(tmp_path, "nexus", lambda file: file[key].attrs.__setitem__("units", "furlong"))
    refused(path, rf"'{key}' is in 'furlong'; it must be in one of")


def test_nexus_motor_of_another_length(tmp_path):
    path = edited(tmp_path, "nexus", lambda file: replace(file, f"{MOTORS}/x", np.zeros(7)))
    refused(path, r"'entry_1/sample_1/transformations/x' has 7 values, but there are 12 patterns")


def test_nexus_without_positions_says_what_it_looked_for(tmp_path):
    path = edited(tmp_path, "nexus", lambda file: [file.__delitem__(k) for k in (MOTORS, "entry_1/data")])
    refused(path, f"no key '{MOTORS}/x' or .* it holds ")


# fold_slice and pty-chi


def test_patterns_alone_ask_for_the_other_file_of_either_program(tmp_path):
    files.write_fold_slice_patterns(tmp_path / "a.h5")
    refused(tmp_path / "a.h5", r"name the file that holds 'ppX' and 'ppY' .* or 'probe_position_x_m' \(pty-chi's\)")


@pytest.mark.parametrize("write_others", [files.write_fold_slice_parameters, files.write_ptychi_metadata])
def test_positions_alone_ask_for_the_patterns(tmp_path, write_others):
    write_others(tmp_path / "b.h5")
    refused(tmp_path / "b.h5", "but no patterns .* open the file with the patterns")


def test_fold_slice_of_a_simulation_has_no_geometry_and_asks_for_a_pixel_size(tmp_path):
    path = edited(tmp_path, "fold-slice", lambda file: [file.__delitem__(key) for key in ("lambda", "dx")])
    refused(path, "how large a pixel is; set .* object_pixel_m")
    assert_as_written(read_scan(path, settings={"object_pixel_m": str(files.PIXEL_M)}), atol=1e-6)


def test_fold_slice_probe_of_a_mat_file_is_turned_back(tmp_path):
    files.write_fold_slice_mat(tmp_path / "a.mat")
    scan = read_scan(tmp_path / "a.mat")
    np.testing.assert_array_equal(scan.probe, files.probe()[None])
    assert_as_written(scan)


def test_fold_slice_result_gives_modes_object_and_positions(tmp_path):
    files.write_fold_slice_patterns(tmp_path / "a.h5")
    image = (np.arange(60 * 50).reshape(60, 50) * (1 + 2j)).astype(np.complex64)
    files.write_fold_slice_result(tmp_path / "b.mat", files.TINY, image)
    scan = read_scan(tmp_path / "a.h5", positions_file=tmp_path / "b.mat")
    np.testing.assert_array_equal(scan.probe, np.stack([files.probe(), files.probe() / 2]))
    np.testing.assert_array_equal(scan.object_guess, image)
    assert scan.geometry.energy_ev == pytest.approx(8000)


def test_fold_slice_positions_of_another_scan(tmp_path):
    path = edited(tmp_path, "fold-slice", lambda file: replace(file, "ppX", np.zeros(5)))
    refused(path, r"'ppX' has shape \(5,\), but there are 12 patterns")


def test_old_mat_file_says_how_to_save_it(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128))
    refused(tmp_path / "a.mat", "MATLAB file of version 7 or older: save it again with the option '-v7.3'")


def test_axes_of_another_format_are_refused(tmp_path):
    files.write_fold_slice(tmp_path / "a.h5")
    refused(tmp_path / "a.h5", "axes=yxn is not valid here; it is one of nyx, nxy", settings={"axes": "yxn"})
    path = files.write(tmp_path, "ptychopinn-npz")
    refused(path, "axes=nxy is not valid here; it is one of nyx, yxn", settings={"axes": "nxy"})


def test_ptychi_positions_beyond_the_patterns_are_left_out_and_counted(tmp_path):
    path = edited(tmp_path, "pty-chi", lambda file: replace(file, "dp", files.counts()[:9]))
    scan = read_scan(path)
    assert len(scan) == 9
    assert any("left out 3 positions" in sentence for sentence in scan.history)


# ptypy


def test_ptypy_weights_of_single_frames_leave_a_pixel_out_of_these(tmp_path):
    def edit(file):
        weights = np.ones(file["chunks/1/data"].shape)
        weights[2, 3, 4] = 0
        replace(file, "chunks/1/weights", weights)

    mask = read_scan(edited(tmp_path, "ptypy", edit)).mask
    assert [tuple(p) for p in np.argwhere(~mask[:])] == [(9, 3, 4)]  # 7 patterns are in the first chunk


@pytest.mark.parametrize("in_chunks", [False, True])
def test_ptypy_weights_for_all_frames(tmp_path, in_chunks):
    def edit(file):
        for chunk in "01":
            replace(file, f"chunks/{chunk}/weights", 1.0 - np.eye(16) if in_chunks else np.zeros(0))
        if not in_chunks:
            file["meta/weight2d"] = 1.0 - np.eye(16)

    np.testing.assert_array_equal(read_scan(edited(tmp_path, "ptypy", edit)).mask, ~np.eye(16, dtype=bool))


def test_ptypy_chunks_may_be_links_to_files_of_their_own(tmp_path):
    path = files.write(tmp_path, "ptypy")
    part = tmp_path / "a.ptyd.part001"
    with h5py.File(path, "a") as file, h5py.File(part, "w") as other:
        for key in file["chunks/1"]:
            file.copy(f"chunks/1/{key}", other)
        del file["chunks/1"]
        file["chunks/1"] = h5py.ExternalLink(part.name, "/")
    assert_as_written(read_scan(path))
    part.unlink()
    refused(path, r"'chunks/1/data' is a link to '/' in the file 'a.ptyd.part001', which is missing")


def test_ptypy_chunks_of_different_sizes(tmp_path):
    path = edited(tmp_path, "ptypy", lambda file: replace(file, "chunks/1/data", np.ones((5, 20, 20))))
    refused(path, r"patterns of 'chunks/1' are \(20, 20\) pixels and those of 'chunks/0' \(16, 16\)")


def test_ptypy_values_that_were_none_are_unknown(tmp_path):
    path = edited(tmp_path, "ptypy", lambda file: replace(file, "meta/energy", np.zeros(1)))
    refused(path, "how large a pixel is; set energy_ev")
    assert_as_written(read_scan(path, settings={"energy_ev": "8000"}))


def test_ptypy_optical_axis_off_the_centre_is_told(tmp_path):
    path = edited(tmp_path, "ptypy", lambda file: replace(file, "meta/center", [8.0, 10.5]))
    assert any("optical axis at pixel (8, 10.5)" in sentence for sentence in read_scan(path).history)


# NSLS-II


@pytest.mark.parametrize(("degrees", "factor"), [(15, 0.9659), (-15, 0.9659), (60, 0.8660), (-60, -0.8660)])
def test_nsls2_turned_sample_shortens_x(tmp_path, degrees, factor):
    path = edited(tmp_path, "nsls2", lambda file: replace(file, "angle", degrees))
    scan = read_scan(path)
    np.testing.assert_allclose(scan.positions, files.positions() * (1, factor), atol=1e-3)
    assert [a.value for a in scan.assumptions if a.key == "angle"] == ["correct"]
    assert_as_written(read_scan(path, settings={"angle": "ignore"}), atol=1e-3)


def test_nsls2_points_the_other_way_round(tmp_path):
    path = edited(tmp_path, "nsls2", lambda file: replace(file, "points", file["points"][()].T))
    np.testing.assert_allclose(read_scan(path).positions, read_scan(files.write(tmp_path, "nsls2")).positions)
    path = edited(tmp_path, "nsls2", lambda file: replace(file, "points", file["points"][()].repeat(3, axis=0)))
    refused(path, r"'points' has shape \(6, 12\), but there are 12 patterns; it must be \(2, 12\), x then y")


@pytest.mark.parametrize("angle", [np.nan, "fifteen"])
def test_an_angle_that_is_none_is_left_out_by_the_answer_that_is_named(tmp_path, angle):
    path = edited(tmp_path, "nsls2", lambda file: replace(file, "angle", angle))
    with pytest.raises(InputError, match="angle=ignore"):
        read_scan(path)
    assert_as_written(read_scan(path, settings={"angle": "ignore"}))
    turned = edited(tmp_path, "nsls2", lambda file: replace(file, "angle", "15"))
    assert "multiplied x by 0.9659 for the sample's angle of 15 degrees" in " ".join(read_scan(turned).history)


# All of them


@pytest.mark.parametrize("name", ["nsls2", "ptypy", "nexus"])
def test_positions_file_beside_a_format_that_has_its_own_is_refused(tmp_path, name):
    files.write_product(tmp_path / "b.h5")
    refused(files.write(tmp_path, name), "leave out", positions_file=tmp_path / "b.h5")


def test_pixel_size_that_cannot_be_is_refused(tmp_path):
    path = edited(tmp_path, "ptypy", lambda file: replace(file, "meta/distance", 1e-20))
    refused(path, "give an object pixel of .* which cannot be right; set energy_ev")


def test_value_that_float32_cannot_hold_is_found(tmp_path):
    def edit(file):
        file["diffamp"][3, 4, 5] = 1e200

    refused(edited(tmp_path, "nsls2", edit), "1 NaN, infinite or flagged values in 1 pixels of 1 patterns")


# NeXus positioners


@pytest.mark.parametrize("place", ["sample_1", "instrument_1"])
@pytest.mark.parametrize("named", [True, False])
def test_nexus_positions_may_be_positioners_whose_names_say_their_axes(tmp_path, place, named):
    def edit(file):
        for axis, name in enumerate(("horizontal", "vertical")):
            group = file.create_group(f"entry_1/{place}/positioner_{axis + 1 if named else 'xy'[axis]}")
            group.attrs["NX_class"] = "NXpositioner"
            if named:
                group["name"] = name
            group["raw_value"] = files.TINY.laboratory_m[:, axis] * 1e3
            group["raw_value"].attrs["units"] = "mm"
        del file["entry_1/sample_1/transformations"], file["entry_1/data/x"], file["entry_1/data/y"]

    assert_as_written(read_scan(edited(tmp_path, "nexus", edit)))


# NSLS-II files that leave the frames where the detector wrote them


def pointing(folder: Path, *, count: int = 2, upsample: float = 1) -> Path:
    """A file beside the detector's, of whose larger frames it takes a window, with a bad pixel (3, 4) in that."""
    m, top, left = files.TINY, 5, 2
    frames = np.full((len(m.counts), 30, 40), 999, np.uint16)
    frames[:, top : top + m.size, left : left + m.size] = m.counts
    frames[:, top + 3, left + 4] = 60000
    for k, piece in enumerate(np.array_split(frames, count)):
        with h5py.File(folder / f"raw_{k}.h5", "w") as raw:
            raw["entry/data/data"] = piece
    files.write_nsls2(folder / "scan_1.h5", m)
    with h5py.File(folder / "scan_1.h5", "a") as file:
        del file["diffamp"]
        file["ccd_pixel_um"][...] /= upsample
        raw = file.create_group("raw_data")
        raw["flag"], raw["upsample"], raw["threshold"] = True, upsample, 0.0
        raw["filename"] = [f"/gone/from/here/raw_{k}.h5" for k in range(count)]
        raw["roi"] = [[top, top + m.size], [left, left + m.size]]
        raw["badpixels"] = [[top + 3], [left + 4]]
    return folder / "scan_1.h5"


@pytest.mark.parametrize("upsample", [1, 2])
def test_nsls2_frames_in_the_detectors_files_are_cut_to_their_window(tmp_path, upsample):
    scan = read_scan(pointing(tmp_path, upsample=upsample))
    assert scan.source.format == "nsls2"
    assert [tuple(pixel) for pixel in np.argwhere(~scan.mask)] == [(3, 4)]
    np.testing.assert_array_equal(scan.patterns[:][:, scan.mask], files.counts()[:, scan.mask])
    moved = files.positions() - files.positions()[0]
    np.testing.assert_allclose(scan.positions - scan.positions[0], moved, atol=1e-9)
    assert scan.pixel_size_m == pytest.approx((files.PIXEL_M, files.PIXEL_M))
    assert not scan.patterns.in_memory


def test_nsls2_detectors_file_that_is_missing_is_named(tmp_path):
    path = pointing(tmp_path)
    (tmp_path / "raw_1.h5").unlink()
    refused(path, r"its patterns are in '/gone/from/here/raw_1\.h5', which is missing: put that file beside it")


def test_nsls2_window_beyond_the_frames_is_refused(tmp_path):
    path = pointing(tmp_path)
    with h5py.File(path, "a") as file:
        file["raw_data/roi"][0] = [20, 36]
    refused(path, r"'raw_data/roi' must be two pairs within the frames of \(30, 40\) pixels")


def test_nexus_mask_without_pixels_is_refused(tmp_path):
    path = edited(tmp_path, "nexus", lambda file: replace(file, f"{DETECTOR}/pixel_mask", np.zeros((16, 0), np.uint8)))
    refused(path, "pixel_mask' is empty: it holds no mask: set mask=ignore")
