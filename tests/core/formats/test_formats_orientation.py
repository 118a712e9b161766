"""A letter F, which no turn or mirror leaves as it is, comes back upright and at the right size from every format.

The letter is measured in NumPy, written in each format's conventions by `scan_files`, and read as the scan that was
measured; that scan is reconstructed by the direct engine from a guessed probe or the file's, and exported. Below that,
one test for each convention that formats differ in: whatever the file's is, the scan is the one that was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from skimage.feature import match_template

from ptycho_core.base.config import Config
from ptycho_core.base.errors import TrainingError
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.training import train
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import export
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation.forward import intensities
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES, ON_A_GRID

SIZE = 32
HEIGHT, WIDTH, STROKE, MARGIN = 30, 20, 5, 4
UPRIGHT = "upright"


def letter() -> np.ndarray:
    """(38, 28) bool: an F with a margin."""
    image = np.zeros((HEIGHT, WIDTH), bool)
    image[:, :STROKE] = image[:STROKE] = True
    image[12 : 12 + STROKE, :14] = True
    return np.pad(image, MARGIN)


@pytest.fixture(scope="module")
def measurement() -> files.Measurement:
    """42 patterns of an F that absorbs and delays, and of a round, defocused probe."""
    thickness = np.zeros((72, 72))
    thickness[18:56, 24:52] = letter()
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(7) * 6.0, np.arange(6) * 7.0, indexing="ij"), axis=-1).reshape(-1, 2)
    positions = grid + rng.uniform(-1, 1, grid.shape) + 18
    r2 = np.add.outer((np.arange(SIZE) - SIZE // 2) ** 2, (np.arange(SIZE) - SIZE // 2) ** 2)
    probe = np.exp((-0.02 + 0.03j) * r2)
    probe *= np.sqrt(4e5 / (abs(probe) ** 2).sum())
    counts = rng.poisson(intensities(np.exp((-0.3 - 0.9j) * thickness), probe[None], positions)).astype(np.uint16)
    return files.Measurement(counts, positions, probe.astype(np.complex64), columns=6)


def export_pictures(scan: Scan, folder: Path) -> tuple[np.ndarray, float]:
    """Reconstruct and export; return the phase (H, W) out of its TIFF, and the pixel size in metres out of its tags."""
    config = Config(engine="direct", max_epochs=8, batch_size=8, quiet=True, accelerator="cpu", probe_search=False)
    train(config, scan, folder)
    reconstruction = reconstruct(
        scan, folder / "checkpoints" / "last.ckpt", accelerator="cpu", halves=False, final_pass=False
    )
    export(reconstruction, folder / "pictures", "tiff")
    with tifffile.TiffFile(folder / "pictures" / "phase.tif") as tiff:
        pixels, micrometres = tiff.pages[0].tags["XResolution"].value
        return tiff.asarray(), 1e-6 * micrometres / pixels


def orientation_of(phase: np.ndarray) -> tuple[str, float]:
    """Return in which of its eight orientations the letter is best found, and the correlation there."""
    turned = {f"{quarters} quarter turns": np.rot90(letter(), quarters) for quarters in range(4)}
    turned |= {f"mirrored, {name}": np.fliplr(image) for name, image in turned.items()}
    turned[UPRIGHT] = turned.pop("0 quarter turns")
    found = {name: match_template(-phase, image.astype(float)).max() for name, image in turned.items()}
    best = max(found, key=lambda name: found[name])
    return best, found[best]


def in_one_file(name: str) -> Callable[[Path, files.Measurement], Scan]:
    def read(folder: Path, m: files.Measurement) -> Scan:
        settings = {} if name in files.HDF5 else {"object_pixel_m": str(m.pixel_m)}
        return read_scan(files.write(folder, name, m), settings=settings)

    return read


def in_two_files(patterns: Callable[..., None], others: Callable[..., None]) -> Callable[..., Scan]:
    def read(folder: Path, m: files.Measurement) -> Scan:
        patterns(folder / "a.h5", m)
        others(folder / "b.h5", m)
        return read_scan(folder / "a.h5", positions_file=folder / "b.h5")

    return read


def fold_slice_mat(folder: Path, m: files.Measurement) -> Scan:
    files.write_fold_slice_mat(folder / "a.mat", m)
    return read_scan(folder / "a.mat")


def fold_slice_result(folder: Path, m: files.Measurement) -> Scan:
    files.write_fold_slice_patterns(folder / "a.h5", m)
    files.write_fold_slice_result(folder / "b.mat", m, np.ones((80, 76), np.complex64))
    return read_scan(folder / "a.h5", positions_file=folder / "b.mat")


def mapped_raster(folder: Path, m: files.Measurement) -> Scan:
    """A laboratory's own layout: motors of the sample, y up, wavelength, MATLAB's order of axes, DC in the corner."""
    with h5py.File(folder / "a.h5", "w") as file:
        frames = np.fft.fftshift(np.swapaxes(m.counts, 1, 2), axes=(1, 2))
        file["lab/frames"] = frames.reshape(-1, m.columns, m.size, m.size)
        file["lab/right"], file["lab/up"] = (axis.reshape(-1, m.columns) * 1e6 for axis in m.sample_m.T)
        file["lab/wavelength"] = 12398.4198 / files.ENERGY_EV
    body = {
        "version": 1,
        "patterns": "lab/frames",
        "positions": {
            "y": {"key": "lab/up", "unit": "um"},
            "x": {"key": "lab/right", "unit": "um", "multiplier": -1},
        },
        "energy": {"key": "lab/wavelength", "unit": "angstrom"},
        "distance": {"value": files.DISTANCE_M, "unit": "m"},
        "detector_pixel": {"value": files.PITCH_M * 1e6, "unit": "um"},
        "settings": {"axes": "nxy"},
    }
    return read_scan(folder / "a.h5", mapping=Mapping.from_dict(body))


def mapped_with_table(folder: Path, m: files.Measurement) -> Scan:
    """Patterns in one file, and in another a table of the sample's motors, in another order."""
    with h5py.File(folder / "a.h5", "w") as file:
        file["frames"] = m.counts
    order = np.random.default_rng(3).permutation(len(m.counts))
    right, up = m.sample_m.T * 1e9
    rows = [f"{i};{right[i]:.17g};{up[i]:.17g}" for i in order]
    (folder / "p.csv").write_text("\n".join(["frame;right;up", *rows]))
    body = {
        "version": 1,
        "patterns": "frames",
        "positions": {
            "y": {"key": "up", "unit": "nm"},
            "x": {"key": "right", "unit": "nm", "multiplier": -1},
            "index": "frame",
            "separate_file": True,
        },
        "object_pixel": {"value": m.pixel_m * 1e9, "unit": "nm"},
    }
    return read_scan(folder / "a.h5", positions_file=folder / "p.csv", mapping=Mapping.from_dict(body))


