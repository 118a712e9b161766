"""What is asked of a run through its folder, by whoever may write there, and its process's sign of life. No torch here.

::

    out/request.json    to stop in good order, or to leave at once; gone as soon as the process has seen it
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import decode, encode, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import Status, StopToken
from ptycho_core.base.repeated import repeated
from ptycho_core.runs.job import cancel_job, job_of, job_state, waits
from ptycho_core.runs.record import RECORD, read_run

_log = logging.getLogger(__name__)

REQUEST = "request.json"
_EVERY_S = 1.0
_LOOKS_PER_SIGN = 10


class Wish(StrEnum):
    """What is asked of a run."""

    STOP = "stop"
    CANCEL = "cancel"


@dataclass(frozen=True)
class _Request:
    LAYOUT: ClassVar[int] = 1
    wish: Wish
    by: str


def ask(folder: Path, wish: Wish) -> str:
    """Ask the run in a folder to end, wherever it is trained, or take back the job that waits, or makes its picture.

    Returns
    -------
    str
        Who was asked, in a sentence.

    Raises
    ------
    InputError
        No run goes on there.
    PtychoError
        The folder cannot be written, or the batch system refuses.
    """
    if (job := waits(folder)) is not None and not ((state := job_state(job)) and state.over):
        cancel_job(job)
        return f"job {job.id} was taken back"
    info = read_run(folder)
    if info.status != Status.RUNNING:
        if (job := job_of(info)) is not None and (state := job_state(job)) and not state.over:
            cancel_job(job)
            return f"job {job.id}, which makes a picture of what was trained, was taken back"
        raise InputError(f"the run in {folder} does not go on: it is {info.status}")
    write_json(info.folder / REQUEST, encode(_Request(wish, f"on {platform.node()}")))
    return f"process {info.process.pid} on {info.process.host} was asked to {wish}"


@contextmanager
def reachable(folder: Path, token: StopToken) -> Iterator[None]:
    """Bring what is asked for in a run's folder to a token, and renew the time of its record, from a thread of its own.

    What was asked of an earlier run is forgotten. A disk that cannot be reached is looked at again a second later.

    Parameters
    ----------
    folder
        Of a run of this process.
    token
        Of the same.
    """
    (folder / REQUEST).unlink(missing_ok=True)
    looks = itertools.count(1)

    def look() -> None:
        number = next(looks)
        with contextlib.suppress(OSError):
            _obey(folder / REQUEST, token)
            if number % _LOOKS_PER_SIGN == 0:
                os.utime(folder / RECORD)

    with repeated(look, _EVERY_S, "requests"):
        yield


def _obey(path: Path, token: StopToken) -> None:
    if not path.exists():
        return
    try:
        asked = decode(_Request, read_json(path, "the request"), str(path))
    except InputError as error:
        _log.warning("%s", error)
    else:
        if asked.wish == Wish.CANCEL:
            token.cancel(f"cancelled by the operator {asked.by}")
        else:
            token.stop(f"stopped by the operator {asked.by}")
    path.unlink(missing_ok=True)
