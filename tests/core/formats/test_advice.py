"""Advice is tested: every answer that a message names is a fix beside it, and following all fixes ends in a scan."""

from __future__ import annotations

import re
from contextlib import ExitStack

import h5py
import numpy as np
import pytest

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import open_scan
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.settings import SETTINGS
from ptycho_core.scan.source import ScanSource
from tests.helpers import scan_files as files
from tests.helpers.bad_files import BAD_FILES
from tests.helpers.beamline_files import BEAMLINES

TYPED = {
    "energy_ev": "8000",
    "distance_m": "2",
    "detector_pixel_m": "75e-6",
    "object_pixel_m": str(files.PIXEL_M),
    "skip_lines": "2",
    "columns": "4",
    "step_m": "1.3e-6",
    "defocus_m": "1e-3",
    "magnification": "500",
}
"""What an operator would type."""
_NAMED = re.compile(rf"\b({'|'.join(SETTINGS)})=([\w+-]+)")
_DEEPEST = 5
N = 24
COUNTS, POSITIONS = files.counts(N), files.positions(N)


def plain(folder, **changes):
    arrays = {"patterns": COUNTS, "positions": POSITIONS, "probe": files.probe(), **changes}
    return ScanSource(files.npz(folder / "odd.npz", **arrays))


def cxi(folder, **changes):
    path = files.write(folder, "cxi", files.Measurement(COUNTS, POSITIONS, files.probe(), 4))
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


def fly(folder, table):
    with h5py.File(folder / "fly.h5", "w") as file:
        file["frames"] = COUNTS
    (folder / "fly.csv").write_text(table)
    coordinates = {axis: {"key": axis, "unit": "px"} for axis in "yx"}
    mapping = Mapping.from_dict(
        {"version": 1, "patterns": "frames", "positions": {**coordinates, "separate_file": True}}
    )
    return ScanSource(folder / "fly.h5", folder / "fly.csv", mapping=mapping)


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
