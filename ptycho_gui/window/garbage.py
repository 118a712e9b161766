"""`GarbageKeeper`: reference cycles are collected on the window's thread alone.

Python collects them in whichever thread happens to allocate. Those that hold Qt objects must not be freed in a worker's
thread: the program would crash, then or later.
"""

from __future__ import annotations

import gc
import sys

from PySide6.QtCore import QObject, QTimer, Slot

_EVERY_MS = 500


class GarbageKeeper(QObject):
    """Collects a few times a second, on the thread that made it, from now until `stop`."""

    def __init__(self) -> None:
        super().__init__()
        self._thresholds = gc.get_threshold()
        self._n_modules = len(sys.modules)
        gc.disable()
        gc.freeze()
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def stop(self) -> None:
        """Leave it to Python again."""
        self._timer.stop()
        gc.enable()

    @Slot()
    def _collect(self) -> None:
        if len(sys.modules) != self._n_modules:
            # What an import made stays. To look at the million objects of torch even once would hold the window up.
            self._n_modules = len(sys.modules)
            gc.freeze()
        counts = gc.get_count()
        due = [generation for generation in range(3) if counts[generation] > self._thresholds[generation]]
        if due:
            gc.collect(due[-1])
