"""Every way of being wrong that docs/formats.md promises a sentence for, for the command line and for the window."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.helpers import scan_files as files
from tests.helpers.growing_files import Writer

Make = Callable[[Path, pytest.MonkeyPatch, ExitStack], Path]
"""Write a file into a folder; what else is needed lasts as long as the other two."""


@dataclass(frozen=True)
class BadFile:
    """A file, and what the sentence about it must say.

    Parameters
    ----------
    make
        Writes it.
    words
        A regular expression: the key, what is wrong, what would be right.
    fixes
        Settings that are offered, where the file is read and the scan is what is wrong; None where it is refused.
    severity
        Of the problem of a scan that is read.
    """

    make: Make
    words: str
    fixes: tuple[tuple[str, str], ...] | None = None
    severity: str = "error"


def _plain(**changes: Any) -> Make:
    return lambda folder, patch, stack: files.npz(folder / "bad.npz", **{**files.plain_arrays(), **changes})


def _counts(dtype: type = np.uint16, **values: Any) -> np.ndarray:
    counts: np.ndarray = files.counts().astype(dtype)
    for value, rows in values.values():
        counts[rows, 3, 4] = value
    return counts


def _dead(*rows: int) -> np.ndarray:
    counts = files.counts()
    counts[list(rows)] = 0
    return counts


def _text(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    (folder / "bad.h5").write_text("Dear colleague, here are the data of last night")
    return folder / "bad.h5"


def _other_layout(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    with h5py.File(folder / "bad.h5", "w") as file:
        file["scan/frames"] = files.counts()
    return folder / "bad.h5"


def _misspelt_key(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    path = files.write(folder, "cxi")
    with h5py.File(path, "a") as file:
        file.move("entry_1/sample_1/geometry_1/translation", "entry_1/sample_1/geometry_1/translations")
    return path


def _truncated(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    path = files.write(folder, "cxi")
    path.write_bytes(path.read_bytes()[:5000])
    return path


def missing_filter(folder: Path, *_: object) -> Path:
    """A CXI file compressed by a filter that nobody has."""
    path = files.write(folder, "cxi")
    with h5py.File(path, "a") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        del detector["data"]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, 16, 16))
        plist.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (1,))
        space = h5py.h5s.create_simple((12, 16, 16))
        dataset = h5py.Dataset(h5py.h5d.create(detector.id, b"data", h5py.h5t.NATIVE_UINT16, space, plist))
        dataset[...] = files.counts()
    content = path.read_bytes()
    # Rename the filter. Its message: id 1, name length 8, flags 0, one value, its name.
    old = struct.pack("<HHHH", 1, 8, 0, 1) + b"deflate\0"
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, struct.pack("<HHHH", 32099, 8, 0, 1) + b"newzip\0\0"))
    return path


def _locked(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    return stack.enter_context(Writer(folder / "locked.cxi", swmr=False)).path


def _not_permitted(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    path = files.write(folder, "cxi")
    original = Path.open

    def deny(self: Path, *args: Any, **options: Any) -> Any:  # whoever runs this may be root
        if self == path:
            raise PermissionError(13, "Permission denied")
        return original(self, *args, **options)

    patch.setattr(Path, "open", deny)
    return path


def _larger_than_memory(folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> Path:
    patch.setattr("ptycho_core.formats.stores.store.available_memory", lambda: 10_000)
    return files.write(folder, "ptychopinn-npz")


_LINE = np.outer(np.arange(12), [3.0, 4.0])
BAD_FILES: dict[str, BadFile] = {
    "of no known format": BadFile(_text, "neither HDF5 .* nor an NPZ"),
    "of another layout": BadFile(_other_layout, "no known format; it holds scan/frames; a mapping says"),
    "key missing": BadFile(_misspelt_key, "no key .*translation' .* it holds entry_1/sample_1/geometry_1/translations"),
    "wrong number of axes": BadFile(
        _plain(patterns=np.ones((12, 256))), r"'patterns' has shape .* patterns need 3 axes"
    ),
    "not square": BadFile(
        _plain(patterns=files.counts(height=16, width=20)), "16 x 20 .* set square=crop .* square=pad"
    ),
    "counts differ": BadFile(_plain(positions=np.ones((11, 2))), "'positions' has 11 positions, but there are 12"),
    "NaN": BadFile(_plain(patterns=_counts(float, a=(np.nan, [2, 5]))), "2 NaN, infinite .* set bad_pixels=mask"),
    "infinity": BadFile(_plain(patterns=_counts(float, a=(np.inf, [2]))), "1 NaN, infinite .* set bad_pixels=mask"),
    "negative": BadFile(
        _plain(patterns=_counts(float, a=(-4, [2, 3, 4]))), "3 NaN, infinite or flagged .* set bad_pixels=mask"
    ),
    "all-zero patterns": BadFile(
        _plain(patterns=_dead(2, 9)), "2 patterns hold nothing but zeros: 2, 9", (), "warning"
    ),
    "positions identical": BadFile(_plain(positions=np.full((12, 2), 7.0)), "all 12 positions are identical", ()),
    "positions collinear": BadFile(_plain(positions=_LINE), "all positions lie on one line", (), "warning"),
    "steps too small": BadFile(
        _plain(positions=files.positions() * 1e-9), "px apart .* the unit that would fit: m", (("position_unit", "m"),)
    ),
    "steps too large": BadFile(
        _plain(positions=files.positions() * 1e3),
        "px apart .* so nothing overlaps; the unit that would fit: nm",
        (("position_unit", "nm"),),
    ),
    "probe of another size": BadFile(
        _plain(probe=files.probe(24)),
        "the probe is 24 x 24 pixels, the patterns are 16 x 16",
        (("probe", "crop"), ("probe", "resample"), ("probe", "ignore")),
    ),
    "truncated": BadFile(_truncated, "is truncated"),
    "filter missing": BadFile(missing_filter, r"the HDF5 filter 32099 \(newzip\), which is not installed"),
    "still being written": BadFile(_locked, "is still being written, or was not closed"),
    "no permission": BadFile(_not_permitted, "no permission to read it"),
    "larger than memory": BadFile(_larger_than_memory, "'diff3d' is compressed and takes .* run `ptycho convert`"),
}
