from __future__ import annotations

import json
import resource
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import SCAN_WRITERS, write_scan
from ptycho_core.formats.writers.pattern_stream import counts_dtype
from ptycho_core.scan.scan import Geometry, Masks, Patterns, Scan
from ptycho_core.scan.survey import batches
from tests.helpers import scan_files as files

GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(55e-6, 75e-6))


def small_scan(**changes):
    rng = np.random.default_rng(0)
    fields = {
        "patterns": Patterns(rng.poisson(30, (12, 16, 16)).astype(np.float32)),
        "positions": rng.uniform(-40, 40, (12, 2)),
        "probe": (rng.normal(size=(1, 16, 16)) + 1j * rng.normal(size=(1, 16, 16))).astype(np.complex64),
        "mask": rng.random((16, 16)) > 0.1,
        "geometry": GEOMETRY,
        "history": ("simulated",),
    }
    return Scan(**{**fields, **changes})


def assert_same(back, scan, tolerance_px=1e-9):
    np.testing.assert_array_equal(back.patterns[:], scan.patterns[:])
    np.testing.assert_allclose(back.positions, scan.positions, rtol=0, atol=tolerance_px)


@pytest.mark.parametrize("format", SCAN_WRITERS)
@pytest.mark.parametrize("compress", [True, False])
def test_a_scan_reads_back_the_same(tmp_path, format, compress):
    scan = small_scan()
    back = read_scan(write_scan(scan, tmp_path / "scan.data", format, compress=compress))
    assert_same(back, scan)
    np.testing.assert_array_equal(back.probe, scan.probe)
    np.testing.assert_array_equal(back.mask, scan.mask)
    assert back.pixel_size_m == pytest.approx(scan.pixel_size_m, rel=1e-12)


@pytest.mark.parametrize("format", SCAN_WRITERS)
@pytest.mark.parametrize("compress", [True, False])
def test_masks_of_single_patterns_read_back_the_same(tmp_path, format, compress, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 5000)
    good = np.random.default_rng(1).random((12, 16, 16)) > 0.1
    scan = small_scan(mask=Masks(good))
    back = read_scan(write_scan(scan, tmp_path / "scan.data", format, compress=compress))
    assert_same(back, scan)
    np.testing.assert_array_equal(back.mask[:], good)


@pytest.mark.parametrize("format", SCAN_WRITERS)
@pytest.mark.parametrize("geometry", [Geometry(), Geometry(object_pixel_m=(5e-9, 6e-9)), Geometry(energy_ev=8000.0)])
def test_positions_survive_without_a_geometry_that_tells_the_pixel_size(tmp_path, format, geometry):
    scan = small_scan(geometry=geometry)
    back = read_scan(write_scan(scan, tmp_path / "scan.data", format))
    assert_same(back, scan)
    assert back.pixel_size_m == scan.pixel_size_m
    assert back.geometry.energy_ev == scan.geometry.energy_ev


@pytest.mark.parametrize("format", SCAN_WRITERS)
def test_what_a_scan_lacks_is_left_out_and_not_made_up(tmp_path, format):
    scan = small_scan(probe=None, mask=None)
    back = read_scan(write_scan(scan, tmp_path / "scan.data", format))
    assert_same(back, scan)
    assert back.probe is None
    assert back.mask is None


@pytest.mark.parametrize("format", SCAN_WRITERS)
def test_the_measured_scan_survives_exactly(tmp_path, format, real_scan_path):
    scan = read_scan(real_scan_path).take(np.arange(0, 516, 20))
    back = read_scan(write_scan(scan, tmp_path / "scan.data", format))
    assert_same(back, scan)


@pytest.mark.parametrize(
    ("counts", "dtype"),
    [
        ([0, 254], np.uint8),
        ([0, 255], np.uint16),
        ([0, 65534], np.uint16),
        ([0, 65535], np.uint32),
        ([0.5, 3], np.float32),
    ],
)
def test_cxi_counts_are_the_smallest_unsigned_integers_that_hold_them(tmp_path, counts, dtype):
    patterns = np.zeros((2, 4, 4), np.float32)
    patterns[:, 0, 0] = counts
    scan = small_scan(patterns=Patterns(patterns), positions=np.zeros((2, 2)), probe=None, mask=None)
    with h5py.File(write_scan(scan, tmp_path / "a.cxi", "cxi")) as file:
        assert file["entry_1/data_1/data"].dtype == dtype
        np.testing.assert_array_equal(file["entry_1/data_1/data"], patterns)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, 1e30])
