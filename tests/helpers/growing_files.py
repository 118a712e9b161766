"""A program of its own that writes a CXI file as a detector does, while others read it (SWMR) or alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

DETECTOR = "entry_1/instrument_1/detector_1"

_PROGRAM = """
import json, os, sys
import h5py
from tests.helpers import scan_files as files

path, swmr = sys.argv[1], sys.argv[2] == "swmr"
measured = files.Measurement(files.counts(40), files.positions(40), files.probe(), columns=4)
files.write_cxi(path, measured)
with h5py.File(path, "a") as old, h5py.File(path + ".new", "w", libver="latest") as new:
    for key in ("entry_1", "cxi_version"):
        old.copy(key, new)
    patterns, places = "entry_1/instrument_1/detector_1/data", "entry_1/sample_1/geometry_1/translation"
    for key in (patterns, places):
        stored = new[key][:]
        del new[key]
        new.create_dataset(key, (0, *stored.shape[1:]), stored.dtype, maxshape=(None, *stored.shape[1:]), chunks=True)
os.replace(path + ".new", path)
file = h5py.File(path, "r+", libver="latest")
if swmr:
    file.swmr_mode = True
print("ready", flush=True)
for line in sys.stdin:
    for key, n, values in zip((patterns, places), json.loads(line), (measured.counts, measured.laboratory_m)):
        file[key].resize(n, axis=0)
        file[key][:] = values[:n]
        file[key].flush()
    print("written", flush=True)
file.close()
"""


class Writer:
    """Writes a scan of up to 40 patterns of `scan_files` into a file, as far as it is told to."""

    def __init__(self, path: Path, *, swmr: bool = True) -> None:
        self.path = path
        command = [sys.executable, "-c", _PROGRAM, str(path), "swmr" if swmr else "alone"]
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
        self._process.communicate(timeout=120)

    def die(self) -> None:
        """End the program without a chance to close the file."""
        self._process.kill()
        self.close()

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word
