"""The pictures of the object while a run went on, kept in its folder to be played back. No torch here.

::

    out/previews/<number>.npz    the first, the last, and some between them; numbers tell how they lie in time

Those of a run's further scans are in the folders of these.
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
from ptycho_core.formats.stores.store import Store
from ptycho_core.runs.record import PREVIEWS, RECORD, SCANS

_log = logging.getLogger(__name__)


class PreviewKeeper:
    """Keeps the previews of a run that goes on, in a thread of its own, so that no training waits for a disk.

    Where the disk is slower than previews come, the newest takes the place of the one that waits. What cannot be
    written is left out, and said once: a run needs no previews.

    Parameters
    ----------
    folder
        Of the run, or of one of its further scans.
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
    """Give an observer that tells all and keeps previews, with those of the run or of its further scan in a folder."""
    of_run = folder.parent.parent if folder.parent.name == SCANS else folder
    keeper = PreviewKeeper(folder) if (of_run / RECORD).is_file() else None

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
    """Return the previews that are kept in the folder of a run, or of its further scan, in the order of their making.

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
    """Return the newest preview in the folder of a run, or of its further scan, and its number.

    None where that is not above ``after``.

    Raises
    ------
    InputError
        Its file is damaged, or has gone meanwhile.
    """
    number = max(_numbers(folder / PREVIEWS), default=-1)
    return (number, _read(_path(folder / PREVIEWS, number))) if number > after else None


def _keep(folder: Path, preview: PreviewReady) -> None:
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = _numbers(folder)
    numbers.append(numbers[-1] + 1 if numbers else 0)
    with atomic_write(_path(folder, numbers[-1]), _read) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            object=preview.object,
            probe=preview.probe,
            place=np.array([preview.epoch, preview.step, preview.binning]),
            stage=np.array(preview.stage.value),
            pixel_size_m=np.array(preview.pixel_size_m or (np.nan, np.nan)),
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
        pixel = _pixel_size(store)
        return PreviewReady(epoch, step, object, probe, max(1, binning), Stage(stage), pixel)


def _pixel_size(store: Store) -> tuple[float, float] | None:
    """Return the object pixel (y, x); None where it is not known, or an earlier version has not kept it."""
    if "pixel_size_m" not in store:
        return None
    stored = store.numbers("pixel_size_m", np.float64)
    known = stored.shape == (2,) and np.isfinite(stored).all() and stored.min() > 0
    return (float(stored[0]), float(stored[1])) if known else None


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.npz") if path.stem.isdigit())