def of_beamline(name: str) -> Callable[[Path, files.Measurement], Scan]:
    def read(folder: Path, m: files.Measurement) -> Scan:
        path, positions = BEAMLINES[name].write(folder, m)
        return read_scan(path, positions_file=positions, settings=BEAMLINES[name].answers)

    return read


LAYOUTS = {name: in_one_file(name) for name in files.WRITERS} | {
    **{name: of_beamline(name) for name in BEAMLINES if name not in ON_A_GRID},
    "ptychodus in two files": in_two_files(files.write_ptychodus_patterns, files.write_product),
    "pty-chi in two files": in_two_files(files.write_ptychi_patterns, files.write_ptychi_metadata),
    "fold-slice in two files": in_two_files(files.write_fold_slice_patterns, files.write_fold_slice_parameters),
    "fold-slice .mat": fold_slice_mat,
    "fold-slice with a result .mat": fold_slice_result,
    "mapped raster": mapped_raster,
    "mapped, with a table of positions": mapped_with_table,
}


def assert_as_measured(scan: Scan, m: files.Measurement) -> None:
    good = np.ones((m.size, m.size), bool) if scan.mask is None else scan.mask
    np.testing.assert_allclose(scan.patterns[:][:, good], m.counts[:, good], rtol=1e-5)
    atol = 0.02 if scan.source.format == "aps-velociprobe" else 1e-6  # its table holds whole nanometres
    np.testing.assert_allclose(scan.positions - scan.positions[0], m.positions - m.positions[0], atol=atol)
    assert scan.pixel_size_m == pytest.approx((m.pixel_m, m.pixel_m))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_as_the_scan_that_was_measured(tmp_path, measurement, layout):
    assert_as_measured(LAYOUTS[layout](tmp_path, measurement), measurement)


