"""MDA files as saveData writes them, by the sscan module's description of version 1.4."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Column:
    """A positioner or a detector: its unit, its description, and what was read at each point of its loop."""

    values: ArrayLike
    unit: str = ""
    described: str = ""


@dataclass(frozen=True)
class Loop:
    """A scan: what moves and what is read at each point, the loops within, and how many points were asked for."""

    positioners: Sequence[Column] = ()
    detectors: Sequence[Column] = ()
    within: Sequence[Loop] = ()
    asked: int | None = None

    @property
    def taken(self) -> int:
        """Points that were taken."""
        return np.size([*self.positioners, *self.detectors][0].values)


def write_mda(path: Path, scan: Loop, version: float = 1.4) -> Path:
    """Write a scan, with a trigger in each loop and an extra PV at the end."""
    rank = _rank(scan)
    head = struct.pack(">fii", version, 123, rank)
    head += struct.pack(f">{rank}i", *_points(scan)) + struct.pack(">i", 1)
    body = _scan(scan, rank, len(head) + 4)
    extra = _int(1) + _text("2idd:energy") + _text("energy") + _int(34) + _int(1) + _text("keV") + struct.pack(">d", 10)
    path.write_bytes(head + _int(len(head) + 4 + len(body)) + body + extra)
    return path


def _rank(scan: Loop) -> int:
    return 1 + (_rank(scan.within[0]) if scan.within else 0)


def _points(scan: Loop) -> list[int]:
    return [scan.asked or scan.taken, *(_points(scan.within[0]) if scan.within else [])]


def _scan(scan: Loop, rank: int, at: int) -> bytes:
    asked = scan.asked or scan.taken
    info = _text(f"2idd:scan{rank}") + _text("NOV 28, 2026 02:00:00.123456789")
    info += _int(len(scan.positioners)) + _int(len(scan.detectors)) + _int(1)
    for number, one in enumerate(scan.positioners):
        read_back = _text(f"2idd:m{number}.RBV") + _text(one.described) + _text(one.unit)
        info += _int(number) + _text(f"2idd:m{number}.VAL") + _text("") + _text("LINEAR") + _text("") + read_back
    for number, one in enumerate(scan.detectors):
        info += _int(number) + _text(f"2idd:scaler1.S{number}") + _text(one.described) + _text(one.unit)
    info += _int(0) + _text("2idd:scaler1.CNT") + struct.pack(">f", 1.0)
    data = b"".join(_padded(one.values, asked, ">f8") for one in scan.positioners)
    data += b"".join(_padded(one.values, asked, ">f4") for one in scan.detectors)
    head = _int(rank) + _int(asked) + _int(scan.taken)
    here = len(head) + (4 * asked if rank > 1 else 0) + len(info) + len(data)
    offsets, below = [], b""
    for lower in scan.within:
        offsets.append(at + here + len(below))
        below += _scan(lower, rank - 1, offsets[-1])
    if rank > 1:
        head += struct.pack(f">{asked}i", *offsets, *[0] * (asked - len(offsets)))
    return head + info + data + below


def _int(number: int) -> bytes:
    return struct.pack(">i", number)


def _text(text: str) -> bytes:
    stored = text.encode()
    return _int(len(stored)) + (_int(len(stored)) + stored + bytes(-len(stored) % 4) if stored else b"")


def _padded(values: ArrayLike, asked: int, kind: str) -> bytes:
    return np.append(np.asarray(values, float), np.zeros(asked - np.size(values))).astype(kind).tobytes()
