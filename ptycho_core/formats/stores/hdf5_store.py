"""HDF5 files: datasets stay on disk; links, filters and virtual sources that fail are named.

h5py is imported here and in the modules of HDF5 beside this one alone, so that a scan in an NPZ does not wait for it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import FileState
from ptycho_core.formats.stores.hdf5_file import DeadLinkError, ReadFile, virtual_sources
from ptycho_core.formats.stores.hdf5_source import Hdf5Source
from ptycho_core.formats.stores.store import (
    LARGEST_ARRAY,
    MOST_PATTERNS,
    SKIP_MISSING,
    Header,
    Store,
    beside,
    check_fits_memory,
    reading,
)
from ptycho_core.formats.stores.virtual import absent_patterns
from ptycho_core.scan.scan import ArraySource

_DEEPEST_GROUP = 24
_MOST_KEYS = 5000
_MOST_LISTED = 50
"""Attributes of one group or dataset."""
_CHEAP_BYTES = 4 * 2**20
_MOST_TEXT = 2**28
"""Bytes of texts of variable length that may be read at once."""
_LONGEST_TEXT = 1000
"""Letters of one of several texts: they are numbers, or names."""


class Hdf5Store(Store):
    """An HDF5 file; soft and external links and virtual datasets resolve relative to it."""

    container = "hdf5"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = ReadFile(path)
        self._headers: dict[str, Header] = {}
        self._checked: set[str] = set()
        self._rows: int | None = None
        self._cut: set[str] = set()

    @property
    def growing(self) -> bool:  # type: ignore[override]  # noqa: D102
        return self._file.growing

    def cut(self, rows: int, key: str) -> None:  # noqa: D102
        self._rows = rows
        self._cut.add(key)
        self._headers.clear()

    def keys(self) -> list[str]:  # noqa: D102
        return self._found["dataset"]

    def groups(self) -> list[str]:  # noqa: D102
        return self._found["group"]

    def dead_links(self) -> list[str]:  # noqa: D102
        return self._found["dead link"]

    @cached_property
    def _found(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"dataset": [], "group": [], "dead link": []}
        with reading(self.path, "the list of its datasets"):
            for kind, key in itertools.islice(
                _walk(self._file, self._file.root, "", {_address(self._file.root)}, 0), _MOST_KEYS
            ):
                found[kind].append(key)
        return found

    def __contains__(self, key: object) -> bool:
        # A dangling link counts as there: the reader then says what it points to, not that the key is missing.
        group: Any = self._file.root
        for part in str(key).split("/"):
            with reading(self.path, f"'{key}'"):
                if not isinstance(group, h5py.Group) or group.get(part, getlink=True) is None:
                    return False
                try:
                    group = self._file.open_item(group, part)
                except (KeyError, OSError, RuntimeError):
                    return True
        return True

    def header(self, key: str) -> Header:  # noqa: D102
        if key not in self._headers:
            self._headers[key] = self._checked_header(key)
        return self._headers[key]

    def _checked_header(self, key: str) -> Header:
        dataset = self._dataset(key)
        with reading(self.path, f"'{key}'"):
            if dataset.shape is None:
                raise InputError(f"{self.path}: '{key}' is declared empty: it holds no data")
            header = Header(self._seen_shape(key, dataset), _as_numbers(dataset.dtype))
            plist = dataset.id.get_create_plist()
            external = plist.get_external_count()
            never_written = not dataset.id.get_storage_size() and not dataset.is_virtual and not external
            contiguous = plist.get_layout() == h5py.h5d.CONTIGUOUS and not external
        if header.nbytes and never_written:
            raise InputError(f"{self.path}: '{key}' is declared as {header.shape} but nothing was written into it yet")
        if (
            contiguous
            and header.nbytes > self.path.stat().st_size
            and dataset.file.filename == self._file.root.filename
        ):
            raise InputError(f"{self.path}: '{key}' declares {header.nbytes} bytes, more than the whole file has")
        return header

    def _seen_shape(self, key: str, dataset: h5py.Dataset) -> tuple[int, ...]:
        """Return the shape of an array, of one that grows with no more patterns than `cut` said."""
        shape: tuple[int, ...] = dataset.shape
        grows = bool(shape) and dataset.maxshape[0] != shape[0]
        if self._rows is None or not (grows or key in self._cut):
            return shape
        lines = self._rows // math.prod(shape[1:-2])  # a raster grows by lines
        return (min(shape[0], lines), *shape[1:])

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        if key and key not in self:
            return None
        with reading(self.path, f"attribute '{name}'"):
            attributes = self._item(key).attrs
            return _plain_attribute(attributes, name) if name in attributes else None

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        with reading(self.path, f"the attributes of '{key}'"):
            item = self._item(key)
            count = min(h5py.h5a.get_num_attrs(item.id), _MOST_LISTED)  # iterating over them opens the dataset anew
            names = [h5py.h5a.open(item.id, index=i).name.decode(errors="replace") for i in range(count)]
            values = {name: _plain_attribute(item.attrs, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        dataset = self._dataset(key)
        with reading(self.path, f"'{key}'"):
            largest = max(_chunk_bytes(dataset), count * dataset.dtype.itemsize)
            if not _is_plain(dataset.dtype) or largest > _CHEAP_BYTES:
                return None
            first = (0,) * (len(dataset.shape) - 1)
            return np.atleast_1d(dataset[(*first, slice(count))] if dataset.shape else dataset[()])

    @property
    def states(self) -> list[FileState]:  # noqa: D102
        return self._file.states

    def close(self) -> None:  # noqa: D102
        self._file.close()

    def _item(self, key: str) -> Any:
        """Open a group or dataset, or the file where ``key`` is empty."""
        item: Any = self._file.root
        for part in key.split("/") if key else ():
            with reading(self.path, f"'{key}'"):
                try:
                    item = self._file.open_item(item, part)
                except DeadLinkError as error:
                    raise InputError(f"{self.path}: '{key}' {error}") from error
        return item

    def _dataset(self, key: str) -> h5py.Dataset:
        dataset = self._item(self.require(key))
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{self.path}: '{key}' is a group, not a dataset")
        if key not in self._checked:
            _check_filters(self.path, key, dataset)
            raw = _checked_raw_files(self.path, key, dataset)
            self._check_virtual(key, dataset)
            with reading(self.path, f"'{key}'"):
                self._file.states.extend(map(FileState.of, raw))
                self._file.hold(virtual_sources(dataset).values())
            self._checked.add(key)
        return dataset

    def _check_virtual(self, key: str, dataset: h5py.Dataset) -> None:
        stack = len(dataset.shape or ()) > 2 and math.prod(dataset.shape[:-2]) <= MOST_PATTERNS
        if dataset.is_virtual and stack and not self.growing:
            try:
                with reading(self.path, f"'{key}'"):
                    absent, why = absent_patterns(dataset)
            except InputError as error:
                raise InputError(f"{self.path}: '{key}' is put together from other files, and {error}") from error
            if n_absent := np.count_nonzero(absent):
                told = f"'{key}' is put together from other files, and {n_absent} of its patterns are missing: {why}"
                if not self.skips_missing or n_absent == len(absent):
                    help_ = "put the files beside it, or set missing=skip to go on without these patterns"
                    raise InputError(f"{self.path}: {told}; {help_}", [SKIP_MISSING])
                self.absent[key] = absent, told
                return
        _check_virtual_sources(self.path, key, dataset, self.growing)

    def _read(self, key: str) -> NDArray[Any]:
        dataset = self._dataset(key)
        if (chunk_bytes := _chunk_bytes(dataset)) > LARGEST_ARRAY:
            raise InputError(
                f"{self.path}: '{key}' is stored in pieces of {chunk_bytes} bytes: that cannot be right, write it again"
            )
        check_fits_memory(self.path, key, chunk_bytes)
        with reading(self.path, f"'{key}'"):
            values = self._texts(dataset) if h5py.check_string_dtype(dataset.dtype) else np.asarray(dataset[()])
            if self._rows is not None and values.ndim:
                values = values[: self.header(key).shape[0]]
            return values.view(_as_numbers(values.dtype)) if values.dtype.names else values

    def _texts(self, dataset: h5py.Dataset) -> NDArray[Any]:
        """Return texts, a few at a time: any number of them may be one and the same long text in the file."""
        if not dataset.shape or h5py.check_string_dtype(dataset.dtype).length is not None:
            return np.asarray(dataset[()])
        rows = max(1, _MOST_TEXT // (self.path.stat().st_size * max(1, math.prod(dataset.shape[1:]))))
        pieces = []
        for first in range(0, dataset.shape[0], rows):
            pieces.append(np.asarray(dataset[first : first + rows]))
            if max(map(len, pieces[-1].ravel()), default=0) > _LONGEST_TEXT:
                raise ValueError(f"it holds a text of more than {_LONGEST_TEXT} letters")
        return np.concatenate(pieces) if pieces else np.empty(dataset.shape, dataset.dtype)

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        dataset = self._dataset(key)
        check_fits_memory(self.path, key, _chunk_bytes(dataset))
        return Hdf5Source(self.path, key, shape, dataset.dtype, dataset.chunks)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Tell numbers and strings from what nobody keeps in an attribute: reading a damaged list crashes HDF5."""
    return dtype.kind in "biufcS" or h5py.check_string_dtype(dtype) is not None


