"""The file that our HDF5 writers write into, because HDF5 itself does not survive a full disk."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import Any


class DiskFile(io.RawIOBase):
    """A new file for ``h5py.File(disk_file, "w")`` that takes every write and tells at the end which one failed.

    The HDF5 library kills the process (a segmentation fault, as of 2.0) when the writes that it makes while
    closing a file fail. So a failure is kept from it, and raised by `raise_error` or on leaving the block.

    Parameters
    ----------
    path
        Created, or emptied.

    Examples
    --------
    >>> with DiskFile(Path("a.h5")) as disk, h5py.File(disk, "w") as file:  # doctest: +SKIP
    ...     file["x"] = 1
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115  closed by __exit__
        self._error: OSError | None = None

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None:
            self.raise_error()

    def close(self) -> None:  # noqa: D102
        self._file.close()
        super().close()

    def raise_error(self) -> None:
        """Raise the first OSError of a write, if there was one: no use going on."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of ``data`` at the present place."""
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._error = self._error or error
            self._file.seek(len(rest), os.SEEK_CUR)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Make the file ``size`` bytes long."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the present place."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as ``buffer`` takes; what a failed write left out is zeros."""
        view = memoryview(buffer)
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)
