"""Files that are written whole or not at all: every result, bundle and run.json goes through `atomic_write`."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptycho_core.base.codec import json_ready
from ptycho_core.base.errors import PtychoError

_WAYS_OUT = {
    errno.ENOSPC: "make room there, or write to another folder",
    errno.EDQUOT: "delete what is no longer needed, or write to another folder",
    errno.EFBIG: "the system allows no file so large: write to another folder",
    errno.EROFS: "write to another folder",
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "what should be a folder is a file: write to another folder"),
    errno.EACCES: "write to another folder, or ask for the right to write there",
    **dict.fromkeys(
        (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EIO),
        "the disk or the share is gone: see that it is back, then go on",
    ),
}
"""What to do about what the operating system says."""


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn a failure of the operating system inside the block into one sentence that names ``target``.

    Raises
    ------
    PtychoError
        Full disk, no permission, missing folder and the like.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and not target.parent.is_dir():
            reason = f"the folder {target.parent} does not exist"
        way_out = _WAYS_OUT.get(error.errno or 0, "")
        raise PtychoError(f"cannot write {target}: {reason}{way_out and f'; {way_out}'}") from error


@contextmanager
def atomic_write(path: str | Path, check: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Give a temporary path in the same folder, and make it ``path`` once it is on the disk and reads back.

    The temporary file has the suffix of ``path``, is flushed to the disk, re-opened by ``check`` and renamed,
    which the operating system does in one step: whatever happens, ``path`` is the old file, the new one or
    absent, never a part. A failure leaves no temporary file; only a killed process does, under a hidden name.

    Parameters
    ----------
    path
        The file to write or replace. Its folder must exist.
    check
        Called with the temporary path; raises if what it reads there is not what was meant.

    Raises
    ------
    PtychoError
        The file cannot be written, or does not read back.

    Examples
    --------
    >>> with atomic_write("numbers.txt") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("1 2 3")
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}-{secrets.token_hex(4)}{target.suffix}")
    try:
        with explain_write_errors(target):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        if check is not None:
            try:
                check(temporary)
            except Exception as error:
                raise PtychoError(f"cannot write {target}: what was written does not read back ({error})") from error
        with explain_write_errors(target):
            os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the file system can."""
    # some network file systems refuse, and Windows cannot open a folder: the file is complete there all the same
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as JSON, atomically; what JSON cannot say is converted by `json_ready`.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    text = json.dumps(json_ready(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def check(temporary: Path) -> None:
        if temporary.read_text(encoding="utf-8") != text:
            raise ValueError("other text than was written")

    with atomic_write(path, check) as temporary:
        temporary.write_text(text, encoding="utf-8")
