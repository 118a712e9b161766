"""Tiny scan files of each format, written with numpy and h5py by the formats' own descriptions.

Each writer takes one and the same `Measurement` into its format's conventions, independently of the readers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

N_PATTERNS, SIZE = 12, 16
ENERGY_EV, DISTANCE_M, PITCH_M = 8000.0, 2.0, 75e-6
PIXEL_M = 1.23984198e-6 / ENERGY_EV * DISTANCE_M / (SIZE * PITCH_M)
JOULE_PER_EV = 1.602176634e-19


def counts(n: int = N_PATTERNS, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """(n, height, width) uint16 with most counts in the centre; every pattern and every pixel differs from others."""
    y, x = np.arange(height)[:, None] - height // 2, np.arange(width) - width // 2
    mean = 400 * np.exp(-(y**2 + 2 * x**2) / 18) + 1
    return np.random.default_rng(1).poisson(mean, (n, height, width)).astype(np.uint16)


def positions(n: int = N_PATTERNS) -> np.ndarray:
    """(n, 2) (y, x) pixels on a jittered grid of 4 columns, 5 px apart."""
    grid = np.stack([np.arange(n) // 4 * 5.0, np.arange(n) % 4 * 5.0], axis=1)
    return grid + np.random.default_rng(2).uniform(-0.5, 0.5, (n, 2))


def probe(size: int = SIZE) -> np.ndarray:
    """(size, size) complex64."""
    r = np.arange(size) - size // 2
    return (np.exp(-(r[:, None] ** 2 + r**2) / 16) * np.exp(0.1j * r)).astype(np.complex64)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured, seen along the beam: rows run down and columns to the right, on detector and sample alike.

    ``counts`` (n, N, N) with DC at (N//2, N//2); ``positions`` (n, 2) in object pixels, (y, x) of the probe's centre
    on the sample, line by line with ``columns`` in each line; ``probe`` (N, N).
    """

    counts: np.ndarray
    positions: np.ndarray
    probe: np.ndarray
    columns: int

    @property
    def size(self) -> int:
        return self.counts.shape[-1]

    @property
    def pixel_m(self) -> float:
        return 1.23984198e-6 / ENERGY_EV * DISTANCE_M / (self.size * PITCH_M)

    @property
    def sample_m(self) -> np.ndarray:
        """(n, 2): how far right and up the sample went. It goes left when the beam goes right on it, and so on."""
        down, right = self.positions.T * self.pixel_m
        return np.stack([-right, down], axis=1)

    @property
    def laboratory_m(self) -> np.ndarray:
        """(n, 3) translation of the sample in the frame of CXI and NeXus: y up, x to the left looking downstream."""
        right, up = self.sample_m.T
        return np.stack([-right, up, np.zeros(len(up))], axis=1)


TINY = Measurement(counts(), positions(), probe(), columns=4)


def ptychopinn_arrays(m: Measurement = TINY) -> dict[str, Any]:
    """Arrays of a PtychoPINN NPZ, as amplitudes."""
    return {
        "diff3d": np.sqrt(m.counts.astype(np.float32)),
        "xcoords": m.positions[:, 1],
        "ycoords": m.positions[:, 0],
        "probeGuess": m.probe,
        "objectGuess": np.ones((40, 40), np.complex64),
        "scan_index": np.zeros(len(m.counts), np.int64),
    }


def plain_arrays(m: Measurement = TINY) -> dict[str, Any]:
    """Arrays of a plain NPZ."""
    return {"patterns": m.counts, "positions": m.positions, "probe": m.probe}


def product_arrays(m: Measurement = TINY) -> dict[str, Any]:
    """Members of a ptychodus product NPZ; those with a prefix are attributes in HDF5."""
    return {
        "name": np.array("tiny"),
        "detector_object_distance_m": np.array(DISTANCE_M),
        "probe_energy_eV": np.array(ENERGY_EV),
        "probe": m.probe[None, None],
        "probe_pixel_width_m": np.array(m.pixel_m),
        "probe_pixel_height_m": np.array(m.pixel_m),
        "object": np.ones((1, 40, 44), np.complex64),
        "object_pixel_width_m": np.array(m.pixel_m),
        "object_pixel_height_m": np.array(m.pixel_m),
        "object_center_x_m": np.array(3 * m.pixel_m),
        "object_center_y_m": np.array(-2 * m.pixel_m),
        "probe_position_indexes": np.arange(len(m.counts)),
        "probe_position_y_m": m.positions[:, 0] * m.pixel_m,
        "probe_position_x_m": m.positions[:, 1] * m.pixel_m,
    }


