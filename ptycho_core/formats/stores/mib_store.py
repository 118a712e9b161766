"""The Merlin detector's ``.mib`` file, and the ``.hdr`` beside it.

Layout, as RosettaSciIO (``rsciio/quantumdetector``) reads it: before each frame a header of text, "MQ1" and, between
commas, the number of the frame, the header's length, the number of chips, width, height and type of the pixels, which
are big-endian. Rows are stored from the bottom up. ``.hdr`` says how many frames a trigger and the acquisition have.

Raw frames (``R64``) are as the chips are read out, and as LiberTEM (``libertem/io/dataset/mib.py``) reads them: the
last number of the header is the depth of the counters. Pixels are in big-endian words of 64 bits, the first in the
lowest bits: 1 bit each for a depth of 1, 8 for 6, 16 for 12. For a depth of 24 there are two such frames of 12 bits,
the higher ones first, and the header counts the columns of both. Of four chips, 2 x 2, each row holds a row of the
lower right, the lower left, the upper right and the upper left one; the lower ones are upside down and back to front.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.frames import FrameSource, FrameStore, count_frames
from ptycho_core.formats.stores.store import LARGEST_SIDE, reading

SIGNATURE = b"MQ1,"
_TYPES = {"U01": ">u1", "U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_RAW = "R64"
_CELLS = {1: 1, 6: 8, 12: 16, 24: 16}
"""Bits that a pixel takes in a raw frame, by the depth of its counter."""
_WORD = 64
_LARGEST_HEADER = 2**16
_LARGEST_HDR = 2**20
_PER_TRIGGER, _IN_ALL = "Frames per Trigger (Number)", "Frames in Acquisition (Number)"


class MibStore(FrameStore):
    """A Merlin file; its attributes are ``frames_per_trigger`` and ``num_frames``, where the ``.hdr`` says them, and
    ``first_frame``, the number in the acquisition of its first.
    """

    container: ClassVar[str] = "mib"

    def __init__(self, path: Path) -> None:
        with reading(path, "its header"), path.open("rb") as file:
            words = file.read(384).decode("ascii", errors="replace").split(",")
            first, before, chips, width, height = (int(words[place]) for place in (1, 2, 3, 4, 5))
            kind = words[6].strip("\0 ")
            file.seek(0)
            header = file.read(min(max(before, 0), _LARGEST_HEADER)).decode("ascii", errors="replace").split(",")
        if kind not in (*_TYPES, _RAW):
            raise InputError(
                f"{path} holds pixels of the type '{kind[:20]}'; only these are read: {', '.join((*_TYPES, _RAW))}"
            )
        if not (0 < before <= _LARGEST_HEADER and 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
            raise InputError(f"{path}: its header of {before} bytes says {width} x {height} pixels: it is damaged")
        if kind == _RAW:
            source: FrameSource = _raw_source(path, header[7:], chips, (height, width), before)
        else:
            dtype = np.dtype(_TYPES[kind])
            stride = before + width * height * dtype.itemsize
            source = FrameSource(path, (count_frames(path, stride), height, width), dtype, before, stride)
        of_series = path.with_name(path.stem.rstrip("0123456789") + ".hdr")
        super().__init__(path, source, {**(_hdr(path.with_suffix(".hdr")) or _hdr(of_series)), "first_frame": first})


class _RawSource(FrameSource):
    """Raw frames (n, y, x): bytes of a file, put in order when they are asked for.

    Parameters
    ----------
    path, before, stride
        As of `FrameSource`.
    stored
        (n, bytes of a frame).
    size
        (y, x).
    depth
        Of the counters.
    quad
        Whether a frame is of four chips.
    """

    def __init__(
        self, path: Path, stored: tuple[int, int], size: tuple[int, int], depth: int, quad: bool, before: int
    ) -> None:
        super().__init__(path, stored, np.dtype("u1"), before, before + stored[1])
        self._depth, self._quad = depth, quad
        self.shape, self.dtype = (stored[0], *size), np.dtype({1: "u1", 6: "u1", 12: "u2", 24: "u4"}[depth])

    def _frames(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        stored = super()._frames(rows)
        frames = (len(rows), 2) if self._depth > 12 else (len(rows), 1)
        pixels = _first_is_lowest(stored.reshape(*frames, -1), _CELLS[self._depth])
        if self._depth > 12:
            pixels = pixels.astype(np.uint32) << np.array([[[12], [0]]], np.uint32)
        joined = pixels.sum(axis=1, dtype=self.dtype)
        return _assembled(joined, self.shape[1:]) if self._quad else joined.reshape(len(rows), *self.shape[1:])


def _first_is_lowest(words: NDArray[np.uint8], cell: int) -> NDArray[Any]:
    """Return the pixels (..., m) of big-endian words of 64 bits (..., bytes), the first in the lowest ``cell`` bits."""
    if cell == 1:
        backwards = words.reshape(*words.shape[:-1], -1, _WORD // 8)[..., ::-1]
        return np.unpackbits(backwards.reshape(words.shape), axis=-1, bitorder="little")
    cells = words.view(f">u{cell // 8}")
    return cells.reshape(*words.shape[:-1], -1, _WORD // cell)[..., ::-1].reshape(*words.shape[:-1], -1)


def _assembled(rows: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Return the image (n, y, x) of four chips from what is read out of them row by row."""
    n, half = len(rows), size[0] // 2
    lower_right, lower_left, upper_right, upper_left = rows.reshape(n, half, 4, -1).transpose(2, 0, 1, 3)
    upper = np.concatenate([upper_left, upper_right], axis=-1)
    lower = np.concatenate([lower_left[:, ::-1, ::-1], lower_right[:, ::-1, ::-1]], axis=-1)
    return np.concatenate([upper, lower], axis=1)


def _raw_source(path: Path, said: list[str], chips: int, size: tuple[int, int], before: int) -> _RawSource:
    """Return raw frames; ``said`` is what the header of the first goes on with behind the type: layout ... depth.

    Raises
    ------
    InputError
        The chips, or the depth of their counters, are such as nobody has described.
    """
    height, width = size
    numbers = [int(word) for word in said if word.strip().isdecimal()]
    depth, layout, quad = (numbers or [0])[-1], said[0].strip() if said else "", chips == 4
    if depth not in _CELLS or chips not in (1, 4) or (quad and (layout.rstrip("G") != "2x2" or depth > 12)):
        raise InputError(
            f"{path} holds raw frames of {chips} chips ({layout[:20]}) with counters of {depth} bits; one chip, or "
            "four as 2x2 with counters of up to 12 bits, can be read: save it as processed (U16) from Merlin's software"
        )
    if depth > 12:
        width //= 2  # the header counts the columns of both frames
    frame = height * width * _CELLS[depth] * (2 if depth > 12 else 1) // 8
    if width * _CELLS[depth] % _WORD or not width:
        raise InputError(f"{path}: rows of {width} pixels of {depth} bits are no whole words of 64 bits: it is damaged")
    n = count_frames(path, before + frame)
    shape = (2 * height, width // 2) if quad else (height, width)
    return _RawSource(path, (n, frame), shape, depth, quad, before)


def _hdr(path: Path) -> dict[str, Any]:
    """Return what the file beside it says, as far as it is there."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_HDR:
            return {}
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError:
        return {}
    said = dict(line.split("\t", 1) for line in lines if "\t" in line)
    stated = {}
    for name, key in (("frames_per_trigger", _PER_TRIGGER), ("num_frames", _IN_ALL)):
        text = (said.get(f"{key}:") or said.get(key) or "").strip()
        if text.isdecimal() and int(text):
            stated[name] = int(text)
    return stated
