"""`tune`: a search of settings by short runs on a part of a scan, judged by its validation patterns."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_core.base.atomic import write_json
from ptycho_core.base.errors import TrainingError, raise_errors
from ptycho_core.base.events import EventHandler, PartBegan, StopToken
from ptycho_core.engines.canvas import middle
from ptycho_core.engines.training import train
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.preprocessing import preprocess
from ptycho_core.runs.recorded_scan import record_scan
from ptycho_core.runs.trials import BEST, Outcome, outcome, plan, ranked
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Region

_log = logging.getLogger(__name__)


def tune(
    scan: Scan,
    folder: str | Path,
    settings: Mapping[str, Any],
    varied: Mapping[str, Sequence[Any]],
    *,
    patterns: int | None = None,
    events: EventHandler = lambda event: None,
    stop: StopToken | None = None,
    told: Callable[[Outcome], None] = lambda outcome: None,
    command: str = "",
) -> list[Outcome]:
    """Try each combination of some settings; what has finished already in the folder is not done again.

    Trials have the same validation patterns, and are ranked by the deviance of these at the best epoch
    (`runs.trials.SCORE`). A trial that fails is noted, and the next one is tried. The settings of the best are written
    to `runs.trials.BEST`.

    Parameters
    ----------
    scan
        To train on.
    folder
        Of the search: a run directory in it for each trial.
    settings
        What all trials share.
    varied
        Values to try by setting.
    patterns
        About how many patterns of the scan's middle are used; all where None.
    events
        Gets `PartBegan` before each trial, and the events of its run.
    stop
        A stop ends the trial at hand, which counts as not done, and the search.
    told
        Called with what came of each trial, in order.
    command
        The command line that does the same, for the records.

    Returns
    -------
    list of Outcome
        Of all trials, in their order; those that a stop left out have no status.

    Raises
    ------
    InputError
        The search cannot be made as it is asked for; nothing was begun.
    """
    token, part = stop or StopToken(), part_of(scan, patterns)
    trials = plan(settings, varied, Path(folder))
    for trial in trials:
        raise_errors(check_run(trial.config, part))
    seen = record_scan(part)
    known = {trial.number: outcome(trial, seen) for trial in trials}
    outcomes = []
    for trial in trials:
        found = known[trial.number]
        if not found.done and not token.stop_requested:
            what = f"trial {trial.number} of {len(trials)}: {trial.in_words}"
            events(PartBegan(what, run_dir=str(trial.folder), config=trial.config))
            try:
                train(trial.config, part, trial.folder, events=events, stop=token, command=command)
            except TrainingError as error:
                _log.warning("trial %d, %s: %s", trial.number, trial.in_words, error)
            found = outcome(trial, seen)
        outcomes.append(found)
        told(found)
    if best := ranked(outcomes):
        write_json(Path(folder) / BEST, {**settings, **best[0].trial.settings})
    return outcomes


def part_of(scan: Scan, patterns: int | None) -> Scan:
    """Return the middle of a scan: the rectangle that holds about so many patterns; all of it for None."""
    if patterns is None or patterns >= len(scan):
        return scan
    rows = middle(scan, np.arange(len(scan)), max(1, patterns))
    (top, left), (bottom, right) = scan.positions[rows].min(axis=0), scan.positions[rows].max(axis=0)
    return preprocess(scan, (Region(float(top), float(left), float(bottom), float(right)),))