@pytest.mark.parametrize("layout", ["cxi", "plain-npz", "mapped raster", "aps-velociprobe"])
def test_letter_comes_back_upright_and_at_the_right_size(tmp_path, measurement, layout):
    scan = LAYOUTS[layout](tmp_path, measurement)
    phase, pixel_m = export_pictures(scan, tmp_path / "run")
    orientation, correlation = orientation_of(phase)
    assert orientation == UPRIGHT
    assert correlation > 0.75
    assert pixel_m == pytest.approx(measurement.pixel_m, rel=1e-4)


@pytest.mark.parametrize("orientation", ["-y+x", "-y-x", "+x+y"])
def test_letter_does_not_come_back_upright_from_positions_that_are_turned(tmp_path, measurement, orientation):
    scan = read_scan(files.write(tmp_path, "plain-npz", measurement), settings={"orientation": orientation})
    try:
        picture = export_pictures(scan.replace(probe=None), tmp_path / "run")[0]
    except TrainingError:  # no picture came of it, and says why
        return
    found, correlation = orientation_of(picture)
    assert found != UPRIGHT or correlation < 0.6


# One test for each convention


def edited(folder: Path, name: str, m: files.Measurement, edit: Callable[[h5py.File], None]) -> Path:
    path = files.write(folder, name, m)
    with h5py.File(path, "a") as file:
        edit(file)
    return path


def test_sample_moves_or_beam_moves(tmp_path, measurement):
    m = measurement
    # CXI has the sample's translation, ptypy the beam's place on the sample.
    assert_as_measured(read_scan(files.write(tmp_path, "cxi", m)), m)
    assert_as_measured(read_scan(files.write(tmp_path, "ptypy", m)), m)
    path = files.npz(tmp_path / "a.npz", patterns=m.counts, positions=-m.positions)
    assert_as_measured(read_scan(path, settings={"orientation": "-y-x", "object_pixel_m": str(m.pixel_m)}), m)


def test_y_up_or_down(tmp_path, measurement):
    m = measurement

    def read_from_the_bottom(file: h5py.File) -> None:
        detector = file["entry_1/instrument_1/detector_1"]
        detector["data"][...] = m.counts[:, ::-1]
        detector["basis_vectors"] = np.array([[0, files.PITCH_M, 0], [-files.PITCH_M, 0, 0]])

    up = read_scan(edited(tmp_path, "cxi", m, read_from_the_bottom))
    np.testing.assert_array_equal(up.patterns[:], m.counts[:, ::-1])
    np.testing.assert_allclose(up.positions, m.positions * (-1, 1))  # rows grow upwards, on detector and sample alike
    path = files.npz(tmp_path / "a.npz", patterns=m.counts, positions=m.positions * (-1, 1))
    assert_as_measured(read_scan(path, settings={"orientation": "-y+x", "object_pixel_m": str(m.pixel_m)}), m)


@pytest.mark.parametrize("name", files.HDF5)
def test_dc_in_the_centre_or_in_the_corner(tmp_path, measurement, name):
    keys = {
        "ptychodus": "patterns",
        "pty-chi": "dp",
        "fold-slice": "dp",
        "nsls2": "diffamp",
        "cxi": "entry_1/instrument_1/detector_1/data",
        "nexus": "entry_1/instrument_1/detector_1/data",
        "ptypy": "chunks/0/data",
    }

    def shift(file: h5py.File) -> None:
        for key in (keys[name], "chunks/1/data"):
            if key in file:
                file[key][...] = np.fft.fftshift(file[key][()], axes=(-2, -1))

    assert_as_measured(read_scan(edited(tmp_path, name, measurement, shift)), measurement)


@pytest.mark.parametrize("name", [name for name in files.HDF5 if name != "ptypy"])
def test_amplitude_or_counts(tmp_path, measurement, name):
    m = measurement
    amplitudes = files.Measurement(np.sqrt(m.counts.astype(np.float64)), m.positions, m.probe, m.columns)
    if name == "nsls2":
        amplitudes = files.Measurement(m.counts.astype(np.float64) ** 2, m.positions, m.probe, m.columns)
        # Its writer takes the square root, which leaves counts in the file.
    assert_as_measured(read_scan(files.write(tmp_path, name, amplitudes)), m)


