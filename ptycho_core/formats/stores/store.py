"""What every reader sees of a file: named arrays and attributes, whether it is an NPZ archive or HDF5."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.base.file_state import FileState
from ptycho_core.scan.scan import ArraySource

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

LARGEST_SIDE = 16384
"""Pixels: no area detector is wider; a header that says so is damaged."""
MOST_PATTERNS = 10_000_000
LARGEST_ARRAY = 2**30
"""Bytes of any array that is not the patterns: positions, probe, mask."""
SKIP_MISSING = Fix("go on without the missing patterns", "missing", "skip")
TABLES = ("text", "mda")
"""Containers of columns, which a mapping chooses among."""
_KEYS_LISTED = 12
_PARTS = (("r", "i"), ("re", "im"), ("real", "imag"), ("real", "imaginary"))
"""Names of the fields of complex numbers, in small letters."""
_LINKS_TOLD = 3
_KEYS_COMPARED = 2000


class UnevenError(InputError):
    """There are not as many values in an array as there are patterns.

    Parameters
    ----------
    sentence
        For the operator.
    key
        The array.
    count, n_patterns
        How many values and patterns there are.
    fixes
        As of `InputError`.
    """

    def __init__(self, sentence: str, key: str, count: int, n_patterns: int, fixes: Iterable[Fix] = ()) -> None:
        super().__init__(sentence, fixes)
        self.key, self.count, self.n_patterns = key, count, n_patterns


class Header(NamedTuple):
    """Shape and type that a file declares for an array, before anything is read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes that the array takes in memory; a Python integer, so that absurd shapes do not overflow."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= int(length)
        return size