def test_counts_that_no_integer_holds_stay_floats(value):
    assert counts_dtype(Patterns(np.full((1, 2, 2), value, np.float32))) == np.float32


def test_cxi_follows_the_specification(tmp_path):
    scan = small_scan()
    with h5py.File(write_scan(scan, tmp_path / "a.cxi", "cxi")) as file:
        assert file["cxi_version"][()] == 160
        detector = file["entry_1/instrument_1/detector_1"]
        assert file["entry_1/data_1/data"] == detector["data"]
        assert detector["data"].compression == "gzip"
        np.testing.assert_array_equal(detector["basis_vectors"], [[0, -55e-6, 0], [-75e-6, 0, 0]])
        np.testing.assert_allclose(detector["corner_position"], [8.5 * 75e-6, 8.5 * 55e-6, 2.0])
        np.testing.assert_array_equal(detector["mask"][()] == 0, scan.mask)
        energy = file["entry_1/instrument_1/source_1/energy"][()]
        assert energy == pytest.approx(8000 * 1.602176634e-19)
        dy = 6.62607015e-34 * 299792458 / energy * 2.0 / (16 * 55e-6)
        dx = 6.62607015e-34 * 299792458 / energy * 2.0 / (16 * 75e-6)
        translation = file["entry_1/sample_1/geometry_1/translation"]
        assert translation.attrs["units"] == "m"
        # Rows run along -y, columns along -x, and the probe moves against the sample: two signs that cancel.
        np.testing.assert_allclose(translation[:, 1], scan.positions[:, 0] * dy, rtol=1e-7)
        np.testing.assert_allclose(translation[:, 0], scan.positions[:, 1] * dx, rtol=1e-7)
        np.testing.assert_array_equal(translation[:, 2], 0)


def test_cxi_without_a_geometry_says_that_the_translation_is_in_pixels(tmp_path):
    scan = small_scan(geometry=Geometry(energy_ev=8000.0, object_pixel_m=(5e-9, 6e-9)))
    with h5py.File(write_scan(scan, tmp_path / "a.cxi", "cxi")) as file:
        translation = file["entry_1/sample_1/geometry_1/translation"]
        assert translation.attrs["units"] == "pixel"
        assert tuple(translation.attrs["object_pixel_m"]) == (5e-9, 6e-9)
        np.testing.assert_array_equal(translation[:, :2], scan.positions[:, ::-1])
        assert "distance" not in file["entry_1/instrument_1/detector_1"]


def test_the_npz_has_ptychopinns_keys_and_needs_no_pickle(tmp_path):
    scan = small_scan(object_guess=np.ones((90, 90), np.complex64))
    path = write_scan(scan, tmp_path / "a.npz", "ptychopinn")
    with np.load(path, allow_pickle=False) as file:
        assert file["diff3d"].dtype == np.float32
        np.testing.assert_array_equal(file["diff3d"], np.sqrt(scan.patterns[:]))
        np.testing.assert_array_equal(file["xcoords"], scan.positions[:, 1])
        np.testing.assert_array_equal(file["ycoords"], scan.positions[:, 0])
        np.testing.assert_array_equal(file["xcoords_start"], file["xcoords"])
        np.testing.assert_array_equal(file["ycoords_start"], file["ycoords"])
        np.testing.assert_array_equal(file["probeGuess"], scan.probe[0])
        np.testing.assert_array_equal(file["objectGuess"], scan.object_guess)
        np.testing.assert_array_equal(file["scan_index"], np.zeros(12, np.int64))
        metadata = json.loads(str(file["_metadata"]))
        assert metadata["additional_parameters"]["energy_ev"] == 8000.0
        assert metadata["data_transformations"] == [{"tool": "ptycho", "operation": "simulated"}]


