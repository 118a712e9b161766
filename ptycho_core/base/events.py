"""What training tells its observer, and how the observer stops it. Plain data: no torch, no Qt.

Every event is a frozen dataclass of primitives; previews carry small arrays. All but previews are lines of JSON in the
run's folder as well, so that who can read it can follow a run that another process trains. Exactly one terminal event
(`RunFinished` or `RunFailed`) ends a run. Epochs are numbered from 1; 0 stands where none goes on.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.codec import decode, encode
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.verdict import Verdict


class Stage(StrEnum):
    """What goes on, in words for the operator."""

    LOADING = "loading"
    MEASURING = "being measured"
    SEARCHING = "searching for the beam"
    CHOOSING_MODES = "choosing the number of probe modes"
    WARMING_UP = "warming up the probe"
    TRAINING = "training"
    VALIDATING = "validating"
    STOPPING = "stopping"
    RECONSTRUCTING = "reconstructing"
    POLISHING = "polishing"
    FINAL_PASS = "final pass over all patterns"
    COMPARING_HALVES = "comparing two halves of the scan"


class Status(StrEnum):
    """Whether a run goes on, or how it ended."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class RunStarted:
    """Training is about to begin. ``device`` says which device was chosen and why.

    ``epochs_done`` are those of a run that is resumed; ``earlier`` is where the run that had the folder before is now,
    empty where none had.
    """

    run_dir: str
    device: str
    max_epochs: int
    steps_per_epoch: int
    parameters: int
    epochs_done: int = 0
    earlier: str = ""


@dataclass(frozen=True)
class StageChanged:
    """Another stage begins, or another epoch of it; ``epochs`` is how many it has at most, if that is said."""

    stage: Stage
    epoch: int = 0
    epochs: int = 0


@dataclass(frozen=True)
class ProbeSearched:
    """The search for the beam is over. ``why`` says in a sentence what it found; ``changed``, whether that is used.

    ``own_left`` says whether the scan has a probe of its own that is not used then.
    """

    changed: bool
    why: str
    own_left: bool = False


@dataclass(frozen=True)
class ModesChosen:
    """The number of probe modes is chosen. ``why`` says in a sentence by which figures."""

    count: int
    why: str


@dataclass(frozen=True)
class PictureChosen:
    """The network's picture of the scan at a place was held against the solver's. ``why`` says which is better."""

    network: bool
    why: str
    scan: int = 0


@dataclass(frozen=True)
class PartBegan:
    """A part of a longer task begins: what it is, in words, and within how many seconds it is to be over, if at all.

    Of a part that is a run, whose events follow, ``run_dir`` and ``config`` are those of the run; of a part of a run
    that goes on, ``run_dir`` is that of the run.
    """

    what: str
    within_s: float | None = None
    run_dir: str = ""
    config: Config | None = None


@dataclass(frozen=True)
class BatchDone:
    """One optimisation step is done. ``metrics`` holds its row of metrics.csv."""

    epoch: int
    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class EpochDone:
    """An epoch and its validation are done."""

    epoch: int
    step: int
    metrics: dict[str, float]
    elapsed_s: float


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint file now exists. ``rank`` is 1 for the best of the monitored ones, 0 for ``last.ckpt``.

    ``mode`` says whether the smallest ("min") or the largest ("max") value is best; ``size_bytes`` and ``time``
    (ISO 8601, UTC) are those of the file.
    """

    path: str
    epoch: int
    step: int
    monitor: str
    value: float | None
    rank: int
    mode: str = "min"
    size_bytes: int | None = None
    time: str | None = None


@dataclass(frozen=True)
class CheckpointRemoved:
    """A checkpoint file was deleted because better ones exist."""

    path: str


PREVIEW_SIDE = 512
"""Of a preview in pixels, its own binned ones, at most."""
PREVIEWS_KEPT = 40
"""In the folder of a run, at most."""


@dataclass(frozen=True, eq=False)
class PreviewReady:
    """A picture of the object as it is now: complex64 (h, w), reduced by ``binning``, and the first probe mode.

    ``stage`` says what goes on; epochs and steps are those of that stage. ``pixel_size_m`` of the object (y, x) is
    None where it is not known; ``scan`` is the place among those of the run that trains, None for a scan of no run.
    """

    epoch: int
    step: int
    object: NDArray[np.complex64]
    probe: NDArray[np.complex64]
    binning: int = 1
    stage: Stage = Stage.TRAINING
    pixel_size_m: tuple[float, float] | None = None
    scan: int | None = None

    @property
    def moment(self) -> str:
        """When in a run it was made: "epoch 5", or what else went on."""
        return f"epoch {self.epoch}" if self.stage == Stage.TRAINING else str(self.stage)


@dataclass(frozen=True)
class ScanGrew:
    """More of a scan that is being measured is in its picture.

    ``patterns`` are in it, ``covered_pixels`` of the object lit, ``median_coverage`` times as much as the probe's
    brightest pixel lights one; ``free_misfit`` is that of the patterns kept out so far, None before the first.
    """

    scan: str
    patterns: int
    covered_pixels: int
    median_coverage: float
    free_misfit: float | None

    @property
    def in_words(self) -> str:
        """How far it is, without the scan's name."""
        misfit = "" if self.free_misfit is None else f", free misfit {self.free_misfit:.2f}"
        covered = f"{self.covered_pixels:,} pixels covered {self.median_coverage:.3g} times"
        return f"{self.patterns:,} patterns, {covered}{misfit}"


