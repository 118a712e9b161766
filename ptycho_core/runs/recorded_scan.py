"""What run.json keeps of a scan: how it is read again, and marks that tell whether its files are still the same."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource


def record_scan(scan: Scan) -> dict[str, Any]:
    """Return a scan's `ScanSource.to_record`, its files' fingerprints, and what became of it.

    ``path``, ``size`` and ``sha256`` are None for a scan that is in no file.

    Raises
    ------
    InputError
        A file cannot be read any more.
    """
    source = scan.source
    recorded = source.to_record()
    recorded |= scan_fingerprint(source.path) if source.path else {"size": None, "sha256": None}
    if source.positions_file:
        recorded["positions"] = scan_fingerprint(source.positions_file)
    return {
        **recorded,
        "growing": scan.growing,
        "shape": list(scan.patterns.shape),
        "history": list(scan.history),
    }


def scan_fingerprint(path: Path) -> dict[str, Any]:
    """Return a scan file's absolute ``path``, ``size`` in bytes and ``sha256``, read in bounded memory.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"path": str(path.absolute()), "size": os.fstat(file.fileno()).st_size, "sha256": digest}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def is_recorded_file(path: Path, recorded: dict[str, Any]) -> bool:
    """Return whether ``path`` holds, byte for byte, the file whose `scan_fingerprint` was recorded."""
    with contextlib.suppress(OSError):  # the fingerprint says better what is wrong
        if path.stat().st_size != recorded["size"]:
            return False
    return bool(scan_fingerprint(path)["sha256"] == recorded["sha256"])


def open_recorded(recorded: dict[str, Any], path: Path | None = None) -> Scan:
    """Read and preprocess the scan that `record_scan` recorded as before, from ``path`` if it has moved there.

    Raises
    ------
    InputError
        It is no longer there, is another one, never was in a file, or was changed otherwise than by steps; or a file
        that a step takes is no longer there or another one.
    """
    from ptycho_core.preprocessing import open_scan  # HDF5 and its filters: not for those who only list runs

    source = ScanSource.from_record(recorded)
    source = dataclasses.replace(source, path=path or source.file)
    _check_file(source.file, recorded, recorded.get("growing", False))  # earlier records do not say
    if source.positions_file:
        _check_file(source.positions_file, recorded["positions"], recorded.get("growing", False))
    scan = open_scan(source)
    if list(scan.history[1:]) != recorded["history"][1:]:  # the first sentence names the file, which may have moved
        other = [sentence for sentence in recorded["history"][1:] if sentence not in scan.history]
        raise InputError(f"the run's scan cannot be made from {source.file} again, because of: {'; '.join(other)}")
    return scan


def _check_file(path: Path, known: dict[str, Any], growing: bool) -> None:
    if is_recorded_file(path, known):
        return
    if growing:
        raise InputError(
            f"{path} was still being written when the run read it, and has changed since: the run cannot be resumed; "
            "reconstruct the file as another scan (--scan), or train again"
        )
    raise InputError(
        f"{path} is not the file that the run has read, which was {known['path']} "
        f"({known['size']} bytes, SHA-256 {known['sha256'][:12]}...)"
    )