def _plain_attribute(attributes: h5py.AttributeManager, name: str) -> Any:
    """Return an attribute; None where it is of another kind than numbers or text, or large."""
    identifier = attributes.get_id(name)
    if not _is_plain(identifier.dtype) or identifier.get_storage_size() > _CHEAP_BYTES:
        return None
    return attributes[name]


def _as_numbers(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of complex numbers for MATLAB's pairs of "real" and "imag", else the type itself."""
    if dtype.names == ("real", "imag") and dtype["real"] == dtype["imag"] and dtype["real"] in ("f4", "f8"):
        return np.result_type(dtype["real"], np.complex64)
    return dtype


def _walk(
    file: ReadFile, group: h5py.Group, prefix: str, visited: set[tuple[int, Any]], depth: int
) -> Iterator[tuple[str, str]]:
    """Yield kind and path of all that is there; groups that contain themselves are entered once."""
    for name in group:
        try:
            item = file.open_item(group, name)
        except (KeyError, OSError, RuntimeError):
            yield "dead link", prefix + name
            continue
        if isinstance(item, h5py.Dataset):
            yield "dataset", prefix + name
        elif isinstance(item, h5py.Group) and depth < _DEEPEST_GROUP and _address(item) not in visited:
            visited.add(_address(item))
            yield "group", prefix + name
            yield from _walk(file, item, f"{prefix}{name}/", visited, depth + 1)


def _address(group: h5py.Group) -> tuple[int, Any]:
    info = h5py.h5o.get_info(group.id)
    return info.fileno, info.addr


def _check_filters(path: Path, key: str, dataset: h5py.Dataset) -> None:
    with reading(path, f"'{key}'"):
        plist = dataset.id.get_create_plist()
        for i in range(plist.get_nfilters()):
            code, _, _, name = plist.get_filter(i)
            if not h5py.h5z.filter_avail(code):
                label = name.decode(errors="replace") or "unnamed"
                raise InputError(
                    f"{path}: '{key}' is compressed with the HDF5 filter {code} ({label}), which is not installed: "
                    "install its plugin, or write the file with another filter"
                )


def _check_virtual_sources(path: Path, key: str, dataset: h5py.Dataset, growing: bool) -> None:
    """HDF5 reads a source that it cannot open as zeros without a word: look before it does."""
    with reading(path, f"'{key}'"):
        files = virtual_sources(dataset)
    missing = [name for name, file in files.items() if not file.is_file()]
    if missing:
        raise InputError(
            f"{path}: '{key}' is put together from other files, of which {', '.join(missing[:5])} "
            f"({len(missing)} in all) are missing: put them beside it"
        )
    for name, file in files.items():
        try:
            opened = ReadFile(file)
        except InputError as error:
            raise InputError(f"{path}: '{key}' is put together from other files, and {error}") from error
        other = opened.growing != growing
        opened.close()
        if other:
            raise InputError(
                f"{path}: '{key}' is put together from other files, and either it or {name} is still being written, "
                "but not both: open it again when the acquisition has ended"
            )


def _checked_raw_files(path: Path, key: str, dataset: h5py.Dataset) -> list[Path]:
    """Return the raw files of a dataset. HDF5 reads as zeros what one is short of: look before it does."""
    files = []
    with reading(path, f"'{key}'"):
        wanted = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
        for name, offset, nbytes in dataset.external or ():
            raw = beside(Path(dataset.file.filename), name)
            if not raw.is_file():
                raise InputError(f"{path}: the values of '{key}' are in the file '{name}', which is missing")
            stored = min(nbytes, max(raw.stat().st_size - offset, 0), wanted)
            if stored < min(nbytes, wanted):
                raise InputError(f"{path}: the values of '{key}' are in '{name}', which is too short: copy it again")
            wanted -= stored
            files.append(raw)
    return files


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    """Return what is decompressed together, whatever part of it is asked for."""
    return int(math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize)
