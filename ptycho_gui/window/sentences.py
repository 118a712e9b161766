"""What is said of jobs: words for what goes on, a message at the end. A message is its severity and its sentence."""

from __future__ import annotations

from typing import Any

from ptycho_core.base.events import ScanGrew, ScanOver, Stage, StageChanged
from ptycho_core.base.verdict import Level, verdict_in
from ptycho_core.runs.trials import Outcome, ranked
from ptycho_gui.kit.threads.worker import Progress
from ptycho_gui.result.jobs.best_picture import BestPictured
from ptycho_gui.window.shown import ShownRun

Message = tuple[str, str]


def doing(event: Any) -> tuple[str, float | None] | None:
    """Return what an event says goes on, and the part of it that is done if known; None where it says nothing."""
    match event:
        case Progress():
            return event.stage, event.done / event.total if event.total else None
        case ScanGrew():
            return f"{event.scan}: {event.in_words}", None
        case StageChanged():
            what = "reading the patterns" if event.stage == Stage.LOADING else str(event.stage)
            of = f", {event.epoch} of at most {event.epochs} epochs" if event.epochs else ""
            return f"{what}{of}", (event.epoch - 1) / event.epochs if event.epochs else None
    return None


def of_search(outcomes: list[Outcome]) -> Message:
    """Say which trial of a search is best."""
    best, left = ranked(outcomes), sum(one.left for one in outcomes)
    if best:
        told = f"The best of {len(outcomes) - left} trials: {best[0].trial.in_words}."
        return "info", f"{told} {left} {'is' if left == 1 else 'are'} left." if left else told
    why = next((one.reason for one in outcomes if one.reason), "")
    return "warning", f"No trial has a result: {why}." if why else "No trial has a result."


def of_best_picture(best: BestPictured) -> Message:
    """Say of how many fits a picture is and how good, and what was put right in the scan before."""
    fits = "one fit" if len(best.fits) == 1 else f"{len(best.fits)} fits"
    prepared = ", ".join(fix.label for fix in best.prepared)
    verdict = verdict_in(best.made.reconstruction.metrics)
    doubt = f": it is {verdict.level}" if verdict and verdict.level != Level.GOOD else ""
    told = f"{best.made.folder.name} has the best picture of {fits}{doubt}."
    return "warning" if doubt else "info", f"{told} Before that: {prepared}." if prepared else told


def of_failure(sentence: str, run: ShownRun | None) -> Message:
    """Say why something has failed; of a run whose verdict, above the object, has the reasons already, only that."""
    reasons = run.history.verdict.reasons if run and run.history.verdict else ()
    if run and reasons and all(reason in sentence for reason in reasons):
        return "error", f"No picture came of {run.folder.name}: why, and what may help, stands above the object."
    return "error", sentence


def of_scan(over: ScanOver) -> Message:
    """Say what became of a scan that was watched."""
    if over.failed:
        return "error", f"{over.scan} has failed: {over.failed}."
    return "info", f"{over.scan} is reconstructed: {over.verdict}. It lies in {over.folder}."
