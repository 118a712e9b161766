"""What arrives in a folder: its files are listed again and again, which every share can do. No torch here.

How long a file has stayed as it is goes by a clock of this machine that only runs forward; the share's own is asked for
nothing but whether a time differs.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import FileState, changed_since
from ptycho_core.runs.journal import Stamp
from ptycho_core.scan.source import TRUTH

GLOBS = ("*.h5", "*.hdf5", "*.nxs", "*.cxi", "*.npz")
"""Names that scans have, if nobody says otherwise."""
OUT = "reconstructions"
"""Folder in the watched one that gets the results, likewise."""


@dataclass
class Arrival:
    """A file that is not over.

    Parameters
    ----------
    path
        Of it.
    name
        Its own as far as the star of the glob goes: ``scan_0012`` of ``scan_0012_master.h5`` by ``*_master.h5``.
    stamp
        As it is listed now.
    files
        That it was read from when it was opened last, wherever they lie, as they were then.
    """

    path: Path
    name: str
    stamp: Stamp
    _sign: tuple[Stamp, ...]
    _changed_at: float
    looks: int = 0
    """How often it was found unchanged, and what belongs to it."""
    files: tuple[FileState, ...] = ()

    def quiet_s(self, now: float) -> float:
        """Return for how long it and what belongs to it has not changed."""
        return now - self._changed_at

    def stir(self, now: float) -> None:
        """Have it count as changed: more was found in it."""
        self._changed_at, self.looks = now, 0


class Arrivals:
    """The files of a folder that its rules take for scans, but for truths, which simulations write beside theirs.

    To a scan belongs whatever is named like it and goes on with another character than a letter or a digit, as data
    files of a master or a table of positions, and what it was read from, in whichever folder.

    Parameters
    ----------
    folder
        That is watched, without those in it.
    globs
        Names of scans, each with one ``*`` or more.
    clock
        Seconds that only go forward.
    """

    def __init__(self, folder: Path, globs: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.clock = folder, clock
        self._patterns = [_compiled(glob) for glob in globs]
        self._known: dict[str, Arrival] = {}

    def look(self, over: Container[Stamp]) -> list[Arrival]:
        """Return the scans that are not over, in the order in which they came.

        Raises
        ------
        InputError
            The folder cannot be read.
        """
        listed = self._listed()
        for stamp in listed:
            name = self._name_of(stamp.name)
            if name is None or stamp in over:
                self._known.pop(stamp.name, None)
                continue
            sign, now = tuple(other for other in listed if _belongs(other.name, name)), self.clock()
            known = self._known.get(stamp.name)
            if known is None:
                self._known[stamp.name] = Arrival(self.folder / stamp.name, name, stamp, sign, now)
            elif known._sign != sign or changed_since(known.files):
                known.stamp, known._sign, known.files = stamp, sign, ()
                known.stir(now)
            else:
                known.looks += 1
        there = {stamp.name for stamp in listed}
        self._known = {name: arrival for name, arrival in self._known.items() if name in there}
        return list(self._known.values())

    def _listed(self) -> list[Stamp]:
        listed = []
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                        if not entry.name.startswith(".") and entry.is_file():
                            found = entry.stat()
                            listed.append((found.st_mtime, Stamp(entry.name, found.st_size, int(found.st_mtime))))
        except FileNotFoundError:
            raise InputError(f"there is no folder {self.folder}") from None
        except OSError as error:
            raise InputError(f"the folder {self.folder} cannot be read: {error.strerror}") from error
        return [stamp for _, stamp in sorted(listed)]

    def _name_of(self, file: str) -> str | None:
        if file.endswith(TRUTH):
            return None
        for pattern in self._patterns:
            if found := pattern.fullmatch(file):
                return found[1] if pattern.groups else Path(file).stem
        return None


def _compiled(glob: str) -> re.Pattern[str]:
    before, star, after = glob.partition("*")
    if "/" in glob or os.sep in glob:
        raise InputError(f"a glob names files of the folder itself, not of another one (it is {glob!r})")
    rest = ".*".join(map(re.escape, after.split("*")))
    return re.compile(f"({re.escape(before)}.*){rest}" if star else re.escape(before))


def _belongs(file: str, name: str) -> bool:
    return file.startswith(name) and not file[len(name) : len(name) + 1].isalnum()
