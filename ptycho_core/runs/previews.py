"""The pictures of the object while a run went on, kept in its folder to be played back. No torch here.

::

    out/previews/<number>.npz    the first, the last, and some between them; numbers tell how they lie in time
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ptycho_core.base.atomic import atomic_write, explain_write_errors
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import PREVIEWS_KEPT, Event, EventHandler, PreviewReady, Stage
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.runs.record import PREVIEWS, RECORD

_log = logging.getLogger(__name__)


class PreviewKeeper:
    """Keeps the previews of a run that goes on, in a thread of its own, so that no training waits for a disk.

    Where the disk is slower than previews come, the newest takes the place of the one that waits. What cannot be
    written is left out, and said once: a run needs no previews.

    Parameters
    ----------
    folder
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PREVIEWS
        self._lock = threading.Lock()
        self._waiting: PreviewReady | None = None
        self._thread: threading.Thread | None = None
        self._told = False

    def keep(self, preview: PreviewReady) -> None:
        """Keep a preview, soon."""
        with self._lock:
            self._waiting = preview
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="previews")
                self._thread.start()

    def finish(self) -> None:
        """Wait until nothing is left to be written."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _write(self) -> None:
        while True:
            with self._lock:
                preview, self._waiting = self._waiting, None
                if preview is None:
                    self._thread = None
                    return
            try:
                _keep(self._folder, preview)
            except PtychoError as error:
                if not self._told:
                    _log.warning("pictures of this run are not kept: %s", error)
                self._told = True


@contextlib.contextmanager
def kept_previews(folder: Path, events: EventHandler) -> Iterator[EventHandler]:
    """Give an observer that keeps previews with those of the run in a folder, where there is one, and tells all."""
    keeper = PreviewKeeper(folder) if (folder / RECORD).is_file() else None

    def heard(event: Event) -> None:
        if keeper is not None and isinstance(event, PreviewReady):
            keeper.keep(event)
        events(event)

    try:
        yield heard
    finally:
        if keeper is not None:
            keeper.finish()


def read_previews(folder: Path) -> list[PreviewReady]:
    """Return the previews that are kept in a run's folder, in the order in which they were made.

    Files that are damaged are left out.
    """
    found = []
    for number in _numbers(folder / PREVIEWS):
        try:
            found.append(_read(_path(folder / PREVIEWS, number)))
        except InputError as error:
            _log.warning("a picture of the run is left out: %s", error)
    return found


def newest_preview(folder: Path, after: int = -1) -> tuple[int, PreviewReady] | None:
    """Return the newest preview in a run's folder, and its number, where that is above ``after``; else None.

    Raises
    ------
    InputError
        Its file is damaged, or has gone meanwhile.
    """
    number = max(_numbers(folder / PREVIEWS), default=-1)
    return (number, _read(_path(folder / PREVIEWS, number))) if number > after else None


def _keep(folder: Path, preview: PreviewReady) -> None:
    with explain_write_errors(folder):
        folder.mkdir(exist_ok=True)
    numbers = _numbers(folder)
    numbers.append(numbers[-1] + 1 if numbers else 0)
    with atomic_write(_path(folder, numbers[-1]), _read) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            object=preview.object,
            probe=preview.probe,
            place=np.array([preview.epoch, preview.step, preview.binning]),
            stage=np.array(preview.stage.value),
        )
    while len(numbers) > PREVIEWS_KEPT:  # the one goes that leaves the smallest gap
        gaps = [later - earlier for earlier, later in zip(numbers, numbers[2:], strict=False)]
        with explain_write_errors(folder):
            _path(folder, numbers.pop(1 + int(np.argmin(gaps)))).unlink(missing_ok=True)


def _read(path: Path) -> PreviewReady:
    with open_store(path) as store:
        object, probe = (store.numbers(store.require(key), np.complex64) for key in ("object", "probe"))
        place = store.numbers(store.require("place"), np.int64)
        stage = str(store.read(store.require("stage")))
        if (object.ndim, probe.ndim, place.shape) != (2, 2, (3,)) or stage not in list(Stage) or place.min() < 0:
            raise InputError(f"{path} is no picture of a run")
        epoch, step, binning = map(int, place)
        return PreviewReady(epoch, step, object, probe, max(1, binning), Stage(stage))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.npz") if path.stem.isdigit())
