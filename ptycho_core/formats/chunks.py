"""Patterns that a file stores in several numbered arrays, and whether all are there that it speaks of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import SKIP_MISSING, Store
from ptycho_core.scan.scan import ArraySource
from ptycho_core.scan.settings import Settings

_COUNTS = tuple(count + what for what in ("images", "frames") for count in ("", "n", "nb", "num", "numberof", "acqnb"))
"""Names of numbers that say how many patterns were taken, in small letters and without what joins words; of Eiger's
``nimages`` for each of ``ntrigger``."""
_FIRST, _LAST = "image_nr_low", "image_nr_high"
_LISTED = 5
_MOST_PIECES = 100_000
"""What is numbered beyond is not counted one by one: it has a date or a time for its number."""


class Chunks:
    """Patterns (n, y, x) that are stored in several pieces.

    Parameters
    ----------
    pieces
        Stacks of patterns (n_i, y, x) of the same size.
    """

    def __init__(self, pieces: list[ArraySource]) -> None:
        self._pieces = pieces
        self._ends = np.cumsum([piece.shape[0] for piece in pieces])
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *pieces[0].shape[1:])
        self.together = max(getattr(piece, "together", 1) for piece in pieces)
        self.dtype: np.dtype[Any] = np.result_type(*(piece.dtype for piece in pieces))

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return the patterns of a slice or of increasing, unique indexes."""
        rows = np.arange(self.shape[0])[index]
        batch = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for piece, end in zip(self._pieces, self._ends, strict=True):
            wanted = (rows >= end - piece.shape[0]) & (rows < end)
            if wanted.any():
                batch[wanted] = piece[rows[wanted] - (end - piece.shape[0])]
        return batch


def one_after_another(path: Path, pieces: dict[str, ArraySource], notes: list[str]) -> ArraySource:
    """Return the patterns of several arrays, by their names, as one stack.

    Raises
    ------
    InputError
        One of them is of another size than the first.
    """
    first, *others = pieces
    for key in others:
        if pieces[key].shape[1:] != pieces[first].shape[1:]:
            raise InputError(
                f"{path}: patterns of '{key}' are {pieces[key].shape[1:]} pixels and those of '{first}' "
                f"{pieces[first].shape[1:]}; all must be the same"
            )
    if not others:
        return pieces[first]
    notes.append(f"put the patterns of {len(pieces)} chunks one after another")
    return Chunks(list(pieces.values()))


