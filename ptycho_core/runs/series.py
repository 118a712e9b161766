"""A series of reconstructions at different angles, as a stack for tomography. No torch here.

The stack is a Data Exchange file (F. De Carlo et al., J. Synchrotron Rad. 21, 1224, 2014), as tomopy's users read it:
``exchange/data`` (n, H, W) phase in radians, ``exchange/theta`` (n,) degrees. Beside them ``exchange/amplitude``,
``exchange/covered``, and for each projection ``exchange/failed`` and ``exchange/verdict``. One that failed is NaN, in
phase and amplitude: nobody takes that for data, and what is computed of it shows it.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.errors import InputError
from ptycho_core.base.verdict import verdict_in
from ptycho_core.formats.writers.disk_file import DiskFile
from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.quality.projection import project, scanned_m
from ptycho_core.runs.record import RECONSTRUCTION
from ptycho_core.scan.reconstruction import Reconstruction

_FILE = f"{RECONSTRUCTION}/reconstruction.npz"
_FAILED = "failed"
LARGEST_SIDE = 20_000
"""Pixels of a projection along an axis, beyond which positions or pixel sizes must be wrong."""


@dataclass(frozen=True)
class Member:
    """One scan of a series: the folder of its reconstruction, or that file, and its angle in degrees."""

    path: Path
    angle_deg: float

    @property
    def file(self) -> Path:
        """The reconstruction."""
        return self.path if self.path.is_file() else self.path / _FILE

    def read(self) -> Reconstruction:
        """Return the reconstruction.

        Raises
        ------
        InputError
            There is none, or as `read_reconstruction`.
        """
        if not self.path.exists():
            raise InputError(f"there is no {self.path}")
        if not self.file.exists():
            raise InputError(f"{self.path} holds no reconstruction: make one with: ptycho reconstruct {self.path}")
        return read_reconstruction(self.file)


@dataclass(frozen=True)
class Projection:
    """What is told of a projection; ``why`` it failed, which is its verdict then, empty where it did not."""

    member: Member
    verdict: str = ""
    reasons: str = ""
    free_misfit: float = math.nan
    resolution_px: float = math.nan
    pixel_m: float = math.nan
    why: str = ""


def read_series(path: Path) -> list[Member]:
    """Read a list of folders and angles: a line for each, ``folder,angle``; lines with # and a heading are passed over.

    Folders are relative to that of the list.

    Raises
    ------
    InputError
        The file cannot be read, a line has no angle, or there is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the list {path} is no text: each line is a folder, a comma, and an angle") from error
    members: list[Member] = []
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        try:
            angle = float(cells[1])
        except (IndexError, ValueError):
            if number == 1 and len(cells) > 1 and not (path.parent / cells[0]).exists():  # a heading
                continue
            raise InputError(f"{path}, line {number}: it must be a folder, a comma, and an angle in degrees") from None
        if not math.isfinite(angle):
            raise InputError(f"{path}, line {number}: the angle must be a number")
        members.append(Member(path.parent / cells[0], angle))
    if not members:
        raise InputError(f"{path} lists no folder: each line is a folder, a comma, and an angle in degrees")
    return members