class Store(ABC):
    """An open file of named arrays. Keys of HDF5 are paths without a leading slash.

    Every method raises `InputError`, naming the file and the key, where the file does not allow an answer.
    """

    container: ClassVar[str]
    """"npz", "hdf5", "empad", "mib", or one of `TABLES`."""

    growing = False
    """Whether another program still writes what was read so far."""
    skips_missing = False
    """Whether the operator goes on without patterns that are missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = FileState.of(path)
        self.notes: list[str] = []
        """Sentences on how it was read, for the history of a scan."""
        self.absent: dict[str, tuple[NDArray[np.bool_], str]] = {}
        """Which patterns (n,) are not there, of arrays that speak of them all the same, and why."""
        self.stated: int | None = None
        """How many patterns the file says that there will be, once `chunks.stated_count` has looked for it."""

    @property
    def states(self) -> list[FileState]:
        """Of all files that it is read from, as they were just before they were opened."""
        return [self._state]

    def cut(self, rows: int, key: str) -> None:
        """Show of an array, and of all that grow, only what belongs to the first patterns."""
        raise InputError(f"{self.path} does not grow")

    @abstractmethod
    def keys(self) -> list[str]:
        """Return the names of all arrays."""

    @abstractmethod
    def __contains__(self, key: object) -> bool: ...

    @abstractmethod
    def header(self, key: str) -> Header:
        """Return shape and type of an array, checked against what the file can hold."""

    @abstractmethod
    def _read(self, key: str) -> NDArray[Any]: ...

    @abstractmethod
    def _source(self, key: str, shape: tuple[int, ...]) -> ArraySource:
        """Return an array of three or more axes as (n, y, x), all but its last two axes being one."""

    @abstractmethod
    def attribute(self, key: str, name: str) -> Any:
        """Return an attribute of an array or a group, or of the file where ``key`` is empty; None where it has none."""

    @abstractmethod
    def attributes(self, key: str) -> dict[str, Any]:
        """Return all attributes of an array or a group, or of the file where ``key`` is empty."""

    @abstractmethod
    def first_values(self, key: str, count: int) -> NDArray[Any] | None:
        """Return the first few values (at most ``count``,) of an array; None where that takes reading much."""

    def groups(self) -> list[str]:
        """Return the names of all groups, also of those without arrays; none in files that have none."""
        return []

    def dead_links(self) -> list[str]:
        """Return the names that lead nowhere."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Close the file; sources that were handed out open it again by themselves."""

    def first(self, *keys: str) -> str | None:
        """Return the first of these keys that exists, or None."""
        return next((key for key in keys if key in self), None)

    def require(self, *keys: str) -> str:
        """Return the first of these keys that exists; else say what is there, nearest names first."""
        found = self.first(*keys)
        if found is None:
            wanted = " or ".join(f"'{key}'" for key in keys)
            raise InputError(f"{self.path} has no key {wanted}; it holds {list_keys(self.keys(), keys[0])}")
        return found

    def read(self, key: str) -> NDArray[Any]:
        """Return a whole array that is not the patterns, at most `LARGEST_ARRAY` bytes."""
        self._check_size(key, self.header(key).dtype)
        return self._read(key)

    def numbers(self, key: str, dtype: type[np.generic] = np.float64) -> NDArray[Any]:
        """Return an array as numbers of this type; complex numbers are only returned where they are asked for.

        Those may be stored as a compound type of two fields with the usual names; numbers as text.
        """
        stored = self.header(key).dtype
        in_parts = np.issubdtype(dtype, np.complexfloating) and _are_parts(stored)
        if not in_parts and not is_text(stored):
            self._check_numeric(key, stored, allow_complex=np.issubdtype(dtype, np.complexfloating))
        self._check_size(key, np.dtype(dtype))
        with np.errstate(invalid="ignore", over="ignore"):
            values = self.read(key)
            if in_parts:
                real, imaginary = stored.names or ()
                values = values[real] + 1j * values[imaginary]
            try:
                return values.astype(dtype)
            except ValueError:  # text
                raise InputError(f"{self.path}: '{key}' has type {stored}; it must hold real numbers") from None

    def number(self, key: str) -> float:
        """Return the only number of an array, be it written as text."""
        values = self._number_in_text(key) if is_text(self.header(key).dtype) else self.numbers(key).ravel()
        if values.size != 1 or not np.isfinite(values[0]):
            raise InputError(f"{self.path}: '{key}' must hold one finite number, it holds {describe_values(values)}")
        return float(values[0])

    def _number_in_text(self, key: str) -> NDArray[np.float64]:
        written = self.read(key).ravel()
        try:
            return np.array([float(one) for one in written[:1]] if written.size == 1 else [])
        except ValueError:
            raise InputError(f"{self.path}: '{key}' holds {str(written[0])[:40]!r}; it must be a number") from None

    def patterns(self, key: str, raster: bool = False) -> ArraySource:
        """Return the stack of patterns unread where the file allows it, with its declared shape checked.

        Parameters
        ----------
        key
            (n, y, x), or more axes of which the first ones have length 1.
        raster
            Allow (rows, columns, y, x) too: returned as (rows * columns, y, x).
        """
        header = self.header(key)
        self._check_numeric(key, header.dtype, allow_complex=False)
        shape = drop_leading(header.shape, 3)
        if raster and len(shape) == 4:
            shape = (int(shape[0]) * int(shape[1]), *shape[2:])
        if len(shape) != 3:
            raise InputError(
                f"{self.path}: '{key}' has shape {header.shape}; patterns need 3 axes: (pattern, row, column)"
            )
        if 0 in shape:
            raise InputError(f"{self.path}: '{key}' has shape {header.shape}: it holds no patterns")
        if sorted(shape)[1] > LARGEST_SIDE or max(shape) > MOST_PATTERNS:
            raise InputError(
                f"{self.path}: '{key}' declares the shape {header.shape}, more than any detector gives; "
                "the file is damaged or this is not a stack of patterns"
            )
        return self._source(key, shape)

    def _check_size(self, key: str, dtype: np.dtype[Any]) -> None:
        """Refuse an array that is larger, when read and converted to a type, than any but the patterns is."""
        header = self.header(key)
        converted = Header(header.shape, dtype).nbytes
        if converted > LARGEST_ARRAY:
            raise InputError(
                f"{self.path}: '{key}' declares {header.shape} {header.dtype}, {_gigabytes(converted)} in memory: "
                "that cannot be right, write the file again"
            )
        check_fits_memory(self.path, key, header.nbytes + converted, "declares", "open it on a larger machine")

    def _check_numeric(self, key: str, dtype: np.dtype[Any], allow_complex: bool) -> None:
        if dtype.kind not in "biufc" or (dtype.kind == "c" and not allow_complex):
            raise InputError(f"{self.path}: '{key}' has type {dtype}; it must hold real numbers")


