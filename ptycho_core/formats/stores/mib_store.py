"""The Merlin detector's ``.mib`` file, and the ``.hdr`` beside it.

Layout, as RosettaSciIO (``rsciio/quantumdetector``) reads it: before each frame a header of text, "MQ1" and, between
commas, the number of the frame, the header's length, the number of chips, width, height and type of the pixels, which
are big-endian. Rows are stored from the bottom up. ``.hdr`` says how many frames a trigger and the acquisition have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.frames import FrameSource, FrameStore, count_frames
from ptycho_core.formats.stores.store import LARGEST_SIDE, reading

SIGNATURE = b"MQ1,"
_TYPES = {"U01": ">u1", "U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_LARGEST_HEADER = 2**16
_LARGEST_HDR = 2**20
_PER_TRIGGER, _IN_ALL = "Frames per Trigger (Number)", "Frames in Acquisition (Number)"


class MibStore(FrameStore):
    """A Merlin file; its attributes are ``frames_per_trigger`` and ``num_frames``, where the ``.hdr`` says them."""

    container: ClassVar[str] = "mib"

    def __init__(self, path: Path) -> None:
        with reading(path, "its header"), path.open("rb") as file:
            words = file.read(384).decode("ascii", errors="replace").split(",")
            before, width, height = (int(words[place]) for place in (2, 4, 5))
            kind = words[6]
        if kind not in _TYPES:
            raise InputError(
                f"{path} holds pixels of the type '{kind[:20]}'; only processed ones are read ({', '.join(_TYPES)}): "
                "save it so from Merlin's software"
            )
        if not (0 < before <= _LARGEST_HEADER and 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
            raise InputError(f"{path}: its header of {before} bytes says {width} x {height} pixels: it is damaged")
        dtype = np.dtype(_TYPES[kind])
        stride = before + width * height * dtype.itemsize
        source = FrameSource(path, (count_frames(path, stride), height, width), dtype, before, stride)
        super().__init__(path, source, _hdr(path.with_suffix(".hdr")))


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
