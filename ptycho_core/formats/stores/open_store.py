"""`open_store`: the store that suits a file, told by its first bytes.

Those of HDF5 and NPZ are imported when they are needed: h5py takes long.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.empad_store import EmpadStore, is_empad
from ptycho_core.formats.stores.mda_store import SIGNATURES as MDA
from ptycho_core.formats.stores.mda_store import MdaStore
from ptycho_core.formats.stores.mib_store import SIGNATURE, MibStore
from ptycho_core.formats.stores.store import Store
from ptycho_core.formats.stores.text_store import TextStore, is_text

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@contextmanager
def open_store(path: Path, tables: bool = False) -> Iterator[Store]:
    """Open a file as a `Store`, told apart by its first bytes and never by its name.

    Parameters
    ----------
    path
        The file.
    tables
        Whether a file of positions alone will do as well: a table of text (CSV, TXT) or an MDA file.

    Raises
    ------
    InputError
        No such file, a directory, no permission, empty, or of no known kind.
    """
    start = _first_bytes(path)
    store: Store
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        from ptycho_core.formats.stores.npz_store import NpzStore

        store = NpzStore(path)
    elif any(start[at : at + 8] == _HDF5_SIGNATURE for at in (0, 512, 1024, 2048)):
        from ptycho_core.formats.stores.hdf5_store import Hdf5Store

        store = Hdf5Store(path)
    elif start.startswith(b"MATLAB 5.0"):
        raise InputError(f"{path} is a MATLAB file of version 7 or older: save it again with the option '-v7.3'")
    elif start.startswith(b"\x93NUMPY"):
        raise InputError(
            f"{path} is a single NumPy array (.npy); a scan needs patterns and positions together, in an NPZ"
        )
    elif start.startswith(SIGNATURE):
        store = MibStore(path)
    elif start.startswith(MDA):
        if not tables:
            raise InputError(
                f"{path} is an MDA file of EPICS, which holds positions and no patterns: open the file of the "
                "patterns, and name this one as that of the positions"
            )
        store = MdaStore(path)
    elif is_empad(path, start):
        store = EmpadStore(path)
    elif tables and is_text(start):
        store = TextStore(path)
    else:
        text = ", nor a table of text or an MDA file" if tables else ""
        raise InputError(
            f"{path} is neither HDF5 (.h5, .cxi, .nxs) nor an NPZ archive, nor of EMPAD (.xml) or Merlin (.mib){text}"
        )
    try:
        yield store
    finally:
        store.close()


def _first_bytes(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path} is a directory; name the file in it that holds the patterns")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path} is not a file but a device or a pipe")
        with path.open("rb") as file:
            start = file.read(2056)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except PermissionError:
        raise InputError(f"{path} cannot be opened: you have no permission to read it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error
    except ValueError:
        raise InputError(f"{str(path)!r} is not a file name") from None
    if not start:
        raise InputError(f"{path} is empty (0 bytes)")
    return start
