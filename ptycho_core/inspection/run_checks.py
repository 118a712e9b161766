"""All that can be seen to be wrong before a run begins, for the window and the command line alike. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, Problem
from ptycho_core.base.file_state import changed_since
from ptycho_core.inspection.memory import check_memory
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.inspection.scan_checks import check_overlap, check_scan, median_step_px
from ptycho_core.scan.grouping import GroupingPlan, Neighborhoods, probe_diameter
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import survey_of

FURTHER = "further_scans"
PATTERNS_PER_VARIATION = 10
"""A mode by which the probe varies is as much to find as an object of that many patterns, at least."""


def check_run(
    config: Config, scan: Scan, test_scan: Scan | None = None, further_scans: Sequence[Scan] = ()
) -> list[Problem]:
    """Return what is wrong with a scan, with the settings, and between them.

    Parameters
    ----------
    config
        The settings.
    scan
        To train on.
    test_scan
        To validate on, or None to validate on a part of ``scan``.
    further_scans
        To train on too.
    """
    problems = [
        *_check_scan(scan),
        *_check_files(scan, test_scan, *further_scans),
        *check_settings(config, scan, test_scan),
    ]
    return problems + _check_further(config, scan, test_scan, further_scans, problems)


def _check_scan(scan: Scan) -> list[Problem]:
    probe = initial_probe(scan) if scan.probe is None else scan.probe
    step = median_step_px(scan.positions)
    return [*check_scan(scan, step_px=step), *check_overlap(scan, step, probe)]


def _check_further(
    config: Config, scan: Scan, test_scan: Scan | None, further_scans: Sequence[Scan], known: Sequence[Problem]
) -> list[Problem]:
    """Return what is wrong with further scans, beside what is known of the first one."""
    if problems := check_number(config, 1 + len(further_scans)):
        return problems
    said = {problem.message for problem in known}
    for place, one in enumerate(further_scans):
        found = check_beside(one, [scan, *further_scans[:place]])
        if all(problem.field != FURTHER for problem in found):
            found += check_settings(config, one, test_scan)
        problems += _named(one, (problem for problem in found if problem.message not in said))
    return problems


def check_number(config: Config, scans: int) -> list[Problem]:
    """Return what is wrong with training on so many scans together."""
    if scans == 1 or not ENGINES[config.engine].serves_one_scan:
        return []
    other = next(name for name, engine in ENGINES.items() if not engine.serves_one_scan)
    message = (
        f"the {config.engine} engine fits one scan, and {scans} are given: leave out all but one, "
        f"or take engine {other}"
    )
    return [Problem("engine", message, fixes=(Fix(f"engine {other}", "engine", other),))]


def check_beside(scan: Scan, before: Sequence[Scan]) -> list[Problem]:
    """Return what is wrong with a scan that is to be trained on with those before it, whatever the settings.

    What keeps it from being one of them is of the field `FURTHER`; all else is wrong with the scan itself.
    """
    first = before[0]
    if scan.size != first.size:
        message = (
            f"its patterns have {scan.size} pixels a side, those of {first.source.name} {first.size}: scans that are "
            "trained on together need the same, so crop, pad or bin them, or leave one out"
        )
        return [Problem(FURTHER, message)]
    if twin := next((other for other in before if _are_one(scan, other)), None):
        return [Problem(FURTHER, f"it holds the patterns of {twin.source.name}: leave one of them out")]
    return _check_scan(scan)


def _named(scan: Scan, problems: Iterable[Problem]) -> list[Problem]:
    return [dataclasses.replace(one, message=f"{scan.source.name}: {one.message}") for one in problems]


def _are_one(one: Scan, other: Scan) -> bool:
    """Return whether two scans have the same patterns, told by the sum of the counts of each that was looked at."""
    return one.size == other.size and np.array_equal(survey_of(one).sums, survey_of(other).sums)


def _check_files(*scans: Scan | None) -> list[Problem]:
    """Say which file is no longer what was looked at; of one that is being written that is known."""
    said = [changed_since(scan.files) for scan in scans if scan is not None and not scan.growing]
    return [Problem("changed", sentence, "warning") for sentence in said if sentence]


def check_settings(
    config: Config, scan: Scan, test_scan: Scan | None = None, near: Neighborhoods | None = None
) -> list[Problem]:
    """Return what is wrong with the settings, or between them and the scan: quick enough to ask while they are typed.

    Parameters
    ----------
    config, scan, test_scan
        As for `check_run`.
    near
        Of the scan's positions, where they were found before.
    """
    problems = _check_propagator(config, scan, test_scan)
    if test_scan is None:
        problems += config.check()
    elif test_scan.size != scan.size:
        message = f"the test scan has patterns of {test_scan.size} pixels, the scan of {scan.size}: they must be alike"
        problems.append(Problem("test_scan", message))
    elif ENGINES[config.engine].serves_one_scan and _reaches_beyond(test_scan, scan):
        other = next(name for name, engine in ENGINES.items() if not engine.serves_one_scan)
        message = (
            f"the {config.engine} engine fits the object of one scan, and the test scan reaches beyond it: leave out "
            f"the test data file, or take engine {other}"
        )
        problems.append(Problem("test_scan", message, fixes=(Fix(f"engine {other}", "engine", other),)))
    if test_scan is not None and ENGINES[config.engine].serves_one_scan:
        for name in ("positions", "intensity"):
            if getattr(config, name) == "refine":
                message = (
                    f"{name} refine fits something to each pattern of one scan, which a test scan does not share: "
                    f"leave out the test data file, or set {name} to off"
                )
                problems.append(Problem(name, message, fixes=(Fix(f"{name} off", name, "off"),)))
        if config.probe_variation:
            message = (
                "probe_variation fits something to each pattern of one scan, which a test scan does not share: leave "
                "out the test data file, or set probe_variation to 0"
            )
            problems.append(
                Problem("probe_variation", message, fixes=(Fix("probe_variation 0", "probe_variation", 0),))
            )
    most = len(scan) // PATTERNS_PER_VARIATION
    if KNOBS["probe_variation"].serves(config.engine) and (config.probe_variation or 0) > most:
        message = (
            f"probe_variation {config.probe_variation} is more than {len(scan)} patterns allow: at most {most} modes, "
            f"one for every {PATTERNS_PER_VARIATION} patterns"
        )
        problems.append(Problem("probe_variation", message, fixes=(Fix(f"{most}", "probe_variation", most),)))
    if KNOBS["gridsize"].serves(config.engine):
        diameter = None if scan.probe is None or not scan.probe.any() else probe_diameter(scan.probe)
        plan = GroupingPlan(config.gridsize, config.neighbor_count)
        near = near or Neighborhoods(scan.positions)
        problems += plan.check(len(scan), near, diameter)
    if not any(problem.severity == "error" for problem in problems):
        problems += check_memory(config, scan, near)
    return problems


def _check_propagator(config: Config, scan: Scan, test_scan: Scan | None) -> list[Problem]:
    opened = scan.geometry.propagator
    auto = (Fix("as the scan was opened", "propagator", None),)
    if config.propagator not in (None, opened):
        message = (
            f"propagator is {config.propagator}, and the scan was opened as {opened} field: answer "
            f"propagator={config.propagator} where the scan is opened, or leave the setting at auto"
        )
        return [Problem("propagator", message, fixes=auto)]
    if test_scan is not None and test_scan.geometry.propagator != opened:
        message = f"the scan is of the {opened} field, the test scan of the {test_scan.geometry.propagator} field"
        return [Problem("test_scan", message)]
    return []


def _reaches_beyond(test_scan: Scan, scan: Scan) -> bool:
    tested, fitted = np.floor(test_scan.positions), np.floor(scan.positions)
    return bool((tested.min(axis=0) < fitted.min(axis=0)).any() or (tested.max(axis=0) > fitted.max(axis=0)).any())
