"""`PatternReader`: reads single patterns away from the window's thread, and only the latest asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal, Slot

from ptycho_core.base.events import StopToken
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.latest import LatestSlot
from ptycho_gui.kit.threads.worker import Failure


@dataclass(frozen=True, eq=False)
class _Request:
    scan: Scan
    index: int

    def __call__(self, emit: Callable[[Any], None], token: StopToken) -> _Read:
        return self, self.scan.patterns[self.index], self.scan.good_pixels(self.index)


_Read = tuple[_Request, NDArray[np.float32], NDArray[np.bool_] | None]


class PatternReader(QObject):
    """Reads one pattern at a time; while it reads, a newer request replaces the one that waits."""

    ready = Signal(int, object, object)
    """The pattern's place in the scan, its counts (N, N) float32, and where it is good, or None for everywhere."""
    failed = Signal(str)
    """A sentence."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scan: Scan | None = None
        self._slot = LatestSlot(self)
        self._slot.succeeded.connect(self._tell)
        self._slot.failed.connect(self._tell_failure)

    def read(self, scan: Scan, index: int) -> None:
        """Ask for a pattern; those of another scan that were asked for before are dropped."""
        self._scan = scan
        self._slot.ask(_Request(scan, index))

    def shut_down(self) -> None:
        """Drop what was asked for and wait for what is being read."""
        self._scan = None
        self._slot.shut_down()

    @Slot(object)
    def _tell(self, read: _Read) -> None:
        request, counts, good = read
        if request.scan is self._scan:
            self.ready.emit(request.index, counts, good)

    @Slot(object)
    def _tell_failure(self, failure: Failure) -> None:
        self.failed.emit(failure.sentence)