def write_ptychopinn(path: Path, m: Measurement = TINY) -> None:
    """A PtychoPINN NPZ, compressed."""
    np.savez_compressed(path, **ptychopinn_arrays(m))


def write_plain(path: Path, m: Measurement = TINY) -> None:
    """A plain NPZ, not compressed."""
    np.savez(path, **plain_arrays(m))


def write_product(path: Path, m: Measurement = TINY) -> None:
    """A ptychodus product as HDF5."""
    arrays = product_arrays(m)
    with h5py.File(path, "w") as file:
        for key in ("name", "detector_object_distance_m", "probe_energy_eV"):
            file.attrs[key] = arrays[key].item()
        for key in ("probe", "object", "probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
            file[key] = arrays[key]
        for key in ("probe", "object"):
            for side in ("width", "height"):
                file[key].attrs[f"pixel_{side}_m"] = m.pixel_m
        for axis in "xy":
            file["object"].attrs[f"center_{axis}_m"] = arrays[f"object_center_{axis}_m"]


def write_ptychodus_patterns(path: Path, m: Measurement = TINY, mode: str = "w") -> None:
    """The patterns of ptychodus."""
    with h5py.File(path, mode) as file:
        file["patterns"] = m.counts
        file["indexes"] = np.arange(len(m.counts))
        file["bad_pixels"] = np.zeros((m.size, m.size), bool)


def write_ptychodus(path: Path, m: Measurement = TINY) -> None:
    """A product and its patterns in one HDF5 file."""
    write_product(path, m)
    write_ptychodus_patterns(path, m, "a")


def write_ptychi_patterns(path: Path, m: Measurement = TINY, mode: str = "w") -> None:
    """The patterns of pty-chi's test data; its ``tests/test_utils.py`` reads nothing else from that file."""
    with h5py.File(path, mode) as file:
        file["dp"] = m.counts.astype(np.float32)


def write_ptychi_metadata(path: Path, m: Measurement = TINY) -> None:
    """Positions in metres from the middle of the object, and the probe, as pty-chi's tests read them."""
    with h5py.File(path, "w") as file:
        file["probe"] = m.probe[None]
        file["object"] = np.ones((1, 40, 44), np.complex64)
        file["object"].attrs["pixel_height_m"] = file["object"].attrs["pixel_width_m"] = m.pixel_m
        file["probe_position_y_m"], file["probe_position_x_m"] = m.positions.T * m.pixel_m


def write_ptychi(path: Path, m: Measurement = TINY) -> None:
    """Both in one file."""
    write_ptychi_metadata(path, m)
    write_ptychi_patterns(path, m, "a")


def write_cxi(path: Path, m: Measurement = TINY) -> None:
    """A CXI 1.6 file with the default orientation, whose positions are `positions`."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector.create_dataset("data", data=m.counts, chunks=(1, m.size, m.size), compression="gzip")
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = DISTANCE_M, PITCH_M, PITCH_M
        detector["mask"] = np.zeros((m.size, m.size), np.uint32)
        file["entry_1/instrument_1/source_1/energy"] = ENERGY_EV * JOULE_PER_EV
        file["entry_1/instrument_1/source_1/illumination"] = m.probe
        file["entry_1/sample_1/geometry_1/translation"] = m.laboratory_m
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")


def write_nexus(path: Path, m: Measurement = TINY) -> None:
    """NXcxi_ptycho of a raster: patterns with four axes, motors in micrometres, the machine's energy and the beam's."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry_1")
        entry.attrs["NX_class"], entry["definition"] = "NXentry", np.bytes_("NXptycho")
        instrument, sample = entry.create_group("instrument_1"), entry.create_group("sample_1/transformations")
        for key, value, unit in (
            ("source_1/energy", 3.0, "GeV"),
            ("beam_1/incident_beam_energy", ENERGY_EV / 1000, "keV"),
            ("detector_1/distance", DISTANCE_M * 1000, "mm"),
            ("detector_1/x_pixel_size", PITCH_M * 1e6, "um"),
            ("detector_1/y_pixel_size", PITCH_M * 1e6, "um"),
        ):
            instrument[key] = value
            instrument[key].attrs["units"] = unit
        shape = (-1, m.columns)
        detector = instrument["detector_1"]
        detector["data"] = m.counts.reshape(*shape, m.size, m.size)
        detector["pixel_mask"] = np.zeros((m.size, m.size), np.uint8)
        for axis, name in enumerate("xy"):
            sample[name] = m.laboratory_m[:, axis].reshape(shape) * 1e6
            sample[name].attrs["units"], sample[name].attrs["vector"] = "um", np.eye(3)[axis]
        data = entry.create_group("data")
        data.attrs["signal"] = "data"
        for name in ("instrument_1/detector_1/data", "sample_1/transformations/x", "sample_1/transformations/y"):
            data[name.rsplit("/")[-1]] = h5py.SoftLink(f"/entry_1/{name}")


