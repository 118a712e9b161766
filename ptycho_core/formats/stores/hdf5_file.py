"""HDF5 files open for reading, also while another program writes into them (SWMR: single writer, multiple readers)."""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters of compressing detectors

from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import FileState
from ptycho_core.formats.stores.global_heap import refuse_endless_heap
from ptycho_core.formats.stores.store import beside

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

_BUSY = ("unable to lock", "already open for write", "swmr", "consistency flags")

_MOST_HELD = 64
"""Files at once that a virtual dataset is put together from: a process may have a thousand open."""
_MOST_LINKS = 16
"""One after another, as in HDF5 itself."""

_one_at_a_time = threading.RLock()
"""Held while a growing file is open. All handles that a process has of one file share what HDF5 knows of it, and none
sees what was written since the first was opened, not even refreshed (as of HDF5 2.0): there must be no two."""

_unneeded: deque[tuple[ReadFile, h5py.Dataset]] = deque()

_open_files: weakref.WeakSet[ReadFile] = weakref.WeakSet()


class DeadLinkError(RuntimeError):
    """What is wrong with a link, as a sentence without its subject."""


class ReadFile:
    """An HDF5 file that is open for reading, and the files that it was followed into. None is locked against writers.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        It cannot be opened, or is written by a program that lets nobody read meanwhile.
    """

    def __init__(self, path: Path) -> None:
        while _unneeded:
            _unneeded.popleft()[0].close()
        self.growing = False
        """Whether one of the files is still being written. Until `close`, other threads wait for those."""
        self.reading = threading.RLock()
        """Held by who reads, so that nobody closes it meanwhile."""
        self.states: list[FileState] = []
        """Of all files, as they were just before they were opened."""
        self._files: dict[Path, h5py.File] = {}
        self._held = 0
        self.root = self._open(path)
        _open_files.add(self)

    def close(self) -> None:
        """Close everything that was opened here, in the thread that opened it if the file grows."""
        with self.reading:
            for file in self._files.values():
                file.close()
            self._files.clear()
        for _ in range(self._held):
            _one_at_a_time.release()
        self._held = 0

    def leave(self, dataset: h5py.Dataset) -> None:
        """Have it closed, and a dataset of it, by the next thread that opens a file.

        Either waits while another thread reads any file, which the window's thread must not.
        """
        _unneeded.append((self, dataset))

    def hold(self, paths: Iterable[Path]) -> None:
        """Open files that HDF5 would open by itself for a virtual dataset, locked; the first of very many."""
        for path in itertools.islice(paths, _MOST_HELD):
            if path not in self._files and path.is_file():  # without one that is missing the operator may go on
                self._open(path)

    def open_item(self, group: h5py.Group, path: str, links: int = _MOST_LINKS) -> Any:
        """Open a group or dataset; soft and external links are followed here, not by HDF5.

        HDF5 opens another file in the way of the one that the link is in, though only one of them may be growing, and
        waits for ever where it is a pipe.

        Raises
        ------
        DeadLinkError
            A link leads nowhere, or into a file that cannot be opened.
        KeyError, OSError, RuntimeError
            As h5py does.
        """
        item: Any = group.file if path.startswith("/") else group
        for name in filter(None, path.split("/")):
            link = item.get(name, getlink=True) if isinstance(item, h5py.Group) else None
            if link is None:
                raise KeyError(f"there is no '{name}'")
            if isinstance(link, h5py.HardLink):
                item = _open_item(item, name)
                continue
            if not links:
                raise DeadLinkError(f"is a link to '{link.path}', which leads back to itself")
            file = item
            if isinstance(link, h5py.ExternalLink):
                target = beside(Path(item.file.filename), link.filename)
                if not target.is_file():
                    missing = "which is no file" if target.exists() else "which is missing: put that file beside it"
                    raise DeadLinkError(f"is a link to '{link.path}' in the file '{link.filename}', {missing}")
                try:
                    file = self._files.get(target) or self._open(target)
                except InputError as error:
                    raise DeadLinkError(f"is a link to '{link.path}' in another file, and {error}") from error
            try:
                item = self.open_item(file, link.path, links - 1)
            except KeyError as error:
                where = "the file" if file is item else f"'{link.filename}'"
                raise DeadLinkError(f"is a link to '{link.path}', which does not exist in {where}") from error
        return item

    def _open(self, path: Path) -> h5py.File:
        _one_at_a_time.acquire()
        growing = False
        try:
            state = _state_of(path)
            _close_outdated(state)
            refuse_endless_heap(path)
            file = self._files[path] = _open(path)
            self.states.append(state)
            growing = file.swmr_mode
        finally:
            if growing:
                self._held += 1
                self.growing = True
            else:
                _one_at_a_time.release()
        return file


def _state_of(path: Path) -> FileState:
    try:
        return FileState.of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error


def _close_outdated(now: FileState) -> None:
    """Close the file wherever it is still open as it was before it was written into; who reads it opens it again.

    All handles that a process has of one file share what HDF5 knows of it: another would see nothing new.
    """
    for other in list(_open_files):
        if any(state.is_same_file_changed(now) for state in other.states):
            other.close()


def _open(path: Path) -> h5py.File:
    try:
        return _unlocked(h5py.File(path, "r", locking="best-effort"))
    except Exception as error:
        message = " ".join(str(error).split())
        if any(words in message.lower() for words in _BUSY):
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                return h5py.File(path, "r", swmr=True, locking="best-effort")  # HDF5 keeps no lock of these
            raise InputError(
                f"{path} is still being written, or was not closed by the program that wrote it: open it again when "
                "the acquisition has ended (if it has, run `h5clear -s` on a copy)"
            ) from error
        if "truncated" in message:
            raise InputError(f"{path} is truncated: it is shorter than its own header says; copy it again") from error
        if isinstance(error, PermissionError):
            raise InputError(f"{path} cannot be opened: you have no permission to read it") from error
        raise InputError(f"{path} cannot be opened as HDF5, the file is damaged ({message[:200]})") from error


def _unlocked(file: h5py.File) -> h5py.File:
    """Give back the lock that HDF5 has of a file that it reads: as long as a scan is open it would keep the writer out.

    Not by opening it without one: HDF5 refuses a second handle of other locking, which others in this process may have,
    and without asking for the lock it opens files of its older formats in any state that a writer leaves them in.
    """
    if fcntl is not None:
        with contextlib.suppress(OSError):  # not all file systems have locks
            fcntl.flock(file.id.get_vfd_handle(), fcntl.LOCK_UN)
    return file


def _open_item(group: h5py.Group, name: str) -> Any:
    """Open a group or dataset; a dataset's raw files lie beside its file, not in the working directory.

    All handles of a dataset must agree in that: HDF5 refuses a second one that does not.
    """
    if h5py.h5o.get_info(group.id, name.encode()).type != h5py.h5o.TYPE_DATASET:
        return group[name]
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(b"${ORIGIN}")
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def virtual_sources(dataset: h5py.Dataset) -> dict[str, Path]:
    """Return the files that a virtual dataset is put together from, by the names that it has for them."""
    sources = dataset.virtual_sources() if dataset.is_virtual else []
    names = sorted({source.file_name for source in sources} - {"."})
    return {name: beside(Path(dataset.file.filename), name) for name in names if "%" not in name}
