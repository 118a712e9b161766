"""`GrowingTable`: columns of numbers that grow by a row at a time at no cost worth naming."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
_FIRST_ROWS = 256


class GrowingTable:
    """Columns of float64; what a row does not know is NaN.

    Parameters
    ----------
    names
        Of the columns.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self._numbers = np.empty((len(self._places), _FIRST_ROWS))
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> Column:
        """Return a column: a view, valid until the table changes."""
        return self._numbers[self._places[name], : self._length]

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row; names that are no columns are left out."""
        self._make_room(1)
        self._numbers[:, self._length] = [row.get(name, np.nan) for name in self._places]
        self._length += 1

    def extend(self, columns: Mapping[str, Column]) -> None:
        """Add rows, all columns of one length."""
        count = len(next(iter(columns.values()), ()))
        self._make_room(count)
        for name, place in self._places.items():
            self._numbers[place, self._length : self._length + count] = columns.get(name, np.nan)
        self._length += count

    def keep(self, length: int) -> None:
        """Forget all rows but the first ones."""
        self._length = min(self._length, length)

    def _make_room(self, count: int) -> None:
        wanted, there = self._length + count, self._numbers.shape[1]
        if wanted > there:
            larger = np.empty((len(self._places), max(wanted, 2 * there)))
            larger[:, : self._length] = self._numbers[:, : self._length]
            self._numbers = larger