@pytest.mark.parametrize(
    ("unit", "per_ev"), [("J", files.JOULE_PER_EV), ("eV", 1), ("keV", 1e-3), (None, 1), (None, 1e-3)]
)
def test_joule_or_electronvolt(tmp_path, measurement, unit, per_ev):
    def change(file: h5py.File) -> None:
        energy = file["entry_1/instrument_1/beam_1/incident_beam_energy"]
        energy[()] = files.ENERGY_EV * per_ev
        del energy.attrs["units"]
        if unit is not None:
            energy.attrs["units"] = unit

    assert_as_measured(read_scan(edited(tmp_path, "nexus", measurement, change)), measurement)
    # CXI's joule, ptypy's keV and ptychodus' eV are in the golden test.


@pytest.mark.parametrize(("of_patterns", "of_positions"), [(0, 0), (1, 1), (0, 1), (1, 0)])
def test_indexes_that_count_from_0_or_from_1(tmp_path, measurement, of_patterns, of_positions):
    n = np.arange(len(measurement.counts))

    def renumber(file: h5py.File) -> None:
        file["indexes"][...], file["probe_position_indexes"][...] = n + of_patterns, n + of_positions

    path = edited(tmp_path, "ptychodus", measurement, renumber)
    scan = read_scan(path)
    assert_as_measured(scan, measurement)
    assert [a.value for a in scan.assumptions if a.key == "pairing"] == ["order"] * (of_patterns != of_positions)
    if of_patterns != of_positions:
        assert len(read_scan(path, settings={"pairing": "value"})) == len(n) - 1


def test_windows_that_count_rows_from_1(tmp_path, measurement):
    m = measurement
    canvas = np.zeros((84, 79), np.complex64)
    files.write_fold_slice_patterns(tmp_path / "a.h5", m)
    files.write_fold_slice_result(tmp_path / "b.mat", m, canvas)
    scan = read_scan(tmp_path / "a.h5", positions_file=tmp_path / "b.mat")
    assert scan.object_guess.shape == canvas.shape
    np.testing.assert_allclose(scan.positions, m.positions, atol=1e-9)


@pytest.mark.parametrize("told_by", ["MATLAB_class", "columns", "operator"])
def test_transposed_arrays(tmp_path, measurement, told_by):
    m = measurement

    def transpose(file: h5py.File) -> None:
        file["dp"][...] = np.swapaxes(m.counts, 1, 2)
        if told_by == "MATLAB_class":
            file["dp"].attrs["MATLAB_class"] = np.bytes_("double")
        if told_by == "columns":
            for key in ("ppX", "ppY"):
                values = file[key][()]
                del file[key]
                file[key] = values[None]

    path = edited(tmp_path, "fold-slice", m, transpose)
    scan = read_scan(path, settings={"axes": "nxy"} if told_by == "operator" else {})
    assert_as_measured(scan, m)
    assert [a.value for a in scan.assumptions if a.key == "axes"] == ["nxy"]


@pytest.mark.parametrize("by", ["python", "matlab"])
def test_a_column_of_positions_leaves_open_who_wrote_it_and_is_asked_about(tmp_path, measurement, by):
    m = measurement

    def stand_up(file: h5py.File) -> None:
        if by == "matlab":
            file["dp"][...] = np.swapaxes(m.counts, 1, 2)
        for key in ("ppX", "ppY"):
            values = file[key][()]
            del file[key]
            file[key] = values[:, None]

    path = edited(tmp_path, "fold-slice", m, stand_up)
    axes = {"python": "nyx", "matlab": "nxy"}[by]
    assert [(one.key, one.value) for one in read_scan(path).assumptions if one.doubtful] == [("axes", "nyx")]
    (told,) = [one for one in inspect(read_scan(path)).problems if one.field == "axes"]
    assert [(fix.field, fix.value) for fix in told.fixes] == [("axes", "nyx"), ("axes", "nxy")]
    scan = read_scan(path, settings={"axes": axes})
    assert_as_measured(scan, m)
    assert not [one for one in scan.assumptions if one.doubtful]


def test_patterns_that_are_turned_by_a_quarter(tmp_path, measurement):
    scan = read_scan(files.write(tmp_path, "nsls2", measurement))
    assert_as_measured(scan, measurement)
    assert "turned the patterns back by 90 degrees" in scan.history
