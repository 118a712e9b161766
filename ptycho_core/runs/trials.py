"""A search of settings: which combinations are tried, and what the folder of a search tells of them. No torch here.

Each trial is a run of its own in the folder of the search, so that nothing is kept twice: which trials are done, with
which settings and how well, is read from their run directories, also after the search was broken off.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError, did_you_mean
from ptycho_core.base.events import Status
from ptycho_core.runs.record import RECORD, RunInfo, read_metrics, read_run
from ptycho_core.runs.recorded_scan import RecordedScan

MOST_TRIALS = 200
BEST = "best.json"
"""In the folder of a search: the settings of its best trial, for `ptycho train --config`."""
TRIAL = "trial-"
"""Folder of a trial, before its number."""
SCORE = "poisson_val_loss"
"""By which trials are ranked, whatever loss they train: the deviance of the validation patterns at the best epoch."""
_DECIDE_WHO_JUDGES = ("seed", "val_fraction", "free_fraction")
_READ_THE_SCAN = ("propagator",)
_RUN_WHERE_AND_HOW = (
    *("accelerator", "devices", "num_nodes", "strategy", "num_workers", "pin_memory", "persistent_workers"),
    *("prefetch_factor", "logger", "quiet", "preview_seconds", "enable_checkpointing", "checkpoint_save_top_k"),
)


@dataclass(frozen=True)
class Trial:
    """One combination of the settings that are varied.

    Parameters
    ----------
    number
        From 1, in the order of the search.
    settings
        Those that are varied, by name.
    config
        All of them.
    folder
        Its run directory.
    """

    number: int
    settings: dict[str, Any]
    config: Config
    folder: Path

    @property
    def in_words(self) -> str:
        """The settings that are varied, as they are typed."""
        return ", ".join(f"{name} {KNOBS[name].text(value)}" for name, value in self.settings.items())


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Parameters
    ----------
    status, reason
        Of its run; None and nothing where it has not begun.
    deviance
        Half Poisson deviance per good pixel of the validation patterns at the best epoch; infinite without one.
    epochs
        That were done.
    seconds
        That it took.
    """

    trial: Trial
    status: Status | None = None
    reason: str = ""
    deviance: float = math.inf
    epochs: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether nothing would be gained by trying it again."""
        return self.status == Status.FINISHED

    @property
    def left(self) -> bool:
        """Whether the search was broken off before it, or in it: it goes on there."""
        return self.status not in (Status.FINISHED, Status.FAILED)


def parse_varied(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values to try by setting, of words such as ``learning_rate=1e-3,3e-3``; each value is tried once.

    Raises
    ------
    InputError
        A setting or a value is none, or cannot be compared.
    """
    varied: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InputError(f"say what to vary as NAME=VALUE,VALUE (it is {text!r})")
        refuse_varied(name)
        parsed = [KNOBS[name].parse(name, value) for value in values.split(",")]
        varied[name] = list(dict.fromkeys([*varied.get(name, []), *parsed]))
    return varied


def refuse_varied(name: str) -> None:
    """Raise `InputError` where runs that differ in a setting cannot be compared, or there is no such setting."""
    if name not in KNOBS:
        raise InputError(f"there is no setting {name!r}; {did_you_mean(name, KNOBS, 'see docs/commands.md')}")
    if name in _DECIDE_WHO_JUDGES:
        raise InputError(f"{name} decides which patterns judge, so that runs which differ in it cannot be compared")
    if name in (*_READ_THE_SCAN, *_RUN_WHERE_AND_HOW) or KNOBS[name].kind is tuple:
        raise InputError(f"{name} says how a scan is read or a run is made, not how good it gets: vary another setting")


def can_be_varied() -> list[str]:
    """Return the settings that a search may vary."""
    names = []
    for name in KNOBS:
        try:
            refuse_varied(name)
        except InputError:
            continue
        names.append(name)
    return names


def plan(settings: Mapping[str, Any], varied: Mapping[str, Sequence[Any]], folder: Path) -> list[Trial]:
    """Return a trial for each combination of the values.

    Parameters
    ----------
    settings
        What all of them share: a layer of `build_config`.
    varied
        Values to try by setting.
    folder
        Of the search.

    Raises
    ------
    InputError
        There is nothing to vary, there are too many combinations, or one of them is not valid.
    """
    if not varied:
        raise InputError("say what to vary, and which values to try")
    number = math.prod(len(values) for values in varied.values())
    if number > MOST_TRIALS:
        raise InputError(f"these are {number} trials, and {MOST_TRIALS} are the most: try fewer values at once")
    trials = []
    for place, values in enumerate(itertools.product(*varied.values()), start=1):
        chosen = dict(zip(varied, values, strict=True))
        config = build_config(dict(settings), chosen, {"checkpoint_save_top_k": 1})
        trials.append(Trial(place, chosen, config, folder / f"{TRIAL}{place:03}"))
    return trials


def folder_for(
    base: Path, settings: Mapping[str, Any], varied: Mapping[str, Sequence[Any]], scan: RecordedScan
) -> Path:
    """Return the folder in which a search goes on, or begins where no other one was: ``base``, ``base-2``, ``base-3``.

    ``scan`` is what the trials see.

    Raises
    ------
    InputError
        As `plan`.
    """
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        trials = plan(settings, varied, folder)
        try:
            for trial in trials:
                outcome(trial, scan)
        except InputError:
            continue
        return folder
    raise AssertionError("there is no end of numbers")


def outcome(trial: Trial, scan: RecordedScan) -> Outcome:
    """Return what the folder of a trial on a scan tells.

    Raises
    ------
    InputError
        The run there cannot be read, or is of other settings, of another scan, or of one that was prepared otherwise.
    """
    if not (trial.folder / RECORD).exists():
        return Outcome(trial)
    info = read_run(trial.folder)
    if info.config != trial.config or _seen(info.scan) != _seen(scan):
        raise InputError(f"{trial.folder} is a trial of another search: take another folder")
    return outcome_of(trial, info)


def _seen(scan: RecordedScan) -> tuple[Any, ...]:
    """Return what tells the patterns of one scan, as they are prepared, from those of another."""
    positions = scan.positions.sha256 if scan.positions else None
    return scan.sha256, positions, scan.settings, scan.mapping, scan.preprocessing, scan.shape


def outcome_of(trial: Trial, info: RunInfo) -> Outcome:
    """Return what came of a trial whose run is known."""
    columns = read_metrics(info.folder)
    losses = columns.get(SCORE, np.empty(0))
    losses = losses[np.isfinite(losses)]
    seconds = ((info.ended or info.updated) - info.started).total_seconds()
    deviance = float(losses.min()) if len(losses) and info.status != Status.FAILED else math.inf
    return Outcome(trial, info.status, info.reason, deviance, info.epochs_done, seconds)


def ranked(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the trials that have a figure, the best first."""
    return sorted((one for one in outcomes if math.isfinite(one.deviance)), key=lambda one: one.deviance)
