"""The scans that one network is to be trained on, as they are named: files, folders of them, and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.scan.source import ENDINGS

_TRUTH = ".truth.npz"


def named_scans(given: Sequence[Path], lists: Sequence[Path]) -> list[Path]:
    """Return the files of the scans that are named, in order; those of a folder by name.

    Parameters
    ----------
    given
        Files and folders.
    lists
        Text files that name more of these, one a line, from the folder that they are in; what is behind a # is none.

    Raises
    ------
    InputError
        A scan is named twice, nothing is in a folder or a list, or a list cannot be read.
    """
    named = [path for place in (*given, *_listed(lists)) for path in _in_place(place)]
    seen: dict[Path, Path] = {}
    for path in named:
        if (twin := seen.setdefault(path.resolve(), path)) is not path:
            also = "" if twin == path else f" (as {twin} too)"
            raise InputError(f"{path} is named twice{also}: name each scan once")
    return named


def _listed(lists: Sequence[Path]) -> Iterator[Path]:
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"cannot read the list of scans {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no list of scans: it must be a text file with a scan on each line") from error
        names = [name for line in lines if (name := line.partition("#")[0].strip())]
        if not names:
            raise InputError(f"the list of scans {path} names none: write a file or a folder on each line")
        yield from (path.parent / name for name in names)


def _in_place(place: Path) -> list[Path]:
    """Return a file, or the scans in a folder; what is hidden, and truths that simulations leave, are none."""
    if not place.is_dir():
        return [place]
    try:
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise InputError(f"cannot read the folder {place}: {error.strerror}") from error
    found = [path for path in files if not path.name.startswith(".") and not path.name.endswith(_TRUTH)]
    if not found:
        raise InputError(f"there is no scan in the folder {place}: no file there ends in {', '.join(ENDINGS)}")
    return found
