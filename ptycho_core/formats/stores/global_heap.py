"""Heaps of an HDF5 file that the library would never come back from: looked for before it reads text out of them.

Text of variable length lies in global heap collections (HDF5 File Format Specification, III.E): ``GCOL``, version 1,
three zero bytes, the size of the collection, then objects, each an index, its size and its bytes; what is free is an
object of index 0. Where damage makes that one of size 0, HDF5 (as of 2.0) stays at it for ever.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptycho_core.base.errors import InputError

_SIGNATURE = b"GCOL\x01\0\0\0"
_HEADER = 16
"""Bytes of a collection, and of an object, before what they hold, where lengths take eight bytes, as is usual."""
_LOOKED_AT = 4 * 2**20
"""Bytes from the file's beginning, where programs write such text with the other metadata."""


def refuse_endless_heap(path: Path) -> None:
    """Look at the heaps at the beginning of a file.

    Raises
    ------
    InputError
        HDF5 would not come back from one of them.
    """
    with path.open("rb") as file:
        head = file.read(_LOOKED_AT)
    start = head.find(_SIGNATURE)
    while start >= 0:
        if _is_endless(head[start : start + _length_at(head, start + 8)]):
            raise InputError(f"{path} is damaged: a heap of its texts has no end; copy it again")
        start = head.find(_SIGNATURE, start + 8)


def _is_endless(collection: bytes) -> bool:
    place = _HEADER
    while place + _HEADER <= len(collection):
        size = _length_at(collection, place + 8)
        if collection[place : place + 2] == b"\0\0":
            if size == 0:
                return True
            place += size
        else:
            place += _HEADER + (size + 7) // 8 * 8
    return False


def _length_at(data: bytes, place: int) -> int:
    return int(np.frombuffer(data[place : place + 8].ljust(8, b"\0"), "<u8")[0])
