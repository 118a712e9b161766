"""Advice is tested: every answer that a message names is a fix beside it, and following all fixes ends in a scan."""

from __future__ import annotations

import ast
import re
import sys
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
import pytest

import ptycho_core
from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import open_scan
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.settings import SETTINGS
from ptycho_core.scan.source import ScanSource
from tests.helpers import scan_files as files
from tests.helpers.bad_files import BAD_FILES
from tests.helpers.beamline_files import BEAMLINES
from tests.helpers.near_field import make

CORE = Path(ptycho_core.__file__ or "").parent
CHECKING = [
    path
    for part in ("formats", "inspection", "scan")
    for path in sorted((CORE / part).rglob("*.py"))
    if path.stem not in ("run_checks", "memory", "grouping", "disk")  # of runs, not of scans
]
"""The core's source that looks at scans."""
TYPED = {
    "energy_ev": "8000",
    "distance_m": "2",
    "detector_pixel_m": "75e-6",
    "object_pixel_m": str(files.PIXEL_M),
    "skip_lines": "2",
    "columns": "4",
    "step_m": "1.3e-6",
    "defocus_m": str(0.2 / 99),
    "magnification": "100",
}
"""What an operator would type."""
_NAMED = re.compile(rf"\b({'|'.join(SETTINGS)})=([\w+-]+)")
_DEEPEST = 5
N = 24
COUNTS, POSITIONS = files.counts(N), files.positions(N)


def plain(folder, **changes):
    arrays = {"patterns": COUNTS, "positions": POSITIONS, "probe": files.probe(), **changes}
    return ScanSource(files.npz(folder / "odd.npz", **arrays))


def amplitudes(folder, values):
    path = files.write(folder, "ptychopinn-npz", files.Measurement(COUNTS, POSITIONS, files.probe(), 4))
    with np.load(path) as archive:
        arrays = dict(archive)
    return ScanSource(files.npz(folder / "odd.npz", **{**arrays, "diff3d": values.astype(np.float32)}))


def cxi(folder, shrink=1.0, **changes):
    path = files.write(folder, "cxi", files.Measurement(COUNTS, POSITIONS * shrink, files.probe(), 4))
    with h5py.File(path, "a") as file:
        for key, value in changes.items():
            group = "source_1" if key in ("energy", "illumination") else "detector_1"
            place = f"entry_1/instrument_1/{group}/{key}"
            if place in file:
                del file[place]
            file[place] = value
    return ScanSource(path)


def spoilt(*rows, value, dtype=np.float32, pixel=(3, 4)):
    counts = COUNTS.astype(dtype)
    for row in rows:
        counts[(row, *pixel) if pixel else row] = value
    return counts


