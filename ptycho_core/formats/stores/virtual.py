"""Virtual datasets of HDF5: which of their patterns are in the files that they are put together from."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.hdf5_file import ReadFile, virtual_sources


def absent_patterns(dataset: h5py.Dataset) -> tuple[NDArray[np.bool_], str]:
    """Return which patterns of a virtual dataset (..., y, x) are in no source, and why, as the middle of a sentence.

    HDF5 reads as zeros what is in no source, or in one that is missing, and refuses what a source is too short for.
    Patterns of several outer axes count as one after another.
    """
    outer = dataset.shape[:-2]
    numbers = np.arange(math.prod(outer)).reshape(outer)
    covered, lacking = np.zeros(numbers.size, bool), np.zeros(numbers.size, bool)
    files, told = virtual_sources(dataset), []
    shapes: dict[tuple[str, str], tuple[int, ...] | None] = {}
    for source in dataset.virtual_sources():
        places = numbers[np.ix_(*_selected(source.vspace, outer))].ravel()
        covered[places] = True
        if source.file_name not in files:  # the same file, or a series of any number of files
            continue
        which = source.file_name, source.dset_name
        if which not in shapes:
            shapes[which] = _shape(files[source.file_name], source.dset_name)
        shape = shapes[which]
        if shape is None:
            told.append(f"{source.file_name} is missing")
            lacking[places] = True
        elif theirs := shape[:-2]:  # where it is a single image, nothing is short of patterns
            held = math.prod(map(len, _selected(source.src_space, theirs)))
            if held < len(places):
                told.append(f"{source.file_name} holds {held} of {len(places)}")
                lacking[places[held:]] = True
    if not covered.all():
        told.append(f"{np.count_nonzero(~covered)} are in no file")
    return lacking | ~covered, ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")


def _selected(space: h5py.h5s.SpaceID, shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """Return which indexes along each of its first axes, of these lengths, a selection takes."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS:
        return [np.arange(n) for n in shape]
    if space.is_regular_hyperslab():
        return [_evenly(n, *axis) for n, *axis in zip(shape, *space.get_regular_hyperslab(), strict=False)]
    blocks = space.get_select_hyper_blocklist().astype(np.int64)
    return [
        np.unique(np.concatenate([np.arange(low[axis], min(high[axis] + 1, n)) for low, high in blocks]))
        for axis, n in enumerate(shape)
    ]


def _evenly(n: int, start: int, stride: int, count: int, block: int) -> NDArray[np.int64]:
    """Return the indexes below ``n`` of blocks at equal distances; ``count`` or ``block`` may be without a limit."""
    starts = np.arange(start, min(start + stride * count, n), stride)
    indexes = (starts[:, None] + np.arange(min(block, n))).ravel()
    return indexes[indexes < n]


def _shape(path: Path, key: str) -> tuple[int, ...] | None:
    """Return the shape of an array in a file; None where the file is not there."""
    if not path.is_file():
        return None
    file = ReadFile(path)
    try:
        # As HDF5 opened it for an earlier look at the virtual dataset, of which it refuses handles of another kind.
        shape = getattr(file.root[key], "shape", None) if key in file.root else None
    except (KeyError, OSError, RuntimeError) as error:
        raise InputError(f"'{key}' in {path.name} cannot be opened") from error
    finally:
        file.close()
    if not shape:
        raise InputError(f"{path.name} holds no '{key}'")
    return tuple(shape)
