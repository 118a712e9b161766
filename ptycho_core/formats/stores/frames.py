"""Frames of equal size one after another in a plain file, with something else before or behind each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Header, Store, reading
from ptycho_core.scan.scan import ArraySource

FRAMES = "frames"
"""The key of the only array that such a file has."""


class FrameSource:
    """Frames of a file, read when asked for.

    Parameters
    ----------
    path
        The file.
    shape
        (n, y, x).
    dtype
        As stored.
    before
        Bytes before the pixels of each frame.
    stride
        Bytes from one frame to the next.
    """

    together = 1

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], before: int, stride: int) -> None:
        self.shape, self.dtype = shape, dtype
        self._path = path
        self._record = np.dtype(
            {"names": [FRAMES], "formats": [(dtype, shape[1:])], "offsets": [before], "itemsize": stride}
        )

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return the patterns of a slice or of increasing, unique indexes."""
        return self._frames(np.arange(self.shape[0])[index])

    def _frames(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the frames at these places, in the machine's order of bytes."""
        with reading(self._path, f"'{FRAMES}'"):
            stored = np.memmap(self._path, self._record, "r", shape=(self.shape[0],))
            values: NDArray[Any] = np.asarray(stored[FRAMES][rows])
            return values.astype(values.dtype.newbyteorder("="))


class FrameStore(Store):
    """A file whose only array is `FRAMES`, (n, y, x); what its header says are attributes of the file.

    Parameters
    ----------
    path
        The file that was named.
    source
        Its frames.
    stated
        Attributes.
    """

    def __init__(self, path: Path, source: FrameSource, stated: dict[str, Any]) -> None:
        super().__init__(path)
        self._frames, self._stated = source, stated

    def keys(self) -> list[str]:  # noqa: D102
        return [FRAMES]

    def __contains__(self, key: object) -> bool:
        return key == FRAMES

    def header(self, key: str) -> Header:  # noqa: D102
        self.require(key)
        return Header(self._frames.shape, self._frames.dtype)

    def attribute(self, key: str, name: str) -> Any:  # noqa: D102
        return self.attributes(key).get(name)

    def attributes(self, key: str) -> dict[str, Any]:  # noqa: D102
        return {} if key else self._stated

    def first_values(self, key: str, count: int) -> NDArray[Any] | None:  # noqa: D102
        self.require(key)
        return self._frames[:1].ravel()[:count]

    def close(self) -> None:  # noqa: D102
        pass

    def _read(self, key: str) -> NDArray[Any]:
        return self._frames[:]

    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        return self._frames


def count_frames(path: Path, stride: int) -> int:
    """Return how many whole frames a file holds.

    Raises
    ------
    InputError
        Not one.
    """
    try:
        n = path.stat().st_size // stride
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error
    if n == 0:
        raise InputError(f"{path} is shorter than a single frame of {stride} bytes: copy it again")
    return n