def write_fold_slice_patterns(path: Path, m: Measurement = TINY, mode: str = "w") -> None:
    """``*_dp.hdf5`` as Python programs at APS write it."""
    with h5py.File(path, mode) as file:
        file.create_dataset("dp", data=m.counts, chunks=(1, m.size, m.size), compression="gzip")


def write_fold_slice_parameters(path: Path, m: Measurement = TINY) -> None:
    """``*_para.hdf5``: the probe's position in metres, the wavelength, the object's pixel size."""
    with h5py.File(path, "w") as file:
        file["ppY"], file["ppX"] = m.positions.T * m.pixel_m
        file["lambda"], file["dx"], file["angle"] = 1.23984198e-6 / ENERGY_EV, m.pixel_m, 0.0


def write_fold_slice(path: Path, m: Measurement = TINY) -> None:
    """Both in one file."""
    write_fold_slice_parameters(path, m)
    write_fold_slice_patterns(path, m, "a")


def matlab(file: h5py.File, key: str, array: np.ndarray) -> None:
    """Write an array as ``save -v7.3`` of MATLAB does: axes reversed, complex numbers in pairs, two axes at least."""
    array = np.atleast_2d(array).T
    if array.dtype.kind == "c":
        part = array.real.dtype
        array = np.ascontiguousarray(array).view([("real", part), ("imag", part)])
    file[key] = array
    file[key].attrs["MATLAB_class"] = np.bytes_("double")


def write_fold_slice_mat(path: Path, m: Measurement = TINY) -> None:
    """What fold_slice's MATLAB holds, ``dp`` (y, x, n), ``ppX`` (n, 1), ``probe`` (y, x, modes), as a .mat file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        matlab(file, "dp", np.moveaxis(m.counts, 0, -1).astype(np.float64))
        for key, values in zip(("ppY", "ppX"), m.positions.T * m.pixel_m, strict=True):
            matlab(file, key, values[:, None])
        matlab(file, "probe", m.probe[:, :, None])
        matlab(file, "lambda", np.array(1.23984198e-6 / ENERGY_EV))
        matlab(file, "dx", np.array(m.pixel_m))
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def write_fold_slice_result(path: Path, m: Measurement, object_guess: np.ndarray) -> None:
    """A reconstruction by fold_slice: positions (x, y) in pixels, in its frame that counts from 1.

    Its window of a position p begins at row ``ceil(H / 2 - N / 2) + round(p)`` of an object of H rows.
    """
    first_row_of_window = m.positions - m.size // 2 + 1
    offset = np.ceil((np.array(object_guess.shape) - m.size) / 2)
    with h5py.File(path, "w", userblock_size=512) as file:
        matlab(file, "outputs/probe_positions", (first_row_of_window - offset)[:, ::-1])
        matlab(file, "object", object_guess)
        matlab(file, "probe", np.stack([m.probe, m.probe / 2], axis=-1)[..., None])
        matlab(file, "p/lambda", np.array(1.23984198e-6 / ENERGY_EV))
        matlab(file, "p/dx_spec", np.array([m.pixel_m, m.pixel_m]))


def write_nsls2(path: Path, m: Measurement = TINY) -> None:
    """What ptycho_gui's ``save_data`` writes for HXN: sqrt of frames, turned clockwise, DC in the corner."""
    with h5py.File(path, "w") as file:
        turned = np.rot90(m.counts, axes=(2, 1))
        file["diffamp"] = np.sqrt(np.fft.fftshift(turned, axes=(1, 2)).astype(np.float64))
        file["points"] = m.sample_m.T * 1e6
        file["lambda_nm"], file["z_m"], file["ccd_pixel_um"] = 1239.84198 / ENERGY_EV, DISTANCE_M, PITCH_M * 1e6
        file["angle"], file["ic"] = 0.0, np.ones(len(m.counts))