def everywhere(value):
    counts = COUNTS.astype(np.float32)
    for row in range(N):
        counts[row, row // 16, row % 16] = value
    return counts


def scattered(value):
    return np.where(np.random.default_rng(3).random(COUNTS.shape) < 0.1, value, COUNTS.astype(np.float32))


def masks(part):
    return (np.random.default_rng(0).random((N, 16, 16)) < part).astype(np.uint8)


def hot():
    counts = COUNTS.astype(np.uint32)
    counts[:, 1, 2] = 5000 + 10 * (np.arange(N) % 7)
    return counts


def without_its_second_file(folder):
    path, table = BEAMLINES["dectris"].write(folder, files.TINY)
    path.with_name("run_data_000002.h5").unlink()
    return ScanSource(path, table)


def fly(folder, table, names="yx"):
    with h5py.File(folder / "fly.h5", "w") as file:
        file["frames"] = COUNTS
    (folder / "fly.csv").write_text(table)
    coordinates = {axis: {"key": name, "unit": "px"} for axis, name in zip("yx", names, strict=True)}
    mapping = Mapping.from_dict(
        {"version": 1, "patterns": "frames", "positions": {**coordinates, "separate_file": True}}
    )
    return ScanSource(folder / "fly.h5", folder / "fly.csv", mapping=mapping)


def numbered(folder, numbers, patterns=None, index=None):
    """Positions by the numbers of their columns, in a file of their own or, without a number each, in the same."""
    with h5py.File(folder / "fly.h5", "w") as file:
        file["frames"] = COUNTS if patterns is None else patterns
        file["y"], file["x"] = POSITIONS[: len(numbers)].T
    rows = [f"{number},{y},{x}" for number, (y, x) in zip(numbers, POSITIONS, strict=False)]
    (folder / "fly.csv").write_text("number,y,x\n" + "\n".join(rows))
    coordinates = {axis: {"key": axis, "unit": "px"} for axis in "yx"}
    places = {**coordinates, "separate_file": True, "index": index} if index else coordinates
    mapping = Mapping.from_dict({"version": 1, "patterns": "frames", "positions": places})
    return ScanSource(folder / "fly.h5", folder / "fly.csv" if index else None, mapping=mapping)


def near(folder, stated=True):
    """A shadow of the near field that reaches the edges of the frame."""
    path = write_scan(make(size=24, side=4, fills=True).scan, folder / "near.cxi")
    if stated:
        return ScanSource(path)
    with h5py.File(path, "a") as file:
        del file["entry_1/instrument_1/detector_1"].attrs["magnification"]
    return ScanSource(path, settings={"propagator": "near"})


def fold_slice_column(folder):
    path = files.write(folder, "fold-slice", files.Measurement(COUNTS, POSITIONS, files.probe(), 4))
    with h5py.File(path, "a") as file:
        for key in ("ppX", "ppY"):
            values = file[key][()]
            del file[key]
            file[key] = values[:, None]
    return ScanSource(path)


ROW = np.arange(N)[:, None]
ROWS = "\n".join(f"{y},{x}" for y, x in POSITIONS)

ODD = {
    "NaN in one pixel": lambda folder: plain(folder, patterns=spoilt(2, 5, value=np.nan)),
    "NaN in one pattern": lambda folder: plain(folder, patterns=spoilt(4, value=np.nan, pixel=None)),
    "NaN in every pattern": lambda folder: plain(folder, patterns=everywhere(np.nan)),
    "NaN in every pattern and pixel": lambda folder: plain(folder, patterns=scattered(np.nan)),
    "below zero": lambda folder: plain(folder, patterns=spoilt(1, value=-3)),
    "a flag": lambda folder: plain(folder, patterns=spoilt(*range(N), value=65535, dtype=np.int32)),
    "a bright pattern": lambda folder: plain(folder, patterns=spoilt(3, value=30000, dtype=np.int32, pixel=None)),
    "patterns twice as bright": lambda folder: plain(
        folder, patterns=COUNTS * np.where(ROW % 10 == 3, 2, 1)[..., None]
    ),
    "patterns divided one by one": lambda folder: plain(folder, patterns=COUNTS / (7.0 + ROW[..., None] / 9)),
    "a pedestal that drifts": lambda folder: plain(folder, patterns=COUNTS + 20 + 5 * (ROW[..., None] % 7)),
    "dead pixels": lambda folder: plain(folder, patterns=spoilt(*range(N), value=0, dtype=np.int32, pixel=(8, 9))),
    "a flag below zero": lambda folder: plain(folder, patterns=spoilt(4, value=-1, dtype=np.int32, pixel=(8, 9))),
    "a number beyond all detectors": lambda folder: plain(folder, patterns=spoilt(4, value=1e30)),
    "views that do not overlap": lambda folder: plain(folder, positions=POSITIONS * 2.5),
    "places at zero": lambda folder: plain(folder, positions=np.where(ROW % 10 == 3, 0, POSITIONS - 12)),
    "a pedestal": lambda folder: plain(folder, patterns=COUNTS + 100),
    "normalised": lambda folder: plain(folder, patterns=(COUNTS / COUNTS.max()).astype(np.float32)),
    "not square": lambda folder: plain(folder, patterns=COUNTS[:, 2:14]),
    "a probe of another size": lambda folder: plain(folder, probe=files.probe(24)),
    "a probe with NaN": lambda folder: plain(folder, probe=np.full((16, 16), np.nan, np.complex64)),
    "a position of NaN": lambda folder: plain(folder, positions=np.where(ROW == 7, np.nan, POSITIONS)),
    "stray positions": lambda folder: plain(folder, positions=np.where(ROW > 20, 0, POSITIONS + 5e4)),
    "places that come again": lambda folder: plain(folder, positions=POSITIONS[[*range(20), 19, 19, 19, 19]]),
    "no energy": lambda folder: cxi(folder, energy=np.nan),
    "a distance in millimetres": lambda folder: cxi(folder, distance=2000.0),
    "a pitch in micrometres": lambda folder: cxi(folder, x_pixel_size=75.0, y_pixel_size=75.0),
    "an inverted mask": lambda folder: cxi(folder, mask=~np.eye(16, dtype=bool)),
    "a mask of fractions": lambda folder: cxi(folder, mask=np.full((16, 16), 0.5)),
    "a mask of all pixels": lambda folder: cxi(folder, mask=np.ones((16, 16), np.uint8)),
    "masks of no patterns": lambda folder: cxi(folder, mask=masks(0.02)[1:]),
    "masks of all pixels together": lambda folder: cxi(folder, mask=masks(0.4)[1:]),
    "a dark frame of another size": lambda folder: cxi(folder, data_dark=np.ones((4, 4))),
    "a title like numbers": lambda folder: fly(folder, f"1,2\n3,4\ny,x\n{ROWS}\n"),
    "a raster without its step": lambda folder: ScanSource(BEAMLINES["dectris-raster"].write(folder, files.TINY)[0]),
    "a raster of known lines without its step": lambda folder: ScanSource(
        BEAMLINES["dectris-raster"].write(folder, files.TINY)[0], settings={"columns": "4"}
    ),
    "a raster without its columns": lambda folder: ScanSource(
        BEAMLINES["dectris-raster"].write(folder, files.TINY)[0], settings={"step_m": "1e-6"}
    ),
    "an array that is missing": lambda folder: without_its_second_file(folder),
    "a position beyond all scans": lambda folder: plain(folder, positions=np.where(ROW == 5, 1e20, POSITIONS)),
    "a distance beyond all numbers": lambda folder: cxi(folder, distance=1e-40),
    "fewer positions in one file": lambda folder: numbered(folder, range(20)),
    "a header of numbers": lambda folder: fly(folder, f"1,2\n{ROWS}\n", names="01"),
    "a row too many below the names": lambda folder: fly(folder, f"y,x\n0,1\n{ROWS}\n"),
    "numbers of no pattern": lambda folder: numbered(folder, range(900, 900 + N), index="number"),
    "numbers that begin with 1": lambda folder: numbered(folder, range(1, N - 2), index="number"),
    "axes that are none": lambda folder: cxi(folder, basis_vectors=np.zeros((2, 3))),
    "counts taken for amplitudes": lambda folder: amplitudes(folder, COUNTS * 1e6 + 0.3),
    "mostly NaN, everywhere": lambda folder: plain(
        folder, patterns=np.where(np.arange(16) % 5 < 3, np.nan, COUNTS.astype(np.float32))
    ),
    "a beam off centre": lambda folder: plain(folder, patterns=np.roll(COUNTS, 4, axis=1)),
    "patterns that come again": lambda folder: plain(folder, patterns=COUNTS[[*range(20), 19, 19, 19, 19]]),
    "patterns of less light": lambda folder: plain(
        folder, patterns=np.where(ROW[..., None] % 9 == 4, COUNTS // 12, COUNTS)
    ),
    "cut off": lambda folder: plain(folder, patterns=np.minimum(COUNTS, int(np.quantile(COUNTS.max(axis=0), 0.7)))),
    "hot pixels": lambda folder: plain(folder, patterns=hot()),
    "a probe of zeros": lambda folder: plain(folder, probe=np.zeros((16, 16), np.complex64)),
    "a probe of text": lambda folder: cxi(folder, illumination=np.array([b"none"])),
    "a probe for each pattern": lambda folder: plain(folder, probe=np.ones((40, 16, 16), np.complex64) * files.probe()),
    "electrons": lambda folder: cxi(folder, energy=200e3 * files.JOULE_PER_EV),
    "logarithms": lambda folder: plain(folder, patterns=np.log1p(COUNTS * 0.93).astype(np.float32)),
    "8 bits": lambda folder: plain(folder, patterns=np.rint(COUNTS * (255 / COUNTS.max())).astype(np.uint8)),
    "an energy in keV": lambda folder: cxi(folder, energy=8.0 * files.JOULE_PER_EV),
    "a distance like no other": lambda folder: cxi(folder, distance=1e12),
    "electrons that step too little": lambda folder: cxi(folder, energy=1e5 * files.JOULE_PER_EV, shrink=0.01),
    "light from beyond the frame": lambda folder: near(folder),
    "a near field without its magnification": lambda folder: near(folder, stated=False),
    "fewer positions than patterns": lambda folder: plain(folder, positions=POSITIONS[:20]),
    "a column of positions of MATLAB or Python": fold_slice_column,
    "a gap in a table": lambda folder: fly(folder, f"y,x\n{ROWS}\n".replace(f"{POSITIONS[4, 0]},", "nan,")),
}


def told_by(source: ScanSource) -> tuple[list[tuple[str, tuple[Fix, ...]]], bool]:
    """Return messages with their fixes, and whether the scan can be reconstructed."""
    try:
        problems = inspect(open_scan(source)).problems
    except InputError as error:
        return [(str(error), error.fixes)], False
    return [(one.message, one.fixes) for one in problems], all(one.severity != "error" for one in problems)


def walk(source: ScanSource, path: tuple[str, ...] = ()) -> None:
    """Follow every fix of every message, until a scan can be reconstructed; none may lead back."""
    messages, good = told_by(source)
    for message, fixes in messages:
        text = message.replace(str(source.file), "")
        offered = {(fix.field, str(fix.value)) for fix in fixes}
        named = {pair for pair in _NAMED.findall(text) if pair[1] != "NUMBER"}
        assert named <= offered, f"{text}: {named - offered} has no button"
    if good:
        return
    assert len(path) < _DEEPEST, path
    told = [(message, fix) for message, fixes in messages for fix in fixes]
    assert told, f"no way out of {messages}"
    for message, fix in told:
        assert message not in path, f"{fix} leads back to {message}"
        value = TYPED[fix.field] if fix.value is None else fix.value
        walk(source.fixed(Fix(fix.label, fix.field, value)), (*path, message))


@pytest.mark.parametrize("name", ODD)
def test_following_what_is_advised_ends_in_a_scan(tmp_path, name):
    source = ODD[name](tmp_path)
    messages, _ = told_by(source)
    assert any(fixes for _, fixes in messages), messages
    walk(source)
    for message, fixes in messages:
        for fix in fixes:
            value = TYPED[fix.field] if fix.value is None else fix.value
            after, _ = told_by(source.fixed(Fix(fix.label, fix.field, value)))
            assert message not in [text for text, _ in after], f"{fix} does not mend {message}"


@pytest.mark.parametrize("name", BAD_FILES)
def test_every_answer_that_a_message_names_is_offered(tmp_path, monkeypatch, name):
    with ExitStack() as stack:
        source = ScanSource(BAD_FILES[name].make(tmp_path, monkeypatch, stack))
        for message, fixes in told_by(source)[0]:
            named = set(_NAMED.findall(message.replace(str(tmp_path), "")))
            assert named <= {(fix.field, str(fix.value)) for fix in fixes}, message


def fixes_in_source():
    """Return where the core's source makes fixes of scans, as (file, first line, last line), and fields of others."""
    made, constants = [], set()
    for path in CHECKING:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == "Fix":
                if any(node.lineno <= call.lineno <= (node.end_lineno or 0) for node in functions):
                    made.append((str(path), call.lineno, call.end_lineno or call.lineno))
                elif isinstance(call.args[1], ast.Constant):
                    constants.add(call.args[1].value)
    return made, constants


def test_every_fix_that_the_core_offers_for_a_scan_is_among_those_walked_through(tmp_path, monkeypatch):
    """A message with a new fix needs a file in ODD that it is said of."""
    seen, plain_init = set(), Fix.__init__

    def noting(self, *args, **kwargs):
        plain_init(self, *args, **kwargs)
        frame = sys._getframe(1)
        while frame is not None and "ptycho_core" in frame.f_code.co_filename:
            seen.add((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back

    monkeypatch.setattr(Fix, "__init__", noting)
    told = set()
    for number, make_source in enumerate(ODD.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        told.update(fix for _, fixes in told_by(make_source(folder))[0] for fix in fixes)
    made, constants = fixes_in_source()
    missed = [one for one in made if not any((one[0], line) in seen for line in range(one[1], one[2] + 1))]
    assert not missed
    assert constants <= {fix.field for fix in told}
