"""Small files as beamlines write them, exactly as their published loaders read them (docs/formats.md names these)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.helpers.mda_files import Column, Loop, write_mda
from tests.helpers.scan_files import DISTANCE_M, ENERGY_EV, PITCH_M, TINY, Measurement

GEOMETRY = {"energy_ev": str(ENERGY_EV), "distance_m": str(DISTANCE_M), "detector_pixel_m": str(PITCH_M)}
"""The answers that a file needs which states nothing of its geometry."""


@dataclass(frozen=True)
class Beamline:
    """How a layout's file is written, and what it leaves to be answered.

    ``write`` returns the file, and that of the positions where there is one; ``bad`` is the masked pixel.
    """

    write: Callable[[Path, Measurement], tuple[Path, Path | None]]
    answers: dict[str, str] = field(default_factory=dict)
    bad: tuple[int, int] | None = None


def _hdf5(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key.replace("__", "/")] = value
    return path


def _metres(m: Measurement) -> tuple[np.ndarray, np.ndarray]:
    y, x = m.positions.T * m.pixel_m
    return y, x


def _raster(m: Measurement) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patterns (lines, columns, y, x), and y and x of the same raster."""
    y, x = _metres(m)
    shape = (-1, m.columns)
    return m.counts.reshape(*shape, m.size, m.size), y.reshape(shape), x.reshape(shape)


