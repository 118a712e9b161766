"""What a file was like when it was opened, and whether it has changed since."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FileState:
    """A file as it was.

    Parameters
    ----------
    path
        Its name.
    identity
        (device, inode): another one where a file was put in its place.
    size
        Bytes.
    modified_ns
        When it was last written.
    """

    path: Path
    identity: tuple[int, int]
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """Look at a file.

        Raises
        ------
        OSError
            It is not there, or cannot be looked at.
        """
        found = os.stat(path)
        return cls(path, (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)

    def is_same_file_changed(self, now: FileState) -> bool:
        """Tell whether this file was written since, and not replaced by another."""
        return self.identity == now.identity and (self.size, self.modified_ns) != (now.size, now.modified_ns)


def changed_since(files: Iterable[FileState]) -> str:
    """Say in a sentence what became of files since they were opened; empty where nothing did."""
    for before in files:
        try:
            now = FileState.of(before.path)
        except OSError:
            return f"{before.path} is no longer there: what of the scan is not in memory cannot be read any more"
        if now != before:
            what = "was written into" if before.is_same_file_changed(now) else "was replaced by another file"
            return f"{before.path} {what} since the scan was opened: open it again"
    return ""