def natural(key: str) -> list[tuple[int, str]]:
    """Return what sorts ``data_9`` before ``data_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def stated_count(store: Store, key: str) -> tuple[int, str] | None:
    """Return how many patterns a file says at most that it has, beside the array at ``key``, and where it says so."""
    top = key.split("/")[0]
    found, names = [], store.keys()
    for other in names:
        folder, _, name = other.rpartition("/")
        if name.lower().replace("_", "") in _COUNTS and other.split("/")[0] == top:
            count = _whole(store, other)
            triggers = _whole(store, f"{folder}/ntrigger") if name == "nimages" else None
            if count:
                found.append((count * (triggers or 1), other))
    stated = max(found, key=lambda one: one[0], default=None)
    store.stated = None if stated is None else stated[0]
    return stated


def _whole(store: Store, key: str) -> int | None:
    try:
        if key not in store or math.prod(store.header(key).shape) != 1:
            return None
        number = float(store.numbers(key).ravel()[0])
    except InputError:
        return None
    return int(number) if number > 0 and number.is_integer() else None


def check_count(store: Store, key: str, n: int, settings: Settings, notes: list[str]) -> None:
    """Compare the number of patterns with what the file says.

    Raises
    ------
    InputError
        Some are missing, and the operator did not say that they may be.
    """
    stated = stated_count(store, key)
    if stated is not None and n < stated[0] and not store.growing:
        go_on(store.path, f"'{key}' holds {n} patterns, and '{stated[1]}' says {stated[0]}", settings, notes)


def go_on(path: Path, what: str, settings: Settings, notes: list[str]) -> None:
    """Note that patterns are missing, if the operator said that they may be.

    Raises
    ------
    InputError
        Else: ``what`` is missing, and how to go on without.
    """
    if settings.get("missing") == "skip":
        notes.append(f"went on without what is missing: {what}")
        return
    raise InputError(
        f"{path}: {what}: copy the missing ones beside it, or set missing=skip to go on without them",
        [SKIP_MISSING],
    )


def numbered(
    store: Store, pattern: str, keys: Sequence[str], settings: Settings, notes: list[str]
) -> tuple[ArraySource, NDArray[np.int64] | None]:
    """Return the patterns of arrays with numbers in their names, and the place of each in the acquisition.

    Parameters
    ----------
    store, pattern
        The file, and a name with one ``*`` for the number.
    keys
        The arrays, in the order of their numbers.
    settings, notes
        What the operator set, and where what was done is told.

    Returns
    -------
    source, places
        Places (n,) count from 0; None where nothing is missing.

    Raises
    ------
    InputError
        As `go_on`, where an array of the row is missing or fewer patterns are there than the file says; or it cannot
        be told how many are missing.
    """
    pieces = {key: store.patterns(key) for key in keys}
    places = _stated_places(store, keys, [piece.shape[0] for piece in pieces.values()])
    dead, stated = store.dead_links(), stated_count(store, keys[0])
    return _joined(store, pattern, pieces, dead, places, stated, settings, notes)


def file_series(
    store: Store, key: str, settings: Settings, notes: list[str]
) -> tuple[ArraySource, NDArray[np.int64] | None]:
    """Return the patterns of a file and of those beside it whose names differ in their last number only.

    Parameters
    ----------
    store, key
        One of the files, and the array in each.
    settings, notes
        As of `numbered`.

    Returns
    -------
    source, places
        As of `numbered`.

    Raises
    ------
    InputError
        As `numbered`, where a number between the first and the last is missing; or a file has no such array.
    """
    before, _, after = _last_number(store.path.name)
    found = series_beside(store.path)
    if len(found) < 2:
        return store.patterns(key), None
    pieces = {}
    for _, name in sorted(found.items()):
        with open_store(store.path.with_name(name)) as other:
            pieces[name] = other.patterns(other.require(key))
    notes.append(f"took the {len(pieces)} files {before}*{after} for one series")
    return _joined(store, f"{before}*{after}", pieces, [], None, None, settings, notes, first=min(found))


def series_beside(path: Path) -> dict[int, str]:
    """Return the names of a file and of those beside it that differ in their last number only, by that; or none."""
    before, digits, after = _last_number(path.name)
    found = {
        int(name[len(before) : len(name) - len(after)]): name
        for name in _names_beside(path)
        if name.startswith(before) and name.endswith(after) and name[len(before) : len(name) - len(after)].isdecimal()
    }
    return found if digits and len(found) <= _MOST_PIECES else {}


def _last_number(name: str) -> tuple[str, str, str]:
    """Return what stands before the last number of a file's name, that number, and what follows."""
    parts = re.fullmatch(r"(.*?)(\d+)(\D*\.\w+|\D*)", name)
    return (parts[1], parts[2], parts[3]) if parts else (name, "", "")


def _names_beside(path: Path) -> list[str]:
    try:
        return [other.name for other in path.parent.iterdir() if other.is_file()]
    except OSError:
        return [path.name]


