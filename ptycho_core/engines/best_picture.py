"""`best_picture`: the best picture of a scan that some minutes allow, with nothing to choose."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, InputError, PtychoError, raise_errors
from ptycho_core.base.events import Event, EventHandler, PartBegan, RunStarted, Status, StopToken, Until
from ptycho_core.engines.pace import Pace
from ptycho_core.engines.reconstruct import Written, reconstruct, write_results
from ptycho_core.engines.training import train
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.inspection.safe_fixes import open_prepared
from ptycho_core.preprocessing import mended
from ptycho_core.runs.previews import kept_previews
from ptycho_core.runs.record import RECORD, RunInfo, read_run
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource

_log = logging.getLogger(__name__)

LEAST_MINUTES = 0.5
FOR_THE_END = 0.3
"""Part of the time that is kept for what follows the fits: checks, scores, the halves, the final pass."""
AFTER_FIT, AFTER_SCORES = 7.0, 2.0
"""As many epochs take as long as what cannot be left out after a fit, scores and verdict (four were measured, and up to
three until a check has noticed that it is to end), and as the verdict alone, which was one."""
MOST_FITS = 3
KNOWN = ("--drop-patterns", "positions", "intensity", "probe_variation")
"""What was seen to help: another fit takes it over from the verdict on the one before."""
GUESSED = ("probe_search", "probe_modes", "learning_rate")
"""What may help: it is taken over where nothing else is. The other ways out are for the operator."""
_WORTH_BEGINNING = 0.5
"""Part of the time of the fit before that has to be left for another one to be begun."""


@dataclass(frozen=True, eq=False)
class BestPicture:
    """What came of it.

    Parameters
    ----------
    run
        Whose picture it is.
    fits
        All runs that were made, in order; ``run`` is one of them.
    looked
        The scan, and what is wrong with it still.
    prepared
        What was put right in it before.
    checkpoint
        Of ``run``, with which the picture was made.
    reconstruction
        The picture, with its verdict.
    written
        Its files, in the folder of the last run.
    """

    run: RunInfo
    fits: tuple[RunInfo, ...]
    looked: Inspection
    prepared: tuple[Fix, ...]
    checkpoint: Path
    reconstruction: Reconstruction
    written: Written


def best_picture(
    source: ScanSource,
    folder: str | Path,
    *,
    minutes: float = 5.0,
    began: float | None = None,
    accelerator: str = "auto",
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
    command: str = "",
) -> BestPicture:
    """Inspect a scan, prepare it, fit it, take up what would help, and reconstruct it, within some minutes.

    The direct engine fits with its defaults first; what the verdict on that asks for (`KNOWN`, `GUESSED`) is taken up
    by another fit where the time allows. The picture is that of the fit which explains the validation patterns best. No
    network is trained: it takes longer than a fit, and is worth that for the scans that follow.

    Parameters
    ----------
    source
        How the scan is read.
    folder
        The run directory. Of several fits, the last one's is there, the others are below ``previous``.
    minutes
        When it is to be over. A fit in progress ends early and in good order. What is not needed for a picture, the
        checks of a run, its resolution and the patterns that were kept apart, is left out, and that is said, where it
        would not end in time at the pace of the fits on this machine (`Pace`).
    began
        The time, as `time.monotonic` tells it, from which they count; now where None.
    accelerator
        As in the config.
    events
        Gets the events of runs and reconstruction, and `PartBegan` before each part.
    stop
        A stop ends the part at hand, and makes the picture of what there is.
    command
        The command line that does the same, for the record.

    Raises
    ------
    InputError
        The scan cannot be read or reconstructed, or the time is too short.
    TrainingError
        The first fit failed, and has left no state to make a picture of.
    Cancelled
        The token was cancelled.
    """
    if not minutes >= LEAST_MINUTES:
        raise InputError(f"a picture takes {LEAST_MINUTES:g} minutes at least (minutes is {minutes:g})")
    token, now = stop or StopToken(), time.monotonic()
    deadline = (now if began is None else began) + 60 * minutes
    events(PartBegan("looking at the scan", deadline - now))
    looked, prepared = open_prepared(source)
    raise_errors(looked.problems)
    for fix in prepared:
        _log.info("before the fit: %s", fix.label)
    fits = _Fits(looked.scan, Path(folder), deadline, 60 * minutes * FOR_THE_END, events, token, command)
    fits.run(build_config({"engine": "direct", "accelerator": accelerator, "quiet": True}))
    best, scan = min(fits.done, key=lambda fit: math.inf if fit.info.best_value is None else fit.info.best_value)
    checkpoint = best.best_checkpoint or best.last_checkpoint
    events(PartBegan("the picture of all patterns", max(0.0, deadline - time.monotonic())))
    with kept_previews(best.folder, events) as heard:
        found = reconstruct(scan, checkpoint, accelerator=accelerator, events=heard, stop=fits.after_scores)
    token.leave_if_cancelled()
    written = write_results(found, Path(folder))
    return BestPicture(best, tuple(fit.info for fit in fits.done), looked, tuple(prepared), checkpoint, found, written)


class _Fit(NamedTuple):
    """A run, and the scan that it saw."""

    info: RunInfo
    scan: Scan


class _Fits:
    """Runs of the direct engine in one folder, each with what the verdict on the one before asks for."""

    def __init__(
        self,
        scan: Scan,
        folder: Path,
        deadline: float,
        for_the_end_s: float,
        events: EventHandler,
        token: StopToken,
        command: str,
    ) -> None:
        self.scan, self.folder, self.until = scan, folder, deadline - for_the_end_s
        self.events, self.token, self.command = events, token, command
        self.pace = pace = Pace()
        self._in_time = Until(token, lambda: deadline - pace.end_s(AFTER_FIT))
        self.after_scores = Until(token, lambda: deadline - pace.end_s(AFTER_SCORES))
        """Stopped where there is time for nothing but the verdict on a picture, and its files."""
        self.done: list[_Fit] = []
        self._moved_to = ""

    def run(self, config: Config) -> None:
        """Fit, and fit again while that promises a better picture and there is time for it."""
        what = "the first fit"
        while True:
            left = self.until - (began := time.monotonic())
            config = config.replace(max_time=max(left, 1.0) / 60)
            self.events(PartBegan(what, left, str(self.folder), config))
            try:
                self._train(config)
            except PtychoError as error:
                if self.done:
                    _log.warning("%s failed, so the one before it stays: %s", what, error)
                    return
                if not self._take_failed():
                    raise
            self.token.leave_if_cancelled()
            took, left = time.monotonic() - began, self.until - time.monotonic()
            asked = _asked_for([fit.info for fit in self.done])
            if (
                not asked
                or len(self.done) == MOST_FITS
                or left < _WORTH_BEGINNING * took
                or self._in_time.stop_requested
            ):
                return
            config = config.replace(**{fix.field: fix.value for fix in asked if fix.field in KNOBS})
            for fix in asked:
                if fix.field not in KNOBS:
                    self.scan = mended(self.scan, fix)
            what = f"another fit: {', '.join(fix.label for fix in asked)}"

    def _train(self, config: Config) -> None:
        self._moved_to = ""
        try:
            info = train(config, self.scan, self.folder, events=self._hear, stop=self._in_time, command=self.command)
        finally:
            if self.done and self._moved_to:  # the run before has left the folder to this one
                self.done[-1] = self.done[-1]._replace(info=read_run(Path(self._moved_to)))
        self.done.append(_Fit(info, self.scan))

    def _take_failed(self) -> bool:
        """Take the best state of a fit that failed: a poor picture, with what to do next, is better than none."""
        info = read_run(self.folder) if (self.folder / RECORD).exists() else None
        if info is None or info.status != Status.FAILED or info.best_checkpoint is None:
            return False
        _log.warning("%s; the picture is that of the best state", info.reason)
        self.done.append(_Fit(info, self.scan))
        return True

    def _hear(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._moved_to = event.earlier
        self.pace.hear(event)
        self.events(event)


def _asked_for(runs: list[RunInfo]) -> list[Fix]:
    """Return what the verdict on the last of some runs asks another one to take over, where none has done so yet."""
    actions = runs[-1].verdict.actions if runs[-1].verdict else ()
    new = [fix for fix in actions if all(getattr(run.config, fix.field, None) != fix.value for run in runs)]
    return [fix for fix in new if fix.field in KNOWN] or [fix for fix in new if fix.field in GUESSED]
