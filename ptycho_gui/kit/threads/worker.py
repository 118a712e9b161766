"""`Worker`: one call of the core in a thread of its own, with exactly one outcome."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QThread, Signal

from ptycho_core.base.errors import Fix, PtychoError, sentence_of
from ptycho_core.base.events import BatchDone, Cancelled, StopToken

Job = Callable[[Callable[[Any], None], StopToken], Any]
"""Does the work in the worker's thread: tells events, watches the token, returns the result."""
Continuation = Callable[[Any], object]
"""Goes on with a job's result in the window's thread."""

_log = logging.getLogger(__name__)

_STACK_BYTES = 16 * 2**20
_EVERY_S = 0.1


@dataclass(frozen=True)
class Failure:
    """Why a job failed: a sentence for the operator and what would put it right, the traceback, the error's kind."""

    sentence: str
    traceback: str
    kind: type[BaseException]
    fixes: tuple[Fix, ...] = ()


@dataclass(frozen=True)
class Progress:
    """An event of jobs that are no training: ``done`` of ``total`` of what ``stage`` names; total 0 if not known."""

    stage: str
    done: int = 0
    total: int = 0


class Worker(QThread):
    """Runs one job. Emits ``events`` while it works, then exactly one of the three outcomes, then ``finished``.

    Parameters
    ----------
    job
        What to do.
    then
        Goes on with the result; called by whoever owns the worker, in its own thread.
    parent
        Owner; it must keep the worker until ``finished``.
    """

    events = Signal(object)
    """A tuple of events, of the core or `Progress`, in their order; those of batches come a few times a second."""
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, job: Job, then: Continuation | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setStackSize(_STACK_BYTES)  # BLAS needs more than the default of some systems
        self.job, self.then, self.token = job, then, StopToken()

    def run(self) -> None:
        """Qt: in the new thread."""
        bundle = _Bundle(self.events.emit)
        try:
            result = self.job(bundle.add, self.token)
        except Cancelled:
            bundle.flush()
            self.cancelled.emit()
        except Exception as error:
            bundle.flush()
            sentence = sentence_of(error)
            _log.error("%s", sentence)
            _log.debug("how it came to the failure above:", exc_info=True)
            fixes = error.fixes if isinstance(error, PtychoError) else ()
            self.failed.emit(Failure(sentence, traceback.format_exc(), type(error), fixes))
        else:
            bundle.flush()
            self.succeeded.emit(result)


class _Bundle:
    """Holds batches' events back, so that a fast run cannot flood the window."""

    def __init__(self, emit: Callable[[tuple[Any, ...]], None]) -> None:
        self.emit = emit
        self.held: list[Any] = []
        self.due = 0.0

    def add(self, event: Any) -> None:
        self.held.append(event)
        if not isinstance(event, BatchDone) or time.monotonic() >= self.due:
            self.flush()

    def flush(self) -> None:
        if self.held:
            self.emit(tuple(self.held))
        self.held = []
        self.due = time.monotonic() + _EVERY_S