def test_training_data_of_ptychopinn_go_in_and_out_unchanged(tmp_path):
    given = files.ptychopinn_arrays()
    scan = read_scan(files.npz(tmp_path / "in.npz", **given))
    np.testing.assert_array_equal(scan.patterns[:], files.counts())
    with np.load(write_scan(scan, tmp_path / "out.npz", "ptychopinn")) as written:
        for key, value in given.items():
            np.testing.assert_array_equal(written[key], value)
            assert written[key].dtype == np.asarray(value).dtype
        for axis in "xy":
            np.testing.assert_array_equal(written[f"{axis}coords_start"], given[f"{axis}coords"])


def test_what_ptychopinn_saves_as_none_is_missing(tmp_path):
    nothing = dict.fromkeys(("objectGuess", "probeGuess", "scan_index"))
    np.savez(tmp_path / "a.npz", **{**files.ptychopinn_arrays(), **nothing})
    scan = read_scan(tmp_path / "a.npz")
    assert scan.object_guess is None
    assert scan.probe is None
    assert len(scan) == files.N_PATTERNS


def test_several_probe_modes_keep_their_axis(tmp_path):
    scan = small_scan(probe=np.ones((3, 16, 16), np.complex64))
    with np.load(write_scan(scan, tmp_path / "a.npz", "ptychopinn")) as file:
        assert file["probeGuess"].shape == (3, 16, 16)


def test_an_uncompressed_npz_can_be_mapped_into_memory_aligned(tmp_path):
    scan = small_scan()
    path = write_scan(scan, tmp_path / "a.npz", "ptychopinn", compress=False)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("diff3d.npy")
        assert info.compress_type == zipfile.ZIP_STORED
        with archive.open(info) as member:
            np.lib.format.read_magic(member)
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            header = member.tell()
    local = path.read_bytes()[info.header_offset : info.header_offset + 30]
    start = info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    mapped = np.memmap(path, dtype, "r", start + header, shape)
    assert mapped.flags.aligned
    np.testing.assert_array_equal(mapped, np.sqrt(scan.patterns[:]))


class EndlessZeros:
    """64 MB of patterns that exist only when asked for."""

    shape = (1000, 128, 128)
    dtype = np.dtype(np.uint8)

    def __getitem__(self, index):
        return np.zeros((len(range(1000)[index]), 128, 128), np.uint8)


@pytest.mark.parametrize("format", SCAN_WRITERS)
def test_patterns_are_streamed_and_never_all_in_memory(tmp_path, format, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 2**20)
    scan = small_scan(patterns=Patterns(EndlessZeros()), positions=np.zeros((1000, 2)), probe=None, mask=None)
    tracemalloc.start()
    try:
        write_scan(scan, tmp_path / "scan.data", format)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


def test_batches_cover_all_patterns_in_order_and_stay_small(monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 5 * 4 * 256)
    patterns = small_scan().patterns
    parts = list(batches(patterns))
    assert [len(counts) for _, counts in parts] == [5, 5, 2]
    assert [places.start for places, _ in parts] == [0, 5, 10]
    np.testing.assert_array_equal(np.concatenate([counts for _, counts in parts]), patterns[:])


@pytest.mark.parametrize("format", SCAN_WRITERS)
def test_a_full_disk_leaves_the_old_scan(tmp_path, format):
    path = write_scan(small_scan(), tmp_path / "scan.data", format)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(PtychoError, match=r"^cannot write .*scan\.data: File too large; "):
            write_scan(small_scan(), path, format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.data"]


def test_an_unknown_format_and_an_empty_scan_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no scan format 'tiff' to write; there are cxi, ptychopinn"):
        write_scan(small_scan(), tmp_path / "a", "tiff")
    with pytest.raises(InputError, match="without patterns"):
        write_scan(small_scan().take(np.zeros(0, int)), tmp_path / "a", "cxi")


@pytest.mark.parametrize(("name", "format"), [("a.cxi", "cxi"), ("a.NPZ", "ptychopinn-npz")])
def test_without_a_format_the_ending_of_the_path_says_which(tmp_path, name, format):
    assert read_scan(write_scan(small_scan(), tmp_path / name)).source.format == format
    with pytest.raises(InputError, match=r"a\.h5 must end in \.npz or \.cxi"):
        write_scan(small_scan(), tmp_path / "a.h5")
