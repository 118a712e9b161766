"""`Hdf5Source`: patterns of a dataset, read as they are asked for, in each process through a handle of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats.stores.hdf5_file import ReadFile, virtual_sources
from ptycho_core.formats.stores.store import reading


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
    chunks
        The dataset's, if it is stored in pieces.
    last_axis_first
        Present (y, x, n) as (n, y, x).
    """

    def __init__(
        self,
        path: Path,
        key: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        chunks: tuple[int, ...] | None = None,
        last_axis_first: bool = False,
    ) -> None:
        self._opened: tuple[int, ReadFile, h5py.Dataset] | None = None
        self._stored = (path, key, shape, dtype, chunks)
        self._path, self._key = path, key
        self._last_axis_first = last_axis_first
        self.shape = (shape[-1], *shape[:-1]) if last_axis_first else shape
        self.dtype = dtype
        self.together = 1 if chunks is None else chunks[-1 if last_axis_first else -3]
        """How many patterns are decompressed together, whichever of them is asked for."""

    def __reduce__(self) -> tuple[type[Hdf5Source], tuple[Any, ...]]:
        return type(self), (*self._stored, self._last_axis_first)

    def with_last_axis_first(self) -> Hdf5Source:
        """Return the same patterns seen as (n, y, x), where they are stored as (y, x, n)."""
        return Hdf5Source(*self._stored, last_axis_first=True)

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return the patterns of a slice or of increasing, unique indexes."""
        with self._dataset() as dataset, reading(self._path, f"'{self._key}'"):
            if isinstance(index, slice):
                start, stop, _ = index.indices(self.shape[0])
                return self._read_range(dataset, start, stop)
            rows = np.asarray(index)
            batch = np.empty((len(rows), *self.shape[1:]), self.dtype)
            for first, last in _runs(rows, self.together):
                start, stop = int(rows[first]), int(rows[last - 1]) + 1
                batch[first:last] = self._read_range(dataset, start, stop)[rows[first:last] - start]
            return batch

    def _read_range(self, dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
        if not self._last_axis_first:
            return _read_range(dataset, start, stop)
        patterns: NDArray[Any] = np.moveaxis(dataset[..., start:stop], -1, 0)
        return patterns.reshape(-1, *self.shape[1:])

    @contextmanager
    def _dataset(self) -> Iterator[h5py.Dataset]:
        # A handle inherited by fork shares its file position and cache with the parent: open again.
        if self._opened is not None and self._opened[0] == os.getpid():
            _, file, dataset = self._opened
            with file.reading:
                if dataset:  # not closed, as it is where the file was opened again after a change
                    yield dataset
                    return
        file = ReadFile(self._path)
        try:
            with reading(self._path, f"'{self._key}'"):
                dataset = file.open_item(file.root, self._key)
                file.hold(virtual_sources(dataset).values())
            if not file.growing:
                self._opened = (os.getpid(), file, dataset)
            yield dataset
        finally:
            if file.growing:
                file.close()

    def __del__(self) -> None:
        if self._opened is not None:
            _, file, dataset = self._opened
            file.leave(dataset)


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