@dataclass(frozen=True)
class ScanOver:
    """A watched scan was reconstructed, with what ``verdict``, into which ``folder``; or ``failed`` says why not.

    ``remarks`` are those of the journal.
    """

    scan: str
    folder: str
    verdict: str = ""
    failed: str = ""
    remarks: str = ""


@dataclass(frozen=True)
class WatchTold:
    """Something about a folder that is watched that its operator should know, in a sentence."""

    message: str


@dataclass(frozen=True)
class RolledBack:
    """A fit diverged, and goes on from its best state at a lower rate. ``message`` says in a sentence what was seen."""

    epoch: int
    step: int
    message: str


@dataclass(frozen=True)
class RefinementChecked:
    """A knob that stood at ``check``: deviance of the validation patterns before and after, and in a sentence.

    ``bent_px`` says by how much the picture has followed wrong positions, as far as that was looked for; ``value`` is
    what the knob should be set to where that helps; ``scan`` is the place, from 0, of the scan among those of the run.
    """

    knob: str
    before: float
    after: float
    helps: bool
    message: str
    bent_px: float = 0.0
    value: str | int = "refine"
    scan: int = 0


@dataclass(frozen=True)
class Judged:
    """What the end of a run thinks of its picture of the scan at a place; a reconstruction looks more closely."""

    verdict: Verdict
    scan: int = 0


@dataclass(frozen=True)
class RunFinished:
    """Terminal. ``status`` is neither running nor failed; ``reason`` says why."""

    run_dir: str
    status: Status
    reason: str
    best_checkpoint: str | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class RunFailed:
    """Terminal. ``message`` is the sentence for the operator: what happened, what was saved, what to try."""

    run_dir: str
    message: str


Event = (
    RunStarted
    | StageChanged
    | ProbeSearched
    | ModesChosen
    | PictureChosen
    | PartBegan
    | BatchDone
    | EpochDone
    | CheckpointSaved
    | CheckpointRemoved
    | PreviewReady
    | ScanGrew
    | ScanOver
    | WatchTold
    | RolledBack
    | RefinementChecked
    | Judged
    | RunFinished
    | RunFailed
)
EventHandler = Callable[[Event], None]
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in typing.get_args(Event) if kind is not PreviewReady}


def of_scan(place: int | None, events: EventHandler) -> EventHandler:
    """Return an observer that passes on what happens, pictures as those of the scan at a place among a run's."""

    def tell(event: Event) -> None:
        events(dataclasses.replace(event, scan=place) if isinstance(event, PreviewReady) else event)

    return tell


def to_json(event: Event) -> str:
    """Return an event without arrays as one line of JSON, which names its kind as ``event``."""
    return json.dumps({"event": type(event).__name__, **encode(event)}, allow_nan=False)


def from_json(line: str) -> Event:
    """Return the event of a line that `to_json` wrote.

    Raises
    ------
    InputError
        The line tells of no event that this version knows.
    ValueError
        It is not JSON.
    """
    body = json.loads(line)
    kind = _KINDS.get(body.pop("event", "")) if isinstance(body, dict) else None
    if kind is None:
        raise InputError("a line tells of no event that this version knows")
    return decode(kind, body, "an event")


class Cancelled(Exception):
    """Raised to leave at once what a `StopToken` was to end."""


class StopToken:
    """A request to end a run, safe to make from any thread and at any moment, before the run begins too.

    `stop`: finish the batch, validate, save. `cancel`: leave at once; what is on disk stays.
    A cancel overrides a stop.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._cancel = threading.Event()
        self._reason = ""

    def stop(self, reason: str = "stopped by the operator") -> None:
        """Ask for an orderly end."""
        self._reason = self._reason or reason
        self._stop.set()

    def cancel(self, reason: str = "cancelled by the operator") -> None:
        """Ask to leave at once."""
        self._reason = reason
        self._cancel.set()

    @property
    def reason(self) -> str:
        """Why it is to end; empty before it is."""
        return self._reason

    @property
    def stop_requested(self) -> bool:
        """True once `stop` or `cancel` was called."""
        return self._stop.is_set() or self._cancel.is_set()

    @property
    def cancel_requested(self) -> bool:
        """True once `cancel` was called."""
        return self._cancel.is_set()

    @property
    def seconds_left(self) -> float:
        """Until it is stopped for want of time; infinite where nothing is said of that."""
        return math.inf

    def leave_if_cancelled(self) -> None:
        """Raise `Cancelled` once `cancel` was called."""
        if self.cancel_requested:
            raise Cancelled


class Until(StopToken):
    """A token that is stopped when another one is, and when the time is over.

    Parameters
    ----------
    token
        The other one.
    deadline
        Says when that is, by `time.monotonic`; it may change.
    """

    def __init__(self, token: StopToken, deadline: Callable[[], float]) -> None:
        super().__init__()
        self._token, self._deadline = token, deadline

    def stop(self, reason: str = "stopped by the operator") -> None:
        """Stop the other one."""
        self._token.stop(reason)

    def cancel(self, reason: str = "cancelled by the operator") -> None:
        """Cancel the other one."""
        self._token.cancel(reason)

    @property
    def reason(self) -> str:
        """That of the other one, or that the time is over."""
        return self._token.reason or ("the time is over" if self.stop_requested else "")

    @property
    def stop_requested(self) -> bool:
        """True once the other is stopped or the time is over."""
        return self._token.stop_requested or self.seconds_left <= 0

    @property
    def cancel_requested(self) -> bool:
        """True once the other is cancelled."""
        return self._token.cancel_requested

    @property
    def seconds_left(self) -> float:
        """Until the time is over, of the other one too."""
        return min(self._token.seconds_left, self._deadline() - time.monotonic())