def grid(m: Measurement = TINY) -> Measurement:
    """The same patterns on a raster without deviations, whose axes tell its positions."""
    order = np.arange(len(m.counts))
    places = np.stack([order // m.columns * 5.0, order % m.columns * 5.0], axis=1)
    return Measurement(m.counts, places, m.probe, m.columns)


def write_eiger(path: Path, m: Measurement, *, length: int = 5, **more: Any) -> Path:
    """A Dectris master with links to files of ``length`` patterns, flags of its detector, and a bad pixel (2, 5)."""
    stem = path.name.removesuffix("_master.h5")
    mask = np.zeros((m.size, m.size), np.uint32)
    mask[2, 5] = 1
    counts = m.counts.astype(np.uint32)
    counts[:, 2, 5] = 2**32 - 1
    with h5py.File(path, "w") as file:
        for k, first in enumerate(range(0, len(counts), length), 1):
            name = f"{stem}_data_{k:06d}.h5"
            with h5py.File(path.with_name(name), "w") as other:
                data = other.create_dataset("entry/data/data", data=counts[first : first + length])
                data.attrs["image_nr_low"], data.attrs["image_nr_high"] = first + 1, first + len(data)
            file[f"entry/data/data_{k:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/definition"] = "NXmx"
        detector = file.create_group("entry/instrument/detector")
        specific = detector.create_group("detectorSpecific")
        specific["nimages"], specific["ntrigger"], specific["pixel_mask"] = len(counts), 1, mask
        specific["x_pixels_in_detector"] = specific["y_pixels_in_detector"] = m.size
        detector["bit_depth_readout"] = 32
        for key, value, unit in (
            ("detectorSpecific/photon_energy", ENERGY_EV, "eV"),
            ("detector_distance", DISTANCE_M, "m"),
            ("x_pixel_size", PITCH_M, "m"),
            ("y_pixel_size", PITCH_M, "m"),
            ("beam_center_x", m.size // 2, "pixel"),
            ("beam_center_y", m.size // 2, "pixel"),
        ):
            detector[key] = value
            detector[key].attrs["units"] = np.bytes_(unit)
        for key, value in more.items():
            file[key.replace("__", "/")] = value
    return path


def _dectris(folder: Path, m: Measurement) -> tuple[Path, Path]:
    y, x = _metres(m)
    table = folder / "positions.csv"
    np.savetxt(table, np.stack([x, y], axis=1) * 1e6, delimiter=",", header="x_um,y_um", comments="")
    return write_eiger(folder / "run_master.h5", m), table


def _arina(folder: Path, m: Measurement) -> tuple[Path, None]:
    return write_eiger(folder / "stem_master.h5", grid(m)), None


CHI = 30.0


def _velociprobe(folder: Path, m: Measurement) -> tuple[Path, Path]:
    """Two readings of each trigger, as whole nanometres, of a stage that is turned."""
    y, x = _metres(m)
    rows = []
    for k, (down, right) in enumerate(zip(y * 1e9, x * 1e9 / np.cos(np.radians(CHI)), strict=True)):
        for shift in (-3, 3):
            rows.append([k, round(right) + shift, 0, 0, 0, -(round(down) + shift), 0, k])
    table = folder / "fly001_0.txt"
    np.savetxt(table, np.array(rows, int), fmt="%d", delimiter=",")
    master = write_eiger(folder / "fly001_master.h5", m, entry__sample__goniometer__chi=CHI)
    with h5py.File(master, "a") as file:
        file["entry/sample/goniometer/chi"].attrs["units"] = np.bytes_("degree")
    return master, table


def _series(folder: Path, m: Measurement, stem: str, length: int, first: int) -> Path:
    """Files of one array each; of a raster each holds a line."""
    for k, start in enumerate(range(0, len(m.counts), length), first):
        _hdf5(folder / f"{stem}_{k:06d}.h5", entry__data__data=m.counts[start : start + length])
    return folder / f"{stem}_{first:06d}.h5"


def _bionanoprobe(folder: Path, m: Measurement) -> tuple[Path, Path]:
    m = grid(m)
    y, x = _metres(m)
    axes = {"MAPS__y_axis": y[:: m.columns] * 1e6, "MAPS__x_axis": x[: m.columns] * 1e6}
    positions = _hdf5(folder / "bnp_fly0123.mda.h5", **axes)
    return _series(folder, m, "bnp_fly0123", m.columns, 0), positions


def _mda(folder: Path, m: Measurement) -> tuple[Path, Path]:
    """A fly scan: a file and a run of the inner loop for each line; motors in millimetres, as their units say."""
    m = grid(m)
    y, x = _metres(m)
    lines = [range(first, first + m.columns) for first in range(0, len(y), m.columns)]
    inner = [Loop([Column(x[line] * 1e3, "mm")], [Column(m.counts[line].sum((1, 2)))]) for line in lines]
    outer = Loop([Column(y[:: m.columns] * 1e3, "mm")], within=inner)
    return _series(folder, m, "bnp_fly0456", m.columns, 0), write_mda(folder / "bnp_fly0456.mda", outer)


def _mda_flat(folder: Path, m: Measurement) -> tuple[Path, Path]:
    """A scan of one loop that moves both motors."""
    y, x = _metres(m)
    scan = Loop([Column(x * 1e6), Column(y * 1e6)], [Column(m.counts.sum((1, 2)), "cts")])
    return _series(folder, m, "scan456", 5, 1), write_mda(folder / "scan456.mda", scan, 1.3)


def _p06(folder: Path, m: Measurement) -> tuple[Path, Path]:
    y, x = _metres(m)
    positions = _hdf5(folder / "positions.h5", axes__samz=-y * 1e3, axes__samy=-x * 1e3)
    return _series(folder, m, "eiger_4m_01", 5, 1), positions


def _p06_scanner(folder: Path, m: Measurement) -> tuple[Path, Path]:
    y, x = _metres(m)
    positions = _hdf5(folder / "positions.h5", axes__scanz=-y * 1e6, axes__scany=-x * 1e6)
    return _series(folder, m, "eiger_4m_01", 5, 1), positions


def _lynx(folder: Path, m: Measurement) -> tuple[Path, Path]:
    y, x = _metres(m)
    rows = [f"{k} {-a * 1e6:.9f} 0.01 {-b * 1e6:.9f} 0.01" for k, (b, a) in enumerate(zip(y, x, strict=True))]
    names = "DataPoint Average_x_st_fzp Stdev_x_st_fzp Average_y_st_fzp Stdev_y_st_fzp"
    (folder / "scan_00012.dat").write_text("\n".join(["Scan 12, samroy 0.5", names, *rows]))
    return _hdf5(folder / "run_00012.h5", entry__data__eiger_4=m.counts), folder / "scan_00012.dat"


def _nanomax(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    return _hdf5(
        folder / "000123.h5",
        entry__measurement__eiger1m__frames=m.counts,
        entry__measurement__xspress3__data=np.zeros((len(m.counts), 4, 64)),
        entry__measurement__pseudo__x=-x * 1e6,
        entry__measurement__pseudo__y=-y * 1e6,
        entry__measurement__pseudo__z=y * 0,
        entry__snapshots__pre_scan__energy=np.array([ENERGY_EV]),
    ), None


def _nanomax_lines(folder: Path, m: Measurement) -> tuple[Path, None]:
    """An array for each line of a fly scan."""
    patterns, y, x = _raster(m)
    lines = {f"entry__measurement__pilatus__{k:06d}": line for k, line in enumerate(patterns)}
    places = {"entry__measurement__npoint_buff__x": -x * 1e6, "entry__measurement__npoint_buff__y": -y * 1e6}
    return _hdf5(folder / "000124.h5", **lines, **places, entry__snapshot__energy=np.array([ENERGY_EV])), None


def _nanomax_detector(folder: Path, m: Measurement) -> tuple[Path, Path]:
    y, x = _metres(m)
    places = {"entry__measurement__pseudo__x": -x * 1e6, "entry__measurement__pseudo__y": -y * 1e6}
    path = _hdf5(folder / "scan_000125_eiger4m.hdf5", entry__measurement__Eiger__data=m.counts)
    return path, _hdf5(folder / "000125.h5", **places)


def _i13(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    places = {"entry1__instrument__lab_sxy__lab_sy": y * 1e6, "entry1__instrument__lab_sxy__lab_sx": -x * 1e6}
    return _hdf5(folder / "12345.nxs", entry1__merlin_sw_hdf__data=m.counts, **places), None


def _i14(folder: Path, m: Measurement) -> tuple[Path, None]:
    """A raster by its axes, the distance of the detector that took the patterns in millimetres."""
    m = grid(m)
    patterns, y, x = _raster(m)
    path = _hdf5(
        folder / "i14-12345.nxs",
        entry__excalibur_addetector__data=patterns,
        entry__excalibur_addetector__SampleY_value_set=y[:, 0] * 1e3,
        entry__excalibur_addetector__SampleX_value_set=x[0] * 1e3,
        entry__instrument__scannables__excalibur_z__value=DISTANCE_M * 1e3,
    )
    with h5py.File(path, "a") as file:
        for axis in "XY":
            file[f"entry/excalibur_addetector/Sample{axis}_value_set"].attrs["units"] = "mm"
    return path, None


def _nanoscopium(folder: Path, m: Measurement) -> tuple[Path, None]:
    patterns, y, x = _raster(m)
    scan = "flyscan_1061__scan_data__"
    path = folder / "flyscan_1061-0001.nxs"
    arrays = {"Image_merlin_image": patterns, "sample_Piezo_TX": -x * 1e3, "sample_Piezo_Tz": y * 1e3}
    return _hdf5(path, **{scan + name: value for name, value in arrays.items()}), None


def _cristal(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    arrays = {"a__scan_data__data_04": m.counts, "a__scan_data__trajectory_1_1": x * 1e12}
    return _hdf5(folder / "cristal.nxs", **arrays, a__scan_data__trajectory_1_2=y * 1e12), None


def _bliss(folder: Path, m: Measurement) -> tuple[Path, None]:
    """Motors in millimetres, as their units say, and counters beside the images."""
    y, x = _metres(m)
    arrays = {"samz": -y * 1e3, "samy": -x * 1e3, "epoch": np.arange(len(y)) + 1.7e9, "eiger": m.counts}
    path = folder / "sample_0002.h5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[f"3.1/measurement/{name}"] = values
        for name in ("samz", "samy"):
            file[f"3.1/measurement/{name}"].attrs["units"] = "mm"
    return path, None


def _id13(folder: Path, m: Measurement) -> tuple[Path, None]:
    """Two scans, and a counter beside the images of the first."""
    y, x = _metres(m)
    arrays: dict[str, Any] = {"1.1__measurement__epoch": np.arange(len(y)) + 1.7e9}
    for scan, rows in (("1.1", slice(None)), ("2.1", slice(None, None, -1))):
        arrays[f"{scan}__measurement__eiger"] = m.counts[rows]
        arrays[f"{scan}__measurement__nnp3_position"] = -y[rows] * 1e6
        arrays[f"{scan}__measurement__nnp2_user_position"] = -x[rows] * 1e6
    return _hdf5(folder / "sample_0001.h5", **arrays), None


def _hxn(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    places = {"scan__scan_positions": np.stack([x, y]) * 1e6, "scan__energy": ENERGY_EV, "scan__exposure_time": 0.1}
    return _hdf5(folder / "scan_1.h5", diff_data__merlin1__det_images=m.counts, **places), None


def _amo(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    return _hdf5(folder / "r0123.h5", data__photons=m.counts, data__posx=x * 1e3, data__posy=y * 1e3), None


def _xpp(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    places = {"lmc__ch03": -x * 1e6, "lmc__ch04": x * 0, "lmc__ch05": -y * 1e6, "ipm2__sum": np.full(len(y), 2.7e3)}
    return _hdf5(folder / "xpp.h5", jungfrau1M__image_img=m.counts.astype(np.float32), **places), None


def _als_7011(folder: Path, m: Measurement) -> tuple[Path, None]:
    y, x = _metres(m)
    group = "entry1__instrument_1__"
    places = {f"{group}labview_data__sample_translate": y * 1e6, f"{group}labview_data__sample_lift": x * 1e6}
    return _hdf5(folder / "als.h5", **{f"{group}detector_1__data": m.counts[:, None]}, **places), None


def _ptychonn(folder: Path, m: Measurement) -> tuple[Path, None]:
    np.savez(folder / "test1.npz", reciprocal=m.counts, position=np.stack(_metres(m), axis=1))
    return folder / "test1.npz", None


PITCH_AND_DISTANCE = {key: GEOMETRY[key] for key in ("distance_m", "detector_pixel_m")}
BEAMLINES: dict[str, Beamline] = {
    "als-7011": Beamline(_als_7011, GEOMETRY),
    "aps-bionanoprobe": Beamline(_bionanoprobe, GEOMETRY),
    "aps-lynx": Beamline(_lynx, GEOMETRY),
    "aps-mda": Beamline(_mda, GEOMETRY),
    "aps-mda (one loop)": Beamline(_mda_flat, GEOMETRY),
    "aps-velociprobe": Beamline(_velociprobe, bad=(2, 5)),
    "dectris": Beamline(_dectris, bad=(2, 5)),
    "dectris-raster": Beamline(_arina, {"step_m": str(5 * TINY.pixel_m), "columns": str(TINY.columns)}, bad=(2, 5)),
    "diamond-i13": Beamline(_i13, GEOMETRY),
    "diamond-i14": Beamline(_i14, {key: GEOMETRY[key] for key in ("energy_ev", "detector_pixel_m")}),
    "esrf-bliss": Beamline(_bliss, GEOMETRY),
    "esrf-id13": Beamline(_id13, GEOMETRY),
    "lcls-amo": Beamline(_amo, GEOMETRY),
    "lcls-xpp": Beamline(_xpp, GEOMETRY),
    "max4-nanomax": Beamline(_nanomax, PITCH_AND_DISTANCE),
    "max4-nanomax (lines)": Beamline(_nanomax_lines, PITCH_AND_DISTANCE),
    "max4-nanomax-detector": Beamline(_nanomax_detector, GEOMETRY),
    "nsls2-hxn": Beamline(_hxn, PITCH_AND_DISTANCE),
    "petra3-p06": Beamline(_p06, GEOMETRY),
    "petra3-p06-scanner": Beamline(_p06_scanner, GEOMETRY),
    "ptychonn-npz": Beamline(_ptychonn, GEOMETRY),
    "soleil-cristal": Beamline(_cristal, GEOMETRY),
    "soleil-nanoscopium": Beamline(_nanoscopium, GEOMETRY),
}
"""A file of each shipped mapping, by its name and, in brackets, a variant; all hold the patterns of a `Measurement`."""
ON_A_GRID = ("aps-bionanoprobe", "aps-mda", "dectris-raster", "diamond-i14")
"""Those whose positions are a raster without deviations."""
