"""Virtual datasets of HDF5: which of their patterns are in the files that they are put together from."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.hdf5_file import ReadFile, virtual_sources


def absent_patterns(dataset: h5py.Dataset) -> tuple[NDArray[np.int64], str]:
    """Return which patterns a virtual dataset (..., y, x) has no source for, and why, as the middle of a sentence.

    HDF5 reads as zeros what is in no source, or in one that is missing, and refuses what a source is too short for.
    """
    outer = dataset.shape[:-2]
    covered, lacking = np.zeros(outer, bool), np.zeros(outer, bool)
    files, told = virtual_sources(dataset), []
    lengths: dict[tuple[str, str], int | None] = {}
    for source in dataset.virtual_sources():
        low, high = source.vspace.get_select_bounds()
        place = tuple(slice(a, b + 1) for a, b in zip(low[: len(outer)], high[: len(outer)], strict=True))
        covered[place] = True
        if source.file_name not in files:  # the same file, or a series of any number of files
            continue
        which = source.file_name, source.dset_name
        if which not in lengths:
            lengths[which] = _length(files[source.file_name], source.dset_name)
        held = lengths[which]
        whole = source.src_space.get_select_type() == h5py.h5s.SEL_ALL
        first = 0 if whole else source.src_space.get_select_bounds()[0][0]
        wanted = covered[place].shape[0]
        if held is None:
            told.append(f"{source.file_name} is missing")
            lacking[place] = True
        elif (there := held - first) < wanted and len(place) == 1:
            told.append(f"{source.file_name} holds {max(there, 0)} of {wanted}")
            lacking[place[0].start + max(there, 0) : place[0].stop] = True
    absent = np.flatnonzero(lacking | ~covered)
    if not covered.all():
        told.append(f"{np.count_nonzero(~covered)} are in no file")
    return absent, ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")


def _length(path: Path, key: str) -> int | None:
    """Return along its first axis how long an array in a file is, of a single image 1; None where it is not there."""
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
    return int(shape[0]) if len(shape) > 2 else 1
