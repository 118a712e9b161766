"""Ways to damage a scan's file: shared by tests and `benchmarks/fuzz_formats.py`.

Each of `KINDS` turns an intact file into a damaged one, by a seeded random generator: the same seed, the same file.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.helpers.damaged_subjects import SUBJECTS, intact

# Bytes

_STRUCTURES = (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"GCOL", b"\x89HDF", b"PK\x01\x02", b"PK\x03\x04", b"\x93NUMPY")


def flip_bytes(name: str, path: Path, rng: np.random.Generator) -> None:
    """Change a few bytes anywhere."""
    content = np.frombuffer(intact(name), np.uint8).copy()
    places = rng.integers(0, len(content), rng.integers(1, 20))
    content[places] = rng.integers(0, 256, len(places))
    path.write_bytes(content.tobytes())


def flip_structure(name: str, path: Path, rng: np.random.Generator) -> None:
    """Change a few bytes after the marks of headers, indexes and directories."""
    content = bytearray(intact(name))
    marks = [at for mark in _STRUCTURES for at in _all_places(bytes(content), mark)] or [0]
    for _ in range(rng.integers(1, 6)):
        place = min(int(rng.choice(marks)) + int(rng.integers(0, 96)), len(content) - 1)
        content[place] = int(rng.choice([0, 1, 0x7F, 0xFF, int(rng.integers(0, 256))]))
    path.write_bytes(content)


def _all_places(content: bytes, mark: bytes) -> list[int]:
    places, at = [], content.find(mark)
    while at >= 0:
        places.append(at)
        at = content.find(mark, at + 1)
    return places


def truncate(name: str, path: Path, rng: np.random.Generator) -> None:
    """Cut the end off."""
    content = intact(name)
    path.write_bytes(content[: rng.integers(0, len(content))])


def lose_piece(name: str, path: Path, rng: np.random.Generator) -> None:
    """Leave out, zero, double or exchange a piece of the middle."""
    content = intact(name)
    first, last = sorted(map(int, rng.integers(0, len(content), 2)))
    piece = (b"", bytes(last - first), 2 * content[first:last], rng.bytes(last - first))[rng.integers(0, 4)]
    path.write_bytes(content[:first] + piece + content[last:])


# Arrays

SHAPES = ((10**6, 10**6, 10**6), (2**62, 2**62, 4), (2**31, 3), (10**9,), (12, 40000, 40000), (10**8, 16, 16), (2**40,))
_ABSURD_TYPES = (">f8", "<u8", "<i1", "?", "<f2", "<c8", "S5", "<M8[s]")


def wrong_value(rng: np.random.Generator, value: np.ndarray) -> np.ndarray | None:
    """Return an array with something wrong with it, or None for a key that is gone."""
    kind = rng.integers(0, 12)
    if kind == 0 or value.dtype.kind not in "biufc":
        return None
    if kind == 1:
        return value[..., None]
    if kind == 2:
        return value[:-1] if value.ndim else np.array([1.0, 2.0])
    if kind == 3:
        return value.ravel()
    if kind == 4:
        return np.asarray(rng.choice([np.nan, np.inf, -1.0, 0.0, 1e300, 1e-320]))
    if kind == 5:
        return np.full(value.shape, rng.choice([np.nan, np.inf, -np.inf, -5.0, 0.0, 3e38, 1e308]))
    if kind == 6:
        planted = np.array(value, np.float64 if value.dtype.kind != "c" else np.complex128)
        if planted.size:
            places = rng.integers(0, planted.size, rng.integers(1, 9))
            planted.ravel()[places] = rng.choice([np.nan, -1.0, 1e30, np.inf])
        return planted
    if kind == 7:
        return value[:0] if value.ndim else np.empty(0)
    if kind == 8:
        return np.array([b"text"] * 3)
    if kind == 9:
        return np.swapaxes(value, 0, -1) if value.ndim else value[None, None]
    if kind == 10:
        return np.repeat(value[None], 2, axis=0)
    with np.errstate(all="ignore"):
        return np.abs(value).astype(np.int64).astype(rng.choice(_ABSURD_TYPES))


def wrong_array(name: str, path: Path, rng: np.random.Generator) -> None:
    """Take away an array, or change its shape, type or values; of one or two arrays."""
    container = SUBJECTS[name].container
    path.write_bytes(intact(name))
    for _ in range(rng.integers(1, 3)):
        {"npz": _wrong_member, "hdf5": _wrong_dataset, "text": _wrong_cells}[container](path, rng)


def _wrong_member(path: Path, rng: np.random.Generator) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    if not arrays:
        return
    key = str(rng.choice(sorted(arrays)))
    value = wrong_value(rng, arrays.pop(key))
    left: dict[str, Any] = arrays if value is None else {**arrays, key: value}
    with path.open("wb") as file:
        np.savez(file, **left)


def _wrong_dataset(path: Path, rng: np.random.Generator) -> None:
    with h5py.File(path, "a") as file:
        keys = _numeric(file)
        if not keys:
            return
        key = str(rng.choice(keys))
        value, attributes = wrong_value(rng, np.asarray(file[key][()])), dict(file[key].attrs)
        del file[key]
        if value is not None and value.dtype.kind != "M":
            file[key] = value
            file[key].attrs.update(attributes)
        elif rng.integers(0, 2):
            file.create_group(key)


def _wrong_cells(path: Path, rng: np.random.Generator) -> None:
    lines = path.read_text().splitlines()
    row = int(rng.integers(0, len(lines)))
    cells = lines[row].split(",")
    cells[rng.integers(0, len(cells))] = str(
        rng.choice(["nan", "inf", "", "x", "1e999", "-1", "\0", "#", '"', "9" * 400])
    )
    lines[row] = str(rng.choice([",", ";", " ", "\t"])).join(cells)
    path.write_text("\n".join(lines))


def _numeric(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visititems(
        lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufc" else None
    )
    return sorted(found)


def lose_keys(name: str, path: Path, rng: np.random.Generator) -> None:
    """Take away several keys."""
    if SUBJECTS[name].container == "hdf5":
        path.write_bytes(intact(name))
        with h5py.File(path, "a") as file:
            names: list[str] = []
            file.visit(names.append)
            for place in rng.permutation(len(names))[: rng.integers(1, len(names) + 1)]:
                if (key := names[place]) in file:
                    del file[key]
    elif SUBJECTS[name].container == "npz":
        path.write_bytes(intact(name))
        with np.load(path) as archive:
            keep = [key for key in archive.files if rng.random() < 0.6]
            arrays = {key: archive[key] for key in keep}
        with path.open("wb") as file:
            np.savez(file, **arrays)
    else:
        lines = intact(name).decode().splitlines()
        path.write_text("\n".join(line for line in lines if rng.random() < 0.6))


# Files that lie about their size


def absurd_shape(name: str, path: Path, rng: np.random.Generator) -> None:
    """Declare an array of terabytes where a file holds a few bytes."""
    shape = SHAPES[rng.integers(0, len(SHAPES))]
    if SUBJECTS[name].container == "npz":
        members = dict(_members(name))
        key = str(rng.choice(sorted(members)))
        members[key] = _npy_header(shape) + members[key][128:]
        _write_members(path, members, rng)
    elif SUBJECTS[name].container == "hdf5":
        path.write_bytes(intact(name))
        with h5py.File(path, "a") as file:
            key = str(rng.choice(_numeric(file)))
            dtype = file[key].dtype
            del file[key]
            _declare(file, key, tuple(min(length, 2**31) for length in shape), dtype, rng)
    else:
        path.write_text("number,y,x\n" + "\n".join(f"{i},{i},0" for i in range(10 ** int(rng.integers(2, 6)))))


def _declare(file: h5py.File, key: str, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> None:
    kind = rng.integers(0, 3)
    if kind == 0:  # one small chunk of it is written
        dataset = file.create_dataset(key, shape, dtype, chunks=(1,) * (len(shape) - 1) + (min(4, shape[-1]),))
        with contextlib.suppress(OSError):  # no index of chunks is long enough for some
            dataset[(0,) * len(shape)] = 1
    elif kind == 1:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[(slice(0, 1),) * len(shape)] = h5py.VirtualSource(".", "there", (1,) * len(shape), dtype)
        file["there"] = np.ones((1,) * len(shape), dtype)
        file.create_virtual_dataset(key, layout)
    else:  # its bytes are in another file, which is shorter, or has no end
        outside = str(rng.choice(["/dev/zero", "/etc/hostname", "missing.raw"]))
        file.create_dataset(key, shape, dtype, external=[(outside, 0, h5py.h5f.UNLIMITED)])


@cache
def _members(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(intact(name))) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def _write_members(path: Path, members: dict[str, bytes], rng: np.random.Generator) -> None:
    method = zipfile.ZIP_DEFLATED if rng.integers(0, 2) else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def _npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def bomb(name: str, path: Path, rng: np.random.Generator) -> None:
    """Compress gigabytes of zeros into a few kilobytes."""
    if SUBJECTS[name].container == "npz":
        _npz_bomb(name, path, rng)
    elif SUBJECTS[name].container == "hdf5":
        _hdf5_bomb(name, path, rng)
    else:
        path.write_text(",".join("9" * 10 ** int(rng.integers(3, 7)) for _ in range(3)))


@cache
def _deflated(megabytes: int, header: bytes = b"", wrapped: bool = False) -> bytes:
    """Return a stream of zeros: a flushed mebibyte of them can be repeated without compressing it again."""
    window = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    start = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    one = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + one * megabytes + packer.flush()


def _npz_bomb(name: str, path: Path, rng: np.random.Generator) -> None:
    members = dict(_members(name))
    key = str(rng.choice(sorted(members)))
    megabytes = int(rng.choice([300, 1100, 2000]))
    frame = (16, 16) if rng.integers(0, 2) else (4096, 16)
    header = _npy_header((megabytes * 2**18 // (frame[0] * frame[1]), *frame))
    members.pop(key)
    _write_members(path, members, rng)
    packed = _deflated(megabytes, header)
    claimed = len(header) + megabytes * 2**20 if rng.integers(0, 2) else int(rng.choice([500, 2**31, 2**32 - 2]))
    with zipfile.ZipFile(path, "a") as archive, archive.open(key, "w") as member:
        member.write(packed)
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"PK\x01\x02")
    local = content.find(packed) - 30 - len(key)
    for at, fields in ((entry, (10, 20, 24)), (local, (8, 18, 22))):
        method, compressed, size = (at + offset for offset in fields)
        content[method : method + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        content[compressed : compressed + 4] = struct.pack("<I", len(packed))
        content[size : size + 4] = struct.pack("<I", min(claimed, 2**32 - 2))
    path.write_bytes(content)


def _hdf5_bomb(name: str, path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(intact(name))
    megabytes = int(rng.choice([300, 1100, 2000]))
    with h5py.File(path, "a") as file:
        key = str(rng.choice([key for key in _numeric(file) if file[key].ndim] or [""]))
        if not key:
            return
        shape, dtype = file[key].shape, np.dtype(np.float32)
        del file[key]
        longest = megabytes * 2**20 // (4 * int(np.prod(shape[1:])))
        length = shape[0] if rng.integers(0, 2) else longest  # a chunk may be longer than what it holds
        dataset = file.create_dataset(
            key, (length, *shape[1:]), dtype, maxshape=(None, *shape[1:]), chunks=(longest, *shape[1:]), compression=1
        )
        dataset.id.write_direct_chunk((0,) * len(shape), _deflated(megabytes, wrapped=True))


# What only HDF5 has


def wrong_link(name: str, path: Path, rng: np.random.Generator) -> None:
    """Put links in the place of an array or a group: that loop, that lead outside, or nowhere."""
    path.write_bytes(intact(name))
    outside = ("missing.h5", "/etc/passwd", "/dev/zero", "/", str(path), path.name, "fifo")
    fifo = path.with_name("fifo")
    if not fifo.exists():
        os.mkfifo(fifo)
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        key, other = (names[place] for place in rng.integers(0, len(names), 2))
        kind = rng.integers(0, 5)
        target = file[other] if kind == 0 else None
        del file[key]
        if target is not None:
            file[key] = target if other in file else file["/"]
        elif kind == 1:
            file[key] = h5py.SoftLink(str(rng.choice(["/" + key, "/" + other, "/", ".", "..", "/nowhere"])))
        elif kind == 2:
            file[key] = h5py.ExternalLink(str(rng.choice(outside)), str(rng.choice(["/" + key, "/" + other, "/", "x"])))
        elif kind == 3:
            file.create_group(key)["again"] = file["/"]
        else:
            layout = h5py.VirtualLayout((12, 16, 16), np.float32)
            layout[:] = h5py.VirtualSource(str(rng.choice(outside)), "/" + key, (12, 16, 16))
            file.create_virtual_dataset(key, layout)


def wrong_type(name: str, path: Path, rng: np.random.Generator) -> None:
    """Replace an array by one of a type that is no number, or an attribute by another."""
    path.write_bytes(intact(name))
    pairs = np.zeros(3, [("real", "f4"), ("imag", "f8")])
    texts = np.array(["a" * 10**5, "ä", ""], object)
    with h5py.File(path, "a") as file:
        key = str(rng.choice(_numeric(file)))
        owner = file[key] if rng.integers(0, 2) else file
        if rng.integers(0, 3) == 0:
            for attribute in [*file[key].attrs, "units", "energy", "pixel_width_m", "vector"]:
                text = str(rng.choice(["furlong", "", "m", "µm"]))
                owner.attrs[attribute] = text if rng.integers(0, 2) else [np.nan] * 3
            return
        kind = rng.integers(0, 6)
        reference = file.ref
        del file[key]
        if kind == 0:
            file[key] = h5py.Empty("f4")
        elif kind == 1:
            file[key] = pairs
        elif kind == 2:
            file[key] = texts.astype(h5py.string_dtype())
        elif kind == 3:
            file.create_dataset(key, (3,), h5py.vlen_dtype(np.float32))[0] = [1, 2]
        elif kind == 4:
            file.create_dataset(key, (12,), h5py.ref_dtype)[:] = reference
        else:
            file.create_dataset(key, (12,), h5py.enum_dtype({"A": 1, "B": 2}))[:] = 1


def pickled(name: str, path: Path, rng: np.random.Generator) -> None:
    """Replace an array by one of Python objects, of records, of text or of a member that is no array."""
    members = dict(_members(name))
    key = str(rng.choice(sorted(members)))
    odd = (
        np.array([{}, 1], object),
        np.zeros(3, [("a", "f4"), ("b", "S3")]),
        np.array(["text", "more"]),
        np.zeros((12, 16, 16), "V4"),
        np.array("2020-01-01", "M8[D]"),
    )
    written = io.BytesIO()
    np.save(written, odd[rng.integers(0, len(odd))], allow_pickle=True)
    members[key] = written.getvalue() if rng.integers(0, 4) else rng.bytes(200)
    _write_members(path, members, rng)


_ANY = (flip_bytes, flip_structure, truncate, lose_piece, wrong_array, wrong_array, lose_keys, absurd_shape, bomb)
KINDS: dict[str, tuple[Callable[[str, Path, np.random.Generator], None], ...]] = {
    "hdf5": (*_ANY, wrong_link, wrong_type),
    "npz": (*_ANY, pickled),
    "text": _ANY,
    "bytes": (flip_bytes, truncate, lose_piece),
}
"""By container; wrong arrays are the likeliest in practice, and so come twice."""


def damage_kind(name: str, seed: int) -> Callable[[str, Path, np.random.Generator], None]:
    """Return in what way `damage` damages a file."""
    kinds = KINDS[SUBJECTS[name].container]
    return kinds[seed % len(kinds)]


def damage(name: str, path: Path, seed: int) -> str:
    """Write a damaged file of a subject, always the same for one seed, and return the name of its kind."""
    kind = damage_kind(name, seed)
    kind(name, path, np.random.default_rng([zlib.crc32(name.encode()), seed]))
    return kind.__name__
