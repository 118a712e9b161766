"""Patterns that a file stores in several arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.scan.scan import ArraySource


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