def _joined(
    store: Store,
    pattern: str,
    pieces: dict[str, ArraySource],
    dead: Sequence[str],
    places: NDArray[np.int64] | None,
    stated: tuple[int, str] | None,
    settings: Settings,
    notes: list[str],
    first: int = 1,
) -> tuple[ArraySource, NDArray[np.int64] | None]:
    """Return pieces one after another, and the place of each pattern; ``first``: the number to begin with, or 0."""
    source = one_after_another(store.path, pieces, notes)
    n, lengths = source.shape[0], [piece.shape[0] for piece in pieces.values()]
    numbers, absent = _gaps(pattern, [*pieces], dead, first)
    if places is not None and (places != np.arange(n)).any():
        gaps = f"by their {_FIRST}, patterns are missing between those of {len(pieces)} arrays"
        go_on(store.path, f"{gaps}{_named(absent)}", settings, notes)
        return source, places
    if places is not None:  # one after another, whatever their names skip
        absent = {number: name for number, name in absent.items() if number > numbers[-1]}
    total, where = stated or (None, "")
    if total is not None and n >= total:
        if absent:
            notes.append(f"all {total} patterns that '{where}' says are there{_named(absent)}")
        return source, None
    if total is not None and not store.growing:
        what = f"there are {n} patterns, and '{where}' says {total}{_named(absent)}"
    elif absent:
        what = f"of the arrays '{pattern}' some are missing{_named(absent)}"
    else:
        return source, None
    go_on(store.path, what, settings, notes)
    before = [number for number in absent if number < numbers[-1]]
    usual = _usual_length(lengths, len(before), total) if before else max(lengths)
    cut_short = not before and min(lengths[:-1], default=lengths[0]) < max(lengths)
    if not before and not cut_short:
        return source, np.arange(n)
    if usual is None or (cut_short and total is not None and usual * (len(lengths) - 1) + lengths[-1] > total):
        raise InputError(f"{store.path}: {what}: it cannot be told how many patterns they hold; copy them beside it")
    there = dict(zip(numbers, lengths, strict=True))
    found, place = [], 0
    for number in range(min(numbers[0], *before), numbers[-1] + 1) if before else numbers:
        if number in there:
            found.append(place + np.arange(there[number]))
        place += usual if cut_short else there.get(number, usual)
    return source, np.concatenate(found)


def _stated_places(store: Store, keys: Sequence[str], lengths: list[int]) -> NDArray[np.int64] | None:
    """Return what the arrays' attributes say of the places of their patterns, from 0; None where they do not."""
    firsts = [store.attribute(key, _FIRST) for key in keys]
    lasts = [store.attribute(key, _LAST) for key in keys]
    if any(np.ndim(one) or not isinstance(one, int | np.integer) for one in (*firsts, *lasts)):
        return None
    stated = [int(last) - int(first) + 1 for first, last in zip(firsts, lasts, strict=True)]
    if any(length > wanted for length, wanted in zip(lengths, stated, strict=True)):
        return None  # a shorter one lacks its end
    return np.concatenate([int(f) - 1 + np.arange(n) for f, n in zip(firsts, lengths, strict=True)])


def _gaps(pattern: str, keys: Sequence[str], links: Sequence[str], first: int) -> tuple[list[int], dict[int, str]]:
    """Return the numbers in the arrays' names, increasing, and the names of those that are missing by their numbers."""
    before, _, after = pattern.partition("*")

    def number(key: str) -> int | None:
        digits = key[len(before) : len(key) - len(after)]
        return int(digits) if key.startswith(before) and key.endswith(after) and digits.isdecimal() else None

    known = [one for key in keys if (one := number(key)) is not None]
    if len(set(known)) < len(keys) or known[-1] > _MOST_PIECES:
        return list(range(len(keys))), {}
    dead = {one: key for key in links if (one := number(key)) is not None and one <= _MOST_PIECES}
    width = len(keys[0]) - len(before) - len(after)
    skipped = {k for k in range(min(known[0], first), known[-1]) if k > 0 or k in dead} - set(known)
    return known, {k: dead.get(k, f"{before}{k:0{width}d}{after}") for k in sorted(skipped | set(dead) - set(known))}


def _usual_length(lengths: list[int], n_missing: int, total: int | None) -> int | None:
    """Return how many patterns each missing array holds, if that can be told."""
    if total is not None and (total - sum(lengths)) % n_missing == 0:
        return (total - sum(lengths)) // n_missing
    full = set(lengths[:-1])
    return full.pop() if len(full) == 1 and lengths[-1] <= lengths[0] else None


def _named(absent: dict[int, str]) -> str:
    if not absent:
        return ""
    names = ", ".join(f"'{name}'" for name in [*absent.values()][:_LISTED])
    more = f" and {len(absent) - _LISTED} more" if len(absent) > _LISTED else ""
    return f"; {names}{more} {'is' if len(absent) == 1 else 'are'} not there"
