"""HDF5 files: datasets stay on disk; links, filters and virtual sources that fail are named.

h5py is imported here and nowhere else in the readers, so that a scan in an NPZ does not wait for it.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressing detectors
import numpy as np
from numpy.typing import NDArray

from ptycho_core.errors import InputError
from ptycho_core.formats.store import Header, Store, check_fits_memory, reading
from ptycho_core.scan import ArraySource

_DEEPEST_GROUP = 24
_MOST_KEYS = 5000
_MOST_LISTED = 50
"""Attributes of one group or dataset."""
_CHEAP_BYTES = 4 * 2**20
_BUSY = ("unable to lock", "already open for write", "swmr", "consistency flags")


class Hdf5Store(Store):
    """An HDF5 file; soft and external links and virtual datasets resolve relative to it."""

    container = "hdf5"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = _open(path)
        self._headers: dict[str, Header] = {}

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
            for kind, key in itertools.islice(_walk(self._file, "", {_address(self._file)}, 0), _MOST_KEYS):
                found[kind].append(key)
        return found

    def __contains__(self, key: object) -> bool:
        # A dangling link counts as there: the reader then says what it points to, not that the key is missing.
        group: Any = self._file
        for part in str(key).split("/"):
            with reading(self.path, f"'{key}'"):
                if not isinstance(group, h5py.Group) or group.get(part, getlink=True) is None:
                    return False
                try:
                    group = _open_item(group, part)
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
            header = Header(dataset.shape, _as_numbers(dataset.dtype))
            plist = dataset.id.get_create_plist()
            external = plist.get_external_count()
            never_written = not dataset.id.get_storage_size() and not dataset.is_virtual and not external
            contiguous = plist.get_layout() == h5py.h5d.CONTIGUOUS and not external
        if header.nbytes and never_written:
            raise InputError(f"{self.path}: '{key}' is declared as {header.shape} but nothing was written into it yet")
        if contiguous and header.nbytes > self.path.stat().st_size and dataset.file.filename == self._file.filename:
            raise InputError(f"{self.path}: '{key}' declares {header.nbytes} bytes, more than the whole file has")
        return header

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
            chunk_bytes = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
            if not _is_plain(dataset.dtype) or max(chunk_bytes, count * dataset.dtype.itemsize) > _CHEAP_BYTES:
                return None
            first = (0,) * (len(dataset.shape) - 1)
            return np.atleast_1d(dataset[(*first, slice(count))] if dataset.shape else dataset[()])

    def close(self) -> None:  # noqa: D102
        self._file.close()

    def _item(self, key: str) -> Any:
        """Open a group or dataset, or the file where ``key`` is empty."""
        item: Any = self._file
        for part in key.split("/") if key else ():
            with reading(self.path, f"'{key}'"):
                link = item.get(part, getlink=True)
                try:
                    item = _open_item(item, part)
                except (KeyError, OSError, RuntimeError) as error:
                    raise InputError(f"{self.path}: '{key}' {_explain_link(link, error)}") from error
        return item

    def _dataset(self, key: str) -> h5py.Dataset:
        dataset = self._item(self.require(key))
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{self.path}: '{key}' is a group, not a dataset")
        _check_filters(self.path, key, dataset)
        return dataset

    def _read(self, key: str) -> NDArray[Any]:
        dataset = self._dataset(key)
        with reading(self.path, f"'{key}'"):
            values = np.asarray(dataset[()])
            return values.view(_as_numbers(values.dtype)) if values.dtype.names else values

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        dataset = self._dataset(key)
        with reading(self.path, f"'{key}'"):
            _check_virtual_sources(self.path, key, dataset)
            chunk_bytes = int(np.prod(dataset.chunks or (1,), dtype=np.float64)) * dataset.dtype.itemsize
        check_fits_memory(self.path, key, chunk_bytes)
        return Hdf5Source(self.path, key, shape, dataset.dtype)


class Hdf5Source:
    """A dataset of patterns that is opened when first asked for, in each process anew.

    Parameters
    ----------
    path
        The file.
    key
        The dataset in it.
    shape
        (n, y, x); the dataset's axes before its last two, if more than one, count as one.
    dtype
        As stored, any real type.
    last_axis_first
        Present (y, x, n) as (n, y, x).
    """

    def __init__(
        self, path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], last_axis_first: bool = False
    ) -> None:
        self._stored = (path, key, shape, dtype)
        self._path, self._key = path, key
        self._last_axis_first = last_axis_first
        self.shape = (shape[-1], *shape[:-1]) if last_axis_first else shape
        self.dtype = dtype
        self._opened: tuple[int, h5py.Dataset] | None = None

    def __reduce__(self) -> tuple[type[Hdf5Source], tuple[Any, ...]]:
        return type(self), (*self._stored, self._last_axis_first)

    def with_last_axis_first(self) -> Hdf5Source:
        """Return the same patterns seen as (n, y, x), where they are stored as (y, x, n)."""
        return Hdf5Source(*self._stored, last_axis_first=True)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return the patterns of a slice or of increasing, unique indexes."""
        dataset = self._dataset()
        with reading(self._path, f"'{self._key}'"):
            if isinstance(index, slice):
                start, stop, _ = index.indices(self.shape[0])
                return self._read_range(dataset, start, stop)
            rows = np.asarray(index)
            batch = np.empty((len(rows), *self.shape[1:]), self.dtype)
            pattern_axis = -1 if self._last_axis_first else -3
            for first, last in _runs(rows, dataset.chunks[pattern_axis] if dataset.chunks else 1):
                start, stop = int(rows[first]), int(rows[last - 1]) + 1
                batch[first:last] = self._read_range(dataset, start, stop)[rows[first:last] - start]
            return batch

    def _read_range(self, dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
        if not self._last_axis_first:
            return _read_range(dataset, start, stop)
        patterns: NDArray[Any] = np.moveaxis(dataset[..., start:stop], -1, 0)
        return patterns.reshape(-1, *self.shape[1:])

    def _dataset(self) -> h5py.Dataset:
        # A handle inherited by fork shares its file position and cache with the parent: open again.
        if self._opened is None or self._opened[0] != os.getpid():
            file = _open(self._path)
            with reading(self._path, f"'{self._key}'"):
                self._opened = (os.getpid(), _open_item(file, self._key))
        return self._opened[1]


def _read_range(dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    """Return the patterns from ``start`` to ``stop``, counted along all axes but the last two."""
    *outer, length = dataset.shape[:-2]
    pieces = [dataset[(0,) * len(outer)][:0]] if stop <= start else []
    for line in range(start // length, -(-stop // length) if stop > start else 0):
        columns = slice(max(start - line * length, 0), min(stop - line * length, length))
        pieces.append(dataset[(*map(int, np.unravel_index(line, outer)), columns)])
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _runs(rows: NDArray[np.int64], chunk: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of stretches that are worth one read: adjacent rows, or rows of one chunk.

    A chunk is decompressed whole whatever is asked of it, so its rows are best read together.
    """
    if len(rows) == 0:
        return
    apart = (np.diff(rows) > 1) & (np.diff(rows // chunk) > 0)
    yield from itertools.pairwise([0, *(np.flatnonzero(apart) + 1), len(rows)])


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


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking="best-effort")
    except Exception as error:
        message = " ".join(str(error).split())
        if any(words in message.lower() for words in _BUSY):
            raise InputError(
                f"{path} is still being written, or was not closed by the program that wrote it: open it again when "
                "the acquisition has ended (if it has, run `h5clear -s` on a copy)"
            ) from error
        if "truncated" in message:
            raise InputError(f"{path} is truncated: it is shorter than its own header says; copy it again") from error
        if isinstance(error, PermissionError):
            raise InputError(f"{path} cannot be opened: you have no permission to read it") from error
        raise InputError(f"{path} cannot be opened as HDF5, the file is damaged ({message[:200]})") from error


def _open_item(group: h5py.Group, name: str) -> Any:
    """Open a group or dataset; a dataset's raw files lie beside its file, not in the working directory.

    All handles of a dataset must agree in that: HDF5 refuses a second one that does not.
    """
    if h5py.h5o.get_info(group.id, name.encode()).type != h5py.h5o.TYPE_DATASET:
        return group[name]
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(b"${ORIGIN}")
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def _walk(group: h5py.Group, prefix: str, visited: set[tuple[int, Any]], depth: int) -> Iterator[tuple[str, str]]:
    """Yield kind and path of all that is there; groups that contain themselves are entered once."""
    for name in group:
        try:
            item = _open_item(group, name)
        except (KeyError, OSError, RuntimeError):
            yield "dead link", prefix + name
            continue
        if isinstance(item, h5py.Dataset):
            yield "dataset", prefix + name
        elif isinstance(item, h5py.Group) and depth < _DEEPEST_GROUP and _address(item) not in visited:
            visited.add(_address(item))
            yield "group", prefix + name
            yield from _walk(item, f"{prefix}{name}/", visited, depth + 1)


def _address(group: h5py.Group) -> tuple[int, Any]:
    info = h5py.h5o.get_info(group.id)
    return info.fileno, info.addr


def _explain_link(link: Any, error: Exception) -> str:
    if isinstance(link, h5py.ExternalLink):
        return f"is a link to '{link.path}' in the file '{link.filename}', which is missing: put that file beside it"
    if isinstance(link, h5py.SoftLink):
        return f"is a link to '{link.path}', which does not exist in the file or leads back to itself"
    return f"cannot be opened ({' '.join(str(error).split())[:200]})"


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


def _check_virtual_sources(path: Path, key: str, dataset: h5py.Dataset) -> None:
    """HDF5 reads a missing source as zeros without a word: look before it does."""
    if not dataset.is_virtual:
        return
    folder = Path(dataset.file.filename).parent
    missing = []
    for name in sorted({source.file_name for source in dataset.virtual_sources()}):
        if name != "." and "%" not in name and not (folder / name).exists():
            missing.append(name)
    if missing:
        raise InputError(
            f"{path}: '{key}' is put together from other files, of which {', '.join(missing[:5])} "
            f"({len(missing)} in all) are missing: put them beside it"
        )
