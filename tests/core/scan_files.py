"""Tiny scan files of each format, written with numpy and h5py by the formats' own descriptions."""

from __future__ import annotations

from collections.abc import Callable
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


def ptychopinn_arrays() -> dict[str, Any]:
    """Arrays of a PtychoPINN NPZ, as amplitudes."""
    return {
        "diff3d": np.sqrt(counts().astype(np.float32)),
        "xcoords": positions()[:, 1],
        "ycoords": positions()[:, 0],
        "probeGuess": probe(),
        "objectGuess": np.ones((40, 40), np.complex64),
        "scan_index": np.zeros(N_PATTERNS, np.int64),
    }


def plain_arrays() -> dict[str, Any]:
    """Arrays of a plain NPZ."""
    return {"patterns": counts(), "positions": positions(), "probe": probe()}


def product_arrays() -> dict[str, Any]:
    """Members of a ptychodus product NPZ; those with a prefix are attributes in HDF5."""
    return {
        "name": np.array("tiny"),
        "detector_object_distance_m": np.array(DISTANCE_M),
        "probe_energy_eV": np.array(ENERGY_EV),
        "probe": probe()[None, None],
        "probe_pixel_width_m": np.array(PIXEL_M),
        "probe_pixel_height_m": np.array(PIXEL_M),
        "object": np.ones((1, 40, 44), np.complex64),
        "object_pixel_width_m": np.array(PIXEL_M),
        "object_pixel_height_m": np.array(PIXEL_M),
        "object_center_x_m": np.array(3 * PIXEL_M),
        "object_center_y_m": np.array(-2 * PIXEL_M),
        "probe_position_indexes": np.arange(N_PATTERNS),
        "probe_position_y_m": positions()[:, 0] * PIXEL_M,
        "probe_position_x_m": positions()[:, 1] * PIXEL_M,
    }


def write_ptychopinn(path: Path) -> None:
    """A PtychoPINN NPZ, compressed."""
    np.savez_compressed(path, **ptychopinn_arrays())


def write_plain(path: Path) -> None:
    """A plain NPZ, not compressed."""
    np.savez(path, **plain_arrays())


def write_product(path: Path) -> None:
    """A ptychodus product as HDF5."""
    arrays = product_arrays()
    with h5py.File(path, "w") as file:
        for key in ("name", "detector_object_distance_m", "probe_energy_eV"):
            file.attrs[key] = arrays[key].item()
        for key in ("probe", "object", "probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
            file[key] = arrays[key]
        for key in ("probe", "object"):
            for side in ("width", "height"):
                file[key].attrs[f"pixel_{side}_m"] = PIXEL_M
        for axis in "xy":
            file["object"].attrs[f"center_{axis}_m"] = arrays[f"object_center_{axis}_m"]


def write_ptychodus(path: Path) -> None:
    """A product and its patterns in one HDF5 file."""
    write_product(path)
    with h5py.File(path, "a") as file:
        file["patterns"] = counts()
        file["indexes"] = np.arange(N_PATTERNS)
        file["bad_pixels"] = np.zeros((SIZE, SIZE), bool)


def write_cxi(path: Path) -> None:
    """A CXI 1.6 file with the default orientation, whose positions are `positions`."""
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector.create_dataset("data", data=counts(), chunks=(1, SIZE, SIZE), compression="gzip")
        detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = DISTANCE_M, PITCH_M, PITCH_M
        detector["mask"] = np.zeros((SIZE, SIZE), np.uint32)
        file["entry_1/instrument_1/source_1/energy"] = ENERGY_EV * JOULE_PER_EV
        file["entry_1/instrument_1/source_1/illumination"] = probe()
        # The probe at (y, x) = (down, right) is the sample at (up, and to +x, which is left looking downstream).
        translation = np.zeros((N_PATTERNS, 3))
        translation[:, 1], translation[:, 0] = (positions() * PIXEL_M).T
        file["entry_1/sample_1/geometry_1/translation"] = translation
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")


WRITERS: dict[str, Callable[[Path], None]] = {
    "ptychopinn-npz": write_ptychopinn,
    "plain-npz": write_plain,
    "ptychodus": write_ptychodus,
    "cxi": write_cxi,
}


def write(folder: Path, format_name: str) -> Path:
    """Write the tiny scan in this format, under a name whose suffix says nothing."""
    path = folder / f"{format_name}.scan"
    temporary = folder / ("scan.npz" if format_name.endswith("npz") else "scan.h5")
    WRITERS[format_name](temporary)
    return temporary.rename(path)


def npz(path: Path, **arrays: Any) -> Path:
    """Write an NPZ of these arrays, leaving out those that are None."""
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path
