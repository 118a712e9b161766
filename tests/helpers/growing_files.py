"""A program of its own that writes a CXI file as a detector does, while others read it (SWMR) or alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.helpers import scan_files as files

DETECTOR = "entry_1/instrument_1/detector_1"

_PROGRAM = """
import json, os, sys
import h5py

whole, path, swmr = sys.argv[1], sys.argv[2], sys.argv[3] == "swmr"
patterns, places = "entry_1/instrument_1/detector_1/data", "entry_1/sample_1/geometry_1/translation"
stored = {}
with h5py.File(whole) as old, h5py.File(path + ".new", "w", libver="latest") as new:
    for key in old:
        old.copy(key, new)
    for key in (patterns, places):
        stored[key], attributes = new[key][:], dict(new[key].attrs)
        del new[key]
        shape, dtype = stored[key].shape[1:], stored[key].dtype
        made = new.create_dataset(key, (0, *shape), dtype, maxshape=(None, *shape), chunks=True)
        made.attrs.update(attributes)
    if "indexes" in new["entry_1/data_1"]:
        del new["entry_1/data_1/indexes"]
os.replace(path + ".new", path)
file = h5py.File(path, "r+", libver="latest")
if swmr:
    file.swmr_mode = True
print("ready", flush=True)
for line in sys.stdin:
    for key, n in zip((patterns, places), json.loads(line)):
        file[key].resize(n, axis=0)
        file[key][:] = stored[key][:n]
        file[key].flush()
    print("written", flush=True)
file.close()
"""


class Writer:
    """Writes the scan of a whole CXI file, or of 40 patterns of `scan_files`, as far as it is told to."""

    def __init__(self, path: Path, whole: Path | None = None, *, swmr: bool = True) -> None:
        self.path = path
        if whole is None:
            files.write_cxi(path, files.Measurement(files.counts(40), files.positions(40), files.probe(), columns=4))
        command = [sys.executable, "-c", _PROGRAM, str(whole or path), str(path), "swmr" if swmr else "alone"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._hear("ready")

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, patterns: int, positions: int | None = None) -> None:
        """Have the file hold so many patterns and positions, and return when they can be read."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"[{patterns}, {patterns if positions is None else positions}]\n")
        self._process.stdin.flush()
        self._hear("written")

    def close(self) -> None:
        """Have the file closed and the program ended."""
        self._process.communicate()

    def die(self) -> None:
        """End the program without a chance to close the file."""
        self._process.kill()
        self.close()

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word
