"""How fast this machine is while a run goes on: by that it is known what can still be done in the time that is left."""

from __future__ import annotations

import time
from collections import deque

from ptycho_core.base.events import EpochDone, Event, Stage, StageChanged

FILES_S = 1.0
"""Seconds of the processor that the files of a picture take, and what else does not grow with the patterns."""
_LATEST = 3


class Pace:
    """Measures the epochs of fits by the events that they tell, in the thread that trains."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._took: deque[tuple[float, float]] = deque(maxlen=_LATEST)

    def hear(self, event: Event) -> None:
        """Take in an event of a fit."""
        if isinstance(event, StageChanged) and event.stage == Stage.TRAINING:
            self._began = time.monotonic(), time.process_time()
        elif isinstance(event, EpochDone) and self._began is not None:
            self._took.append((time.monotonic() - self._began[0], time.process_time() - self._began[1]))
            self._began = None

    def end_s(self, epochs: float) -> float:
        """Seconds that work takes which is as much as that of so many epochs, and the files of a picture.

        By the longest of the latest epochs: one that was stopped is shorter. Files are written by the processor alone,
        and take longer in so far as other programs have it. 0 before the first epoch.
        """
        if not self._took:
            return 0.0
        seconds, of_processor = max(self._took)
        return epochs * seconds + FILES_S * max(1.0, seconds / max(of_processor, 1e-3))
