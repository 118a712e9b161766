"""NPZ archives: members are mapped in place where they are stored uncompressed, and never unpickled."""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Header, Store, check_fits_memory, reading
from ptycho_core.scan.scan import ArraySource

_LARGEST_DEFLATE_RATIO = 1032
"""Deflate cannot expand by more: https://www.zlib.net/zlib_tech.html, "Maximum Compression Factor"."""
_READ_BYTES = 2**20
_LOCAL_HEADER_BYTES = 30


class _Member(NamedTuple):
    info: zipfile.ZipInfo
    header: Header
    fortran_order: bool
    data_offset: int
    """Bytes of the member before the array's first."""


class NpzStore(Store):
    """An NPZ archive; ``attribute(key, name)`` is the member ``key_name``, as ptychodus writes them."""

    container = "npz"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with reading(path, "the archive"):
            self._zip = zipfile.ZipFile(path)
        self._infos = {i.filename.removesuffix(".npy"): i for i in self._zip.infolist() if i.filename.endswith(".npy")}
        self._members: dict[str, _Member] = {}

    def keys(self) -> list[str]:  # noqa: D102
        return list(self._infos)

    def __contains__(self, key: object) -> bool:
        return key in self._infos and not self._is_none(str(key))

    def _is_none(self, key: str) -> bool:
        """Tell whether a member is what NumPy makes of None, a pickle without axes: that counts as missing."""
        try:
            shape, _, dtype, _ = self._npy_header(key)
        except InputError:
            return False
        return dtype.hasobject and not shape

    def header(self, key: str) -> Header:  # noqa: D102
        return self._member(key).header

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        member = f"{key}_{name}" if key else name
        return self.read(member)[()] if member in self else None

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        return {}  # they are arrays of their own, and listed as such

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        info, header, _, data_offset = self._member(key)
        count = min(count, math.prod(header.shape))
        with reading(self.path, f"'{key}'"), self._zip.open(info) as stream:
            stream.read(data_offset)
            values = stream.read(count * header.dtype.itemsize)
        return np.frombuffer(values, header.dtype) if header.dtype.itemsize else None

    def close(self) -> None:  # noqa: D102
        self._zip.close()

    def _member(self, key: str) -> _Member:
        if key not in self._members:
            self._members[key] = self._parse(key)
        return self._members[key]

    def _npy_header(self, key: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
        """Return shape, Fortran order and type of a member, and where its values begin."""
        with reading(self.path, f"'{key}'"), self._zip.open(self._infos[key]) as stream:
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
            elif version == (2, 0):
                shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(stream)
            else:
                raise InputError(
                    f"{self.path}: '{key}' is written in version {version} of the NumPy format, not 1 or 2"
                )
            return shape, fortran_order, dtype, stream.tell()

    def _parse(self, key: str) -> _Member:
        info = self._infos[self.require(key)]
        shape, fortran_order, dtype, data_offset = self._npy_header(key)
        if dtype.hasobject:
            raise InputError(
                f"{self.path}: '{key}' holds pickled Python objects, which may run code and are never read; "
                "write it as an array of numbers"
            )
        header = Header(shape, dtype)
        stored = info.file_size - data_offset
        if any(length < 0 for length in shape) or header.nbytes != stored:
            raise InputError(
                f"{self.path}: '{key}' declares {shape} {dtype}, {header.nbytes} bytes, but {stored} are stored: "
                "the file is damaged"
            )
        if info.compress_type == zipfile.ZIP_DEFLATED and stored > _LARGEST_DEFLATE_RATIO * (info.compress_size + 1):
            raise InputError(
                f"{self.path}: '{key}' claims to expand {info.compress_size} bytes to {info.file_size}, which no "
                "compression does: the file is damaged"
            )
        return _Member(info, header, fortran_order, data_offset)

    def _read(self, key: str) -> NDArray[Any]:
        info, header, fortran_order, data_offset = self._member(key)
        array = np.empty(header.shape[::-1] if fortran_order else header.shape, header.dtype)
        with reading(self.path, f"'{key}'"), self._zip.open(info) as stream:
            stream.read(data_offset)
            target = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
            for start in range(0, len(target), _READ_BYTES):
                part = stream.read(min(_READ_BYTES, len(target) - start))
                target[start : start + len(part)] = np.frombuffer(part, np.uint8)
                if len(part) < min(_READ_BYTES, len(target) - start):
                    raise EOFError("it ends too early")
            stream.read(1)  # reaching the end makes zipfile compare the checksum
        return array.T if fortran_order else array

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        info, header, fortran_order, data_offset = self._member(key)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            check_fits_memory(self.path, key, header.nbytes)
            return self._read(key).reshape(shape)
        offset = self._offset_in_file(info) + data_offset
        if offset + header.nbytes > self.path.stat().st_size:
            raise InputError(f"{self.path}: '{key}' ends beyond the end of the file, which was cut short")
        return MappedArray(self.path, offset, shape, header.dtype, fortran_order)

    def _offset_in_file(self, info: zipfile.ZipInfo) -> int:
        # The local header's name and extra field may differ in length from those of the central directory.
        with reading(self.path, f"'{info.filename}'"), self.path.open("rb") as file:
            file.seek(info.header_offset)
            local = file.read(_LOCAL_HEADER_BYTES)
            if local[:4] != b"PK\x03\x04":
                raise ValueError("its header is not where the directory says")
            name_bytes, extra_bytes = struct.unpack("<HH", local[26:30])
        return info.header_offset + _LOCAL_HEADER_BYTES + int(name_bytes) + int(extra_bytes)


class MappedArray:
    """An array inside a file, memory mapped when first asked for, in each process anew.

    Parameters
    ----------
    path
        The file.
    offset
        Of the array's first byte in the file.
    shape, dtype, fortran_order
        As stored.
    last_axis_first
        Present (y, x, n) as (n, y, x).
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        fortran_order: bool = False,
        last_axis_first: bool = False,
    ) -> None:
        self._stored = (path, offset, shape, dtype, fortran_order)
        self._last_axis_first = last_axis_first
        self.shape = (shape[-1], *shape[:-1]) if last_axis_first else shape
        self.dtype = dtype
        self._opened: tuple[mmap.mmap, NDArray[Any]] | None = None

    def __reduce__(self) -> tuple[type[MappedArray], tuple[Any, ...]]:
        return type(self), (*self._stored, self._last_axis_first)

    def with_last_axis_first(self) -> MappedArray:
        """Return the same array seen as (n, y, x), where it is stored as (y, x, n)."""
        return MappedArray(*self._stored, last_axis_first=True)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return a copy, so that nobody holds, or writes into, the file's pages."""
        path, offset, shape, dtype, fortran_order = self._stored
        if self._opened is None:
            with reading(path, "the patterns"), path.open("rb") as stream:
                pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                whole: NDArray[Any] = np.ndarray(shape, dtype, pages, offset, order="F" if fortran_order else "C")
            self._opened = pages, np.moveaxis(whole, -1, 0) if self._last_axis_first else whole
        pages, mapped = self._opened
        if pages.size() < offset + mapped.nbytes:  # to read beyond the file's end would end the program
            raise InputError(f"{path} was cut short by another program since it was opened: open it again")
        return np.array(mapped[index])
