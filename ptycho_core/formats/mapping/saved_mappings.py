"""Mappings that an operator named, each in a JSON file of a folder that the caller chooses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.atomic import explain_write_errors, write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.scan.mapping import Mapping


@dataclass(frozen=True)
class SavedMapping:
    """A mapping and the `layout.fingerprint` of the file that it was made for."""

    name: str
    mapping: Mapping
    fingerprint: str


def save_named(folder: Path, name: str, mapping: Mapping, fingerprint: str) -> Path:
    """Save a mapping under a name, in place of an earlier one of that name; return its file.

    Raises
    ------
    InputError
        The name has neither letters nor digits.
    PtychoError
        The folder cannot be written.
    """
    stem = re.sub(r"\W+", "_", name).strip("_")[:80]
    if not stem:
        raise InputError(f"a mapping's name needs letters or digits (it is {name!r})")
    path = folder / f"{stem}.json"
    with explain_write_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(path, encode(SavedMapping(name.strip(), mapping, fingerprint), defaults=False))
    return path


def find_for(folder: Path, fingerprint: str) -> list[SavedMapping]:
    """Return the saved mappings for files of this layout, the newest first; files that are none are passed over."""
    try:
        paths = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
    found = [saved for path in paths if (saved := _read(path)) is not None]
    return [saved for saved in found if saved.fingerprint == fingerprint]


def _read(path: Path) -> SavedMapping | None:
    try:
        return decode(SavedMapping, read_json(path, "the saved mapping"), str(path))
    except InputError:
        return None