def is_text(dtype: np.dtype[Any]) -> bool:
    """Tell whether values are texts, be they of one length or, in HDF5, of any."""
    return dtype.kind in "SU" or bool(dtype.metadata and dtype.metadata.get("vlen") in (str, bytes))


def _are_parts(dtype: np.dtype[Any]) -> bool:
    """Tell whether a compound type is a complex number: its real part, and then its imaginary one."""
    names = tuple(name.lower() for name in dtype.names or ())
    return names in _PARTS and all(dtype[place].kind in "iuf" for place in range(2))


def beside(path: Path, name: str) -> Path:
    """Return the path of another file that one names: relative to it, or in its folder if it was moved there."""
    other = path.parent / name
    return other if other.exists() else path.parent / other.name


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises on damaged bytes into one sentence about ``what`` of this file.

    Decoders of damaged data raise nearly anything (zlib.error, OverflowError, KeyError, RuntimeError, ...): this
    guard stands around calls into them only.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: {what} takes more memory than there is; open it on a larger machine") from error
    except Exception as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: {what} cannot be read, the file is damaged or incomplete ({detail})") from error


def list_keys(keys: list[str], wanted: str) -> str:
    """Return a readable list of what is there, the names most like ``wanted`` first."""
    if not keys:
        return "no arrays"

    def unlikeness(key: str) -> float:
        return -difflib.SequenceMatcher(None, wanted.lower(), key.lower()).ratio()

    nearest = sorted(keys[:_KEYS_COMPARED], key=unlikeness)[:_KEYS_LISTED]
    more = len(keys) - len(nearest)
    return ", ".join(nearest) + (f" and {more} more" if more else "")


def say_dead_links(store: Store) -> str:
    """Return the end of a sentence that names the links that lead nowhere, and why; empty without any."""
    dead = store.dead_links()
    told = []
    for key in dead[:_LINKS_TOLD]:
        try:
            store.header(key)
        except InputError as error:
            told.append(str(error).removeprefix(f"{store.path}: "))
    more = f" and {len(dead) - len(told)} more" if len(dead) > len(told) else ""
    return f"; links that lead nowhere: {', '.join(told)}{more}" if told else ""


def drop_leading(shape: tuple[int, ...], keep: int) -> tuple[int, ...]:
    """Return a shape without leading axes of length 1, as long as more than ``keep`` axes are left."""
    while len(shape) > keep and shape[0] == 1:
        shape = shape[1:]
    return shape


def describe_values(values: NDArray[Any]) -> str:
    """Return a few values for a message."""
    return f"{values[0]}" if values.size == 1 else f"{values.size} values"


def available_memory() -> int:
    """Return the bytes that can be allocated: without swapping, and within the limit set to this process."""
    free = int(psutil.virtual_memory().available)
    if resource is not None:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            free = min(free, max(limit - int(psutil.Process().memory_info().vms), 0))
    return free


def check_fits_memory(
    path: Path,
    key: str,
    nbytes: int,
    what: str = "is compressed and takes",
    way_out: str = "run `ptycho convert` on a larger machine to write it as CXI, which is read pattern by pattern",
) -> None:
    """Raise `InputError`, with the way out, where what has to be read whole is larger than the memory available."""
    free = available_memory()
    if nbytes > 0.8 * free:
        raise InputError(
            f"{path}: '{key}' {what} {_gigabytes(nbytes)} in memory, of which {_gigabytes(free)} are free; {way_out}"
        )


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 2**30:.3g} GiB"
