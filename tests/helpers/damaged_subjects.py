"""Files to damage, one or more of each format, and what opening one comes to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import figures, inspect
from ptycho_core.scan.mapping import Mapping
from tests.helpers import microscope_files
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES


@dataclass(frozen=True)
class Subject:
    """What is damaged: how its file is written, and how it is opened."""

    write: Callable[[Path], None]
    container: str
    mapping: Mapping | None = None
    positions_of: Callable[[Path], None] | None = None
    """Writes an intact file of patterns; the damaged one is then that of the positions."""
    beside: Callable[[Path], None] | None = None
    """Writes the intact file that has to lie beside one of this path."""
    answers: dict[str, str] = field(default_factory=dict)


def _mapping(patterns: str, **more: Any) -> Mapping:
    y, x = {"key": "stage", "column": 0, "unit": "um"}, {"key": "stage", "column": 1, "unit": "um"}
    body = {"version": 1, "patterns": patterns, "positions": {"y": y, "x": x}, "probe": "beam", "mask": {"key": "good"}}
    return Mapping.from_dict({**body, "object_pixel": {"value": files.PIXEL_M, "unit": "m"}, **more})


def _mapped_arrays() -> dict[str, Any]:
    m = files.TINY
    return {"frames": m.counts, "stage": m.positions * m.pixel_m * 1e6, "beam": m.probe, "good": np.ones((16, 16))}


def _write_mapped_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for key, value in _mapped_arrays().items():
            file[key] = value
        file["frames"].attrs["energy"] = 8800.0
        file["number"] = np.arange(files.N_PATTERNS)


def _write_table(path: Path) -> None:
    table = np.column_stack([np.arange(files.N_PATTERNS), files.TINY.positions])
    np.savetxt(path, table, header="number y x", delimiter=",", encoding="utf-8")


def _write_npz_product(path: Path) -> None:
    patterns: dict[str, Any] = {"patterns": files.counts(), "indexes": np.arange(files.N_PATTERNS)}
    patterns["bad_pixels"] = np.zeros((16, 16))
    np.savez(path, **files.product_arrays(), **patterns)


def _beamline(name: str, container: str = "hdf5", positions: bool = False) -> Subject:
    """Return a file of a beamline that a shipped mapping reads, or the file of its positions."""
    beamline = BEAMLINES[name]

    def write(path: Path, of_positions: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            written = beamline.write(Path(folder), files.TINY)[of_positions]
            assert written is not None
            path.write_bytes(written.read_bytes())

    of_patterns = partial(write, of_positions=False)
    if not positions:
        return Subject(of_patterns, container, answers=beamline.answers)
    return Subject(partial(write, of_positions=True), container, positions_of=of_patterns, answers=beamline.answers)


def _write_masks(path: Path) -> None:
    files.write_cxi(path)
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1/mask"]
        bad = np.random.default_rng(0).random(files.TINY.counts.shape) < 0.05
        file["entry_1/instrument_1/detector_1/mask"] = bad.astype(np.uint32)


def _write_empad_xml(path: Path) -> None:
    path.write_text(microscope_files.empad_xml("frames.raw"))


def _write_raw_beside(path: Path) -> None:
    microscope_files.write_empad_raw(path.with_name("frames.raw"))


def _write_xml_beside(path: Path) -> None:
    path.with_suffix(".xml").write_text(microscope_files.empad_xml(path.name))


def _write_raw_mib(path: Path) -> None:
    microscope_files.write_raw_mib(path, 12, 4, 32)


_STEP = {**microscope_files.ANSWERS, "step_m": str(microscope_files.STEP_M), "columns": str(microscope_files.COLUMNS)}
_TABLE = _mapping(
    "frames",
    positions={
        "y": {"key": "y", "unit": "px"},
        "x": {"key": "x", "unit": "px"},
        "index": "number",
        "separate_file": True,
    },
)
SUBJECTS: dict[str, Subject] = {
    **{name: Subject(write, "npz" if name.endswith("npz") else "hdf5") for name, write in files.WRITERS.items()},
    "cxi (masks)": Subject(_write_masks, "hdf5"),
    "ptychodus (NPZ)": Subject(_write_npz_product, "npz"),
    "ptychodus (product)": Subject(files.write_product, "hdf5", positions_of=files.write_ptychodus_patterns),
    "fold-slice (.mat)": Subject(files.write_fold_slice_mat, "hdf5"),
    "mapped (HDF5)": Subject(
        _write_mapped_hdf5, "hdf5", _mapping("frames", index="number", energy={"key": "frames@energy", "unit": "eV"})
    ),
    "mapped (NPZ)": Subject(lambda path: np.savez(path, **_mapped_arrays()), "npz", _mapping("frames")),
    "mapped (table)": Subject(_write_table, "text", _TABLE, positions_of=_write_mapped_hdf5),
    "empad": Subject(_write_empad_xml, "bytes", beside=_write_raw_beside, answers=microscope_files.ANSWERS),
    "empad (raw)": Subject(
        microscope_files.write_empad_raw, "bytes", beside=_write_xml_beside, answers=microscope_files.ANSWERS
    ),
    "merlin": Subject(microscope_files.write_mib, "bytes", answers=_STEP),
    "merlin (raw)": Subject(_write_raw_mib, "bytes", answers=_STEP),
    "shipped (HDF5)": _beamline("diamond-i14"),
    "shipped (positions)": _beamline("max4-nanomax-detector", positions=True),
    "shipped (table)": _beamline("aps-lynx", "text", positions=True),
    "shipped (MDA)": _beamline("aps-mda", "bytes", positions=True),
}
"""Every reader, in each container that it reads, with files in one and in two parts."""


@cache
def intact(name: str, of_patterns: bool = False) -> bytes:
    """Return the bytes of a subject's undamaged file, or of the file of patterns beside it."""
    subject = SUBJECTS[name]
    write = subject.positions_of if of_patterns else subject.write
    assert write is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("a.npz" if subject.container == "npz" else "a.h5")
        write(path)
        return path.read_bytes()


def open_as_operators_do(name: str, path: Path) -> str:
    """Open a subject's file and look at it as window and command line do.

    Returns
    -------
    str
        "scan", or the one sentence that it ended in.
    """
    subject = SUBJECTS[name]
    patterns = path
    if subject.positions_of is not None:
        patterns = path.with_name("patterns.h5")
        if not patterns.exists():
            patterns.write_bytes(intact(name, of_patterns=True))
    try:
        if subject.beside is not None:
            subject.beside(path)
        positions = None if patterns == path else path
        scan = read_scan(patterns, positions_file=positions, mapping=subject.mapping, settings=subject.answers)
        figures(inspect(scan))
        ends = scan.patterns[[0, len(scan) - 1]]
    except InputError as error:
        return _checked_sentence(error, path)
    assert ends.shape == (2, scan.size, scan.size)
    assert np.isfinite(ends).all()
    assert np.isfinite(scan.positions).all()
    return "scan"


def _checked_sentence(error: InputError, path: Path) -> str:
    sentence = str(error)
    assert "\n" not in sentence
    assert str(path.parent) in sentence, f"names no file: {sentence}"
    assert not isinstance(error.__cause__, MemoryError), f"took what it should have refused: {sentence}"
    return sentence
