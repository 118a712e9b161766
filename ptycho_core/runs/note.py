"""`Note`: what the operator writes to a run or a reconstruction, beside what the program records. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.runs.record import NOTE, RECONSTRUCTION, RECORD


@dataclass(frozen=True)
class Note:
    """Of the sample, and a comment; either may be empty, the comment may have several lines."""

    sample: str = ""
    comment: str = ""

    def __str__(self) -> str:
        """All of it in a line."""
        return " ".join(": ".join(filter(None, (self.sample, self.comment))).split())


def read_note(folder: Path) -> Note:
    """Return the note in the folder of a run or a reconstruction; an empty one where none can be read."""
    try:
        return decode(Note, read_json(folder / NOTE, "the note"), "the note")
    except InputError:
        return Note()


def write_note(folder: Path, note: Note) -> None:
    """Write a note in place of the one before, at any time: a run that still trains does not touch it.

    Raises
    ------
    InputError
        There is neither a run nor a reconstruction in the folder.
    PtychoError
        The folder cannot be written.
    """
    if not any((folder / name).exists() for name in (RECORD, RECONSTRUCTION)):
        raise InputError(f"there is neither a run nor a reconstruction in {folder}")
    write_json(folder / NOTE, encode(note))
