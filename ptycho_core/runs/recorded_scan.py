"""What run.json keeps of a scan: how it is read again, and marks that tell whether its files are still the same."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import InputError
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps_json import steps_from_dict, steps_to_dict

_RECORD = "the run's record"


@dataclass(frozen=True)
class Fingerprint:
    """Which file it was: its absolute path, size in bytes, and SHA-256 in hexadecimal digits."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class RecordedScan:
    """A scan as run.json keeps it: of primitives, so that runs are listed whatever their steps or mappings say.

    Parameters
    ----------
    path, size, sha256
        Of the file with the patterns, as `Fingerprint`; None for a scan that is in no file.
    positions
        The file with the positions, where they have one of their own.
    settings, format
        As in `ScanSource`.
    mapping, preprocessing
        As `Mapping.to_dict` and `steps_to_dict` give them; checked by `source`.
    shape
        (n, N, N) of the patterns after all steps.
    history
        What became of the scan, in sentences; the first names the file.
    assumed
        What the files left open and nobody answered, in sentences.
    growing
        Whether the file was still being written.
    pixel_size_m
        Of the object (y, x); None where it is not known.
    """

    path: Path | None
    size: int | None
    sha256: str | None
    positions: Fingerprint | None
    settings: dict[str, str]
    format: str | None
    preprocessing: dict[str, Any]
    shape: tuple[int, ...]
    history: tuple[str, ...]
    mapping: dict[str, Any] | None = None
    assumed: tuple[str, ...] = ()
    growing: bool = False
    pixel_size_m: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3:
            raise InputError(f"shape must be three whole numbers (it is {list(self.shape)})")
        if self.path is not None and (self.size is None or self.sha256 is None):
            raise InputError("a scan that is in a file needs size and sha256")

    @property
    def file(self) -> Fingerprint | None:
        """The file with the patterns; None for a scan that is in no file."""
        if self.path is None or self.size is None or self.sha256 is None:
            return None
        return Fingerprint(self.path, self.size, self.sha256)

    @property
    def source(self) -> ScanSource:
        """How the scan is read again.

        Raises
        ------
        InputError
            The record names steps or a mapping that this program does not know.
        """
        return ScanSource(
            path=self.path,
            positions_file=self.positions.path if self.positions else None,
            settings=dict(self.settings),
            format=self.format,
            mapping=None if self.mapping is None else Mapping.from_dict(self.mapping, _RECORD),
            steps=steps_from_dict(self.preprocessing, _RECORD),
        )


def record_scan(scan: Scan) -> RecordedScan:
    """Return what is kept of a scan.

    Raises
    ------
    InputError
        A file cannot be read any more.
    """
    source = scan.source
    known = fingerprint(source.path) if source.path else None
    return RecordedScan(
        path=known.path if known else None,
        size=known.size if known else None,
        sha256=known.sha256 if known else None,
        positions=fingerprint(source.positions_file) if source.positions_file else None,
        settings=dict(source.settings),
        format=source.format,
        mapping=source.mapping.to_dict() if source.mapping else None,
        preprocessing=steps_to_dict(source.steps),
        shape=tuple(map(int, scan.patterns.shape)),
        history=tuple(scan.history),
        assumed=tuple(f"{one.key}={one.value}: {one.reason}" for one in scan.assumptions if not one.answered),
        growing=scan.growing,
        pixel_size_m=scan.pixel_size_m,
    )


def fingerprint(path: Path) -> Fingerprint:
    """Return which file it is, read in bounded memory.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Fingerprint(path.absolute(), os.fstat(file.fileno()).st_size, digest)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def is_recorded_file(path: Path, recorded: Fingerprint) -> bool:
    """Return whether ``path`` holds, byte for byte, the file that was recorded."""
    with contextlib.suppress(OSError):  # the fingerprint says better what is wrong
        if path.stat().st_size != recorded.size:
            return False
    return fingerprint(path).sha256 == recorded.sha256


def open_recorded(recorded: RecordedScan, path: Path | None = None) -> Scan:
    """Read and preprocess the scan that `record_scan` recorded as before, from ``path`` if it has moved there.

    Raises
    ------
    InputError
        It is no longer there, is another one, never was in a file, or was changed otherwise than by steps; or a file
        that a step takes is no longer there or another one.
    """
    from ptycho_core.preprocessing import open_scan  # HDF5 and its filters: not for those who only list runs

    source = recorded.source
    source = dataclasses.replace(source, path=path or source.file)
    for place, known in ((source.file, recorded.file), (source.positions_file, recorded.positions)):
        if place and known:
            _check_file(place, known, recorded.growing)
    scan = open_scan(source)
    # The first sentence names the file, which may have moved; a later version may say more at the end of one.
    told, before = scan.history[1:], recorded.history[1:]
    if len(told) != len(before) or not all(map(str.startswith, told, before)):
        other = [sentence for sentence in before if sentence not in scan.history]
        raise InputError(f"the run's scan cannot be made from {source.file} again, because of: {'; '.join(other)}")
    return scan


def _check_file(path: Path, known: Fingerprint, growing: bool) -> None:
    if is_recorded_file(path, known):
        return
    if growing:
        raise InputError(
            f"{path} was still being written when the run read it, and has changed since: the run cannot be resumed; "
            "reconstruct the file as another scan, or train again",
            by_command="--scan FILE",
        )
    raise InputError(
        f"{path} is not the file that the run has read, which was {known.path} "
        f"({known.size} bytes, SHA-256 {known.sha256[:12]}...)"
    )