def write_ptypy(path: Path, m: Measurement = TINY) -> None:
    """A .ptyd that ptypy's `PtyScan` saved with ``save = append``, in two chunks."""
    with h5py.File(path, "w") as file:
        first = len(m.counts) // 2 + 1
        for i, rows in enumerate((slice(0, first), slice(first, None))):
            chunk = file.create_group(f"chunks/{i}")
            chunk.create_dataset("data", data=m.counts[rows].astype(np.int32), compression="gzip")
            chunk["weights"] = np.ones(m.counts[rows].shape, bool)
            chunk["positions"] = m.positions[rows] * m.pixel_m
            chunk["indices"] = np.arange(len(m.counts))[rows]
        meta = file.create_group("meta")
        meta["energy"], meta["distance"], meta["psize"] = ENERGY_EV / 1000, DISTANCE_M, [PITCH_M, PITCH_M]
        meta["center"], meta["shape"] = [m.size / 2, m.size / 2], [m.size, m.size]
        meta["num_frames"], meta["label"] = len(m.counts), "tiny"


WRITERS: dict[str, Callable[..., None]] = {
    "ptychopinn-npz": write_ptychopinn,
    "plain-npz": write_plain,
    "ptychodus": write_ptychodus,
    "pty-chi": write_ptychi,
    "fold-slice": write_fold_slice,
    "nsls2": write_nsls2,
    "ptypy": write_ptypy,
    "nexus": write_nexus,
    "cxi": write_cxi,
}
HDF5 = [name for name in WRITERS if not name.endswith("npz")]
HAVE_NO_PROBE = ("fold-slice", "nsls2", "ptypy", "nexus")


def write(folder: Path, format_name: str, m: Measurement = TINY) -> Path:
    """Write a scan in this format, under a name whose suffix says nothing."""
    path = folder / f"{format_name}.scan"
    temporary = folder / ("scan.npz" if format_name.endswith("npz") else "scan.h5")
    WRITERS[format_name](temporary, m)
    return temporary.rename(path)


def npz(path: Path, **arrays: Any) -> Path:
    """Write an NPZ of these arrays, leaving out those that are None."""
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def plain(folder: Path, **changes: Any) -> Path:
    """Write a plain NPZ with other arrays in place of its own, or without those that are None."""
    return npz(folder / "a.npz", **{**plain_arrays(), **changes})


def lab_file(path: Path, m: Measurement = TINY, **more: Any) -> Path:
    """A laboratory's own layout: raster, motors in micrometres without a unit, geometry with and without units."""
    with h5py.File(path, "w") as file:
        file["entry/eiger/frames"] = m.counts.reshape(-1, m.columns, m.size, m.size)
        file["entry/eiger/pixel_mask"] = np.eye(m.size, dtype=np.uint32)
        file["entry/eiger/dark_frames"] = m.counts[:3]
        file["entry/eiger/x_pixel_size"] = PITCH_M
        file["entry/eiger/distance"] = DISTANCE_M * 1e3
        file["entry/eiger/distance"].attrs["units"] = "mm"
        file["entry"].attrs["photon_energy_keV"] = ENERGY_EV / 1e3
        file["entry/source/energy"] = 6.0
        file["entry/source/energy"].attrs["units"] = "GeV"
        y, x = m.positions.T.reshape(2, -1, m.columns) * m.pixel_m * 1e6
        file["entry/scan/stage_y"], file["entry/scan/stage_x"] = y, x
        file["entry/illumination"] = m.probe
        file["entry/title"] = "night shift"
        for key, value in more.items():
            file[key] = value
    return path
