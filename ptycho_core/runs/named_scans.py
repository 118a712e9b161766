"""The scans that one network is to be trained on, as they are named: files, folders of them, and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.scan.source import ENDINGS, TRUTH


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
    seen: dict[Path, Path] = {}
    for place, by in (*((place, "") for place in given), *_listed(lists)):
        for path in _in_place(place, by):
            if (twin := seen.setdefault(path.resolve(), path)) is not path:
                also = "" if twin == path else f" (as {twin} too)"
                raise InputError(f"{by}{path} is named twice{also}: name each scan once")
    return list(seen.values())


def _listed(lists: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Give what lists name, each with the list and the line that name it, for a sentence to begin with."""
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise InputError(f"cannot read the list of scans {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no list of scans: it must be a text file with a scan on each line") from error
        named = [(number, name) for number, line in enumerate(lines, 1) if (name := line.partition("#")[0].strip())]
        if not named:
            raise InputError(f"the list of scans {path} names none: write a file or a folder on each line")
        for number, name in named:
            place, by = path.parent / name, f"{path}, line {number}: "
            if not place.exists():
                raise InputError(f"{by}there is no {place}: write one file or folder on each line, and nothing else")
            yield place, by


def _in_place(place: Path, by: str) -> list[Path]:
    """Return a file, or the scans in a folder; what is hidden, and truths that simulations leave, are none."""
    if not place.is_dir():
        return [place]
    try:
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise InputError(f"{by}cannot read the folder {place}: {error.strerror}") from error
    found = [path for path in files if not path.name.startswith(".") and not path.name.endswith(TRUTH)]
    if not found:
        raise InputError(f"{by}there is no scan in the folder {place}: no file there ends in {', '.join(ENDINGS)}")
    return found
