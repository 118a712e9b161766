"""Single arrays out of files that others wrote: masks, dark frames, monitors. Data only, never code."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import LARGEST_ARRAY, drop_leading, list_keys, reading

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_array(file: str, axes: int) -> NDArray[Any]:
    """Return the real numbers or booleans that a file holds.

    Parameters
    ----------
    file
        A .npy, .tif, .npz or HDF5 file, told apart by its content; ``FILE::KEY`` where it holds several arrays.
    axes
        How many the array shall have: leading axes of length 1 are dropped.

    Raises
    ------
    InputError
        It cannot be read, is not clearly one array, holds something else, or is unreasonably large.
    """
    name, _, key = file.partition("::")
    path = Path(name)
    start = _start_of(path)
    if start.startswith(b"\x93NUMPY"):
        array = _read_npy(path)
    elif start.startswith(_TIFF):
        array = _read_tiff(path)
    else:
        array = _read_stored(path, key, axes)
    if array.dtype.kind not in "biuf" or 0 in array.shape:
        raise InputError(f"{file} holds {array.shape} {array.dtype}; it must hold real numbers")
    return array.reshape(drop_leading(array.shape, axes))


def fingerprint(array: NDArray[Any]) -> str:
    """Return a few digits that tell this array from others, for a history that has to notice another file."""
    digest = hashlib.sha256(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _read_npy(path: Path) -> NDArray[Any]:
    with reading(path, "the array"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        _check_size(path, array.shape, array.dtype)
        return np.array(array)


def _read_tiff(path: Path) -> NDArray[Any]:
    import tifffile  # not for those who have no TIFF: it costs a quarter of a second

    with reading(path, "the image"), tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        _check_size(path, series.shape, np.dtype(series.dtype))
        return np.asarray(series.asarray())


def _read_stored(path: Path, key: str, axes: int) -> NDArray[Any]:
    with open_store(path) as store:
        if not key:
            names = store.keys()
            keys = [k for k in names if len(drop_leading(store.header(k).shape, axes)) == axes]
            if len(keys) != 1:
                there = list_keys(names, "mask")
                raise InputError(f"{path} holds {there}; say which with {path.name}::KEY")
            key = keys[0]
        return store.read(store.require(key.lstrip("/")))


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if math.prod(shape) * dtype.itemsize > LARGEST_ARRAY:
        raise InputError(f"{path} declares {shape} {dtype}, more than {LARGEST_ARRAY >> 30} GiB: not one image or list")