def write_series(members: list[Member], target: Path) -> list[Projection]:
    """Write the projections of a series into one file, in the order of the list, and a table beside it.

    All get the same pixels, the largest among them, and the same field, the largest one, about the middle of what each
    scan covered. One that cannot be read is marked, and its place is NaN.

    Parameters
    ----------
    members
        Of the series.
    target
        The file, ``.h5``; the table has its name and ends in ``.csv``.

    Raises
    ------
    InputError
        None of them can be read, some pixel sizes are known and others are not, or the field is too large.
    PtychoError
        A file cannot be written.
    """
    if target.suffix not in (".h5", ".hdf5"):
        raise InputError(f"{target} must end in .h5")
    lines, sizes, pixels = [], [], []
    for member in members:
        try:
            recon = member.read()
        except InputError as error:
            lines.append(Projection(member, verdict=_FAILED, why=str(error)))
            continue
        lines.append(_line(member, recon))
        sizes.append(scanned_m(recon))
        pixels.append(recon.pixel_size_m)
    if not sizes:
        raise InputError(f"none of the {len(members)} reconstructions can be read; the first: {lines[0].why}")
    if len({pixel is None for pixel in pixels}) > 1:
        raise InputError("the size of the object's pixels is known for some scans and not for others")
    pixel = max(1.0 if one is None else max(one) for one in pixels)
    shape = tuple(max(1, math.ceil(max(size[axis] for size in sizes) / pixel)) for axis in (0, 1))
    if max(shape) > LARGEST_SIDE:
        raise InputError(f"the projections would have {shape[0]} x {shape[1]} pixels, {LARGEST_SIDE} are the most")
    _write_stack(lines, (shape[0], shape[1]), pixel, pixels[0] is not None, target)
    _write_table(lines, target.with_suffix(".csv"))
    return lines


def _line(member: Member, recon: Reconstruction) -> Projection:
    verdict, told, pixel = verdict_in(recon.metrics), recon.metrics, recon.pixel_size_m
    return Projection(
        member,
        verdict=str(verdict.level) if verdict else "",
        reasons="; ".join(verdict.reasons) if verdict else "",
        free_misfit=_figure(told.get("free_misfit")),
        resolution_px=_figure(told.get("half_scans_resolution_px")),
        pixel_m=math.nan if pixel is None else max(pixel),
    )


def _figure(value: float | None) -> float:
    """Return a figure; NaN where JSON has none, as for a misfit without patterns that were kept apart."""
    return math.nan if value is None else float(value)


def _write_stack(lines: list[Projection], shape: tuple[int, int], pixel: float, in_metres: bool, target: Path) -> None:
    def check(temporary: Path) -> None:
        with h5py.File(temporary, "r") as file:
            if file["exchange/data"].shape != (len(lines), *shape):
                raise ValueError("other projections than were written")

    with atomic_write(target, check) as temporary, DiskFile(temporary) as disk, h5py.File(disk, "w") as file:
        file["implements"] = "exchange"
        group = file.create_group("exchange")
        group["title"] = "phase projections by ptychography"
        group["theta"] = np.array([line.member.angle_deg for line in lines], np.float32)
        group["theta"].attrs["units"] = "degree"
        group["failed"] = np.array([bool(line.why) for line in lines])
        group["verdict"] = np.array([line.verdict for line in lines], dtype=h5py.string_dtype())
        chunks = (1, *shape)
        nothing = {"chunks": chunks, "fillvalue": np.nan}
        data = group.create_dataset("data", (len(lines), *shape), np.float32, **nothing)
        amplitude = group.create_dataset("amplitude", (len(lines), *shape), np.float32, **nothing)
        covered = group.create_dataset("covered", (len(lines), *shape), np.bool_, chunks=chunks)
        data.attrs["units"], data.attrs["axes"] = "radian", "theta:y:x"
        if in_metres:
            data.attrs["pixel_size_m"] = pixel
        for place, line in enumerate(lines):
            if not line.why:
                found = project(line.member.read(), pixel, shape)
                data[place], amplitude[place], covered[place] = found.phase, found.amplitude, found.covered


def _write_table(lines: list[Projection], path: Path) -> None:
    def number(value: float) -> str:
        return f"{value:.6g}" if math.isfinite(value) else ""

    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ("folder", "angle_deg", "verdict", "free_misfit", "half_scans_resolution_px", "pixel_m", "remarks")
        )
        for line in lines:
            figures = (line.free_misfit, line.resolution_px, line.pixel_m)
            row = (str(line.member.path), number(line.member.angle_deg), line.verdict, *map(number, figures))
            table.writerow((*row, line.why or line.reasons))
