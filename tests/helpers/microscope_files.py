"""Small files of a scanning electron microscope: EMPAD and Merlin, as RosettaSciIO reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.helpers.scan_files import counts

LINES, COLUMNS = 3, 4
STEP_M = 2e-10
PIXEL_M = 1e-11
ANSWERS = {"energy_ev": "300000", "object_pixel_m": str(PIXEL_M)}
"""What these files leave open."""


def patterns(size: int) -> np.ndarray:
    """(n, size, size), brighter at the top, so that what is upside down is seen."""
    return counts(LINES * COLUMNS, size, size) // 2 + (np.arange(size)[::-1, None] // 8).astype(np.uint16)


def positions_px() -> np.ndarray:
    """(n, 2) of the raster, (y, x) in object pixels."""
    order = np.arange(LINES * COLUMNS)
    return np.stack([order // COLUMNS, order % COLUMNS], axis=1) * STEP_M / PIXEL_M


def empad_xml(raw_name: str, *, old: bool = True) -> str:
    """What stands beside the raw file: its size in the XML, or in the file's name alone, as newer versions have it."""
    if old:
        view = f"({LINES * STEP_M!r}, {COLUMNS * STEP_M!r})"
        size = f"<pix_x>{COLUMNS}</pix_x><pix_y>{LINES}</pix_y>"
        measured = f"<optics.get_full_scan_field_of_view>{view}</optics.get_full_scan_field_of_view>"
    else:
        size = ""
        view = f"<x>{COLUMNS * STEP_M * 0.72!r}</x><y>0</y><scale_factor>0.72</scale_factor>"
        measured = f"<full_scan_field_of_view>{view}</full_scan_field_of_view>"
    stamp = '<timestamp isoformat="2026-11-27T19:00:00.000000+00:00"/>'
    return (
        f'<?xml version="1.0"?>\n<root>{stamp}<raw_file filename="{raw_name}"/>{size}'
        f"<iom_measurements>{measured}</iom_measurements></root>"
    )


def write_empad_raw(path: Path) -> None:
    """130 rows of 128 float32 for each pattern, of which the last two are no picture."""
    frames = np.full((LINES * COLUMNS, 130, 128), -5e3, "<f4")
    frames[:, :128] = patterns(128)
    path.write_bytes(frames.tobytes())


def write_empad(folder: Path, *, old: bool = True) -> Path:
    """Both files; return the XML."""
    raw = folder / f"scan_x{COLUMNS}_y{LINES}.raw"
    write_empad_raw(raw)
    (folder / "scan.xml").write_text(empad_xml(raw.name, old=old))
    return folder / "scan.xml"


def write_mib(path: Path, kind: str = "U16", size: int = 32) -> None:
    """Frames, each behind a header of 384 bytes, the last row first."""
    pixels = patterns(size)[:, ::-1].astype({"U08": ">u1", "U16": ">u2", "U32": ">u4"}[kind])
    with path.open("wb") as file:
        for number, frame in enumerate(pixels, 1):
            stamp = f"2026-11-27T19:00:00.{number:09d}Z,1000000ns,12,"
            head = f"MQ1,{number:06d},00384,01,{size:04d},{size:04d},{kind},   1x1,01,2026-11-27 19:00:00,0.001,0,0,"
            file.write((head + " " * (384 - len(head) - len(stamp)) + stamp).encode("ascii"))
            file.write(frame.tobytes())


def write_raw_mib(path: Path, depth: int, chips: int = 1, size: int = 128) -> np.ndarray:
    """Raw frames, pixel by pixel as they are described; return the patterns (n, size, size) that are in them."""
    stacks = patterns(size) if depth > 1 else patterns(size) % 2
    if depth == 24:
        stacks = stacks.astype(np.int64) + 4096 * np.arange(len(stacks))[:, None, None]
    width, height = {1: (size, size), 4: (2 * size, size // 2)}[chips]
    stated = 2 * width if depth == 24 else width
    layout = {1: "   1x1", 4: "   2x2"}[chips]
    with path.open("wb") as file:
        for number, image in enumerate(stacks, 1):
            head = f"MQ1,{number:06d},{384 * (1 + (chips > 1)):05d},{chips:02d},{stated:04d},{height:04d},R64,{layout},"
            head += f"01,2026-11-27 19:00:00,0.001,0,0,511,MQ1A,2026-11-27T19:00:00.000000Z,1000000ns,{depth},"
            file.write(head.encode().ljust(384 * (1 + (chips > 1)), b"\0"))
            stored = image[::-1].astype(np.int64)  # rows from the bottom up, as in processed files
            rows = stored if chips == 1 else _read_out(stored)
            for part in [rows >> 12, rows & 4095] if depth == 24 else [rows]:
                file.write(b"".join(_words(row, {1: 1, 6: 8}.get(depth, 16)) for row in part))
    return stacks


def _read_out(image: np.ndarray) -> np.ndarray:
    """Rows of four chips side by side: lower right and left, mounted the other way round, then upper right and left."""
    half = len(image) // 2
    lower = image[::-1, ::-1]
    return np.concatenate([lower[:half, :half], lower[:half, half:], image[:half, half:], image[:half, :half]], axis=1)


def _words(row: np.ndarray, bits: int) -> bytes:
    """Big-endian words of 64 bits, the first pixel in the lowest bits."""
    per_word = 64 // bits
    groups = row.reshape(-1, per_word).tolist()
    return b"".join(
        sum(value << (bits * place) for place, value in enumerate(group)).to_bytes(8, "big") for group in groups
    )


def write_hdr(path: Path) -> None:
    """What Merlin's software writes beside a ``.mib``."""
    said = {"Frames in Acquisition (Number)": LINES * COLUMNS, "Frames per Trigger (Number)": COLUMNS}
    path.write_text("\n".join(["HDR,", *(f"{name}:\t{value}" for name, value in said.items()), "End\t"]))
