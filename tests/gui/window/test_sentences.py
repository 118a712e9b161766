"""What the window says of jobs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone, ScanOver, Stage, StageChanged, Status
from ptycho_core.base.verdict import Level, Verdict
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.trials import Outcome, plan
from ptycho_gui.kit.threads.worker import Progress
from ptycho_gui.result.jobs.best_picture import BestPictured
from ptycho_gui.window import sentences
from ptycho_gui.window.shown import ShownRun


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Progress("reading", 3, 4), ("reading", 0.75)),
        (Progress("loading the training software"), ("loading the training software", None)),
        (StageChanged(Stage.LOADING), ("reading the patterns", None)),
        (StageChanged(Stage.POLISHING, 5, 10), ("polishing, 5 of at most 10 epochs", 0.4)),
        (BatchDone(1, 0, {}), None),
    ],
)
def test_what_goes_on_is_in_words_with_the_part_that_is_done(event, said):
    assert sentences.doing(event) == said


def test_a_search_names_its_best_trial_what_is_left_and_why_there_is_none():
    first, second, third = plan({}, {"max_epochs": [1, 2, 3]}, Path("out"))
    told = [Outcome(first, Status.FINISHED, deviance=2.0), Outcome(second, Status.FINISHED, deviance=1.0)]
    assert sentences.of_search(told) == ("info", "The best of 2 trials: max_epochs 2.")
    broken_off = [*told, Outcome(third)]
    assert sentences.of_search(broken_off) == ("info", "The best of 2 trials: max_epochs 2. 1 is left.")
    failed = [Outcome(first, Status.FAILED, "the loss is not a number")]
    assert sentences.of_search(failed) == ("warning", "No trial has a result: the loss is not a number.")


def pictured(level):
    verdict = {"level": level, "reasons": ["two halves differ"], "actions": []}
    made = SimpleNamespace(folder=Path("/out/star"), reconstruction=SimpleNamespace(metrics={"verdict": verdict}))
    return BestPictured(made, (None, None), ())


def test_the_best_picture_is_no_good_news_where_it_is_not_good():
    assert sentences.of_best_picture(pictured("good")) == ("info", "star has the best picture of 2 fits.")
    assert sentences.of_best_picture(pictured("poor")) == (
        "warning",
        "star has the best picture of 2 fits: it is poor.",
    )


def test_why_a_run_failed_is_said_once(tmp_path):
    run = ShownRun(tmp_path / "run", None, RunHistory(Config()))
    assert sentences.of_failure("the disk is full", run) == ("error", "the disk is full")
    run.history.verdict = Verdict(Level.POOR, ("two halves differ",), ())
    assert sentences.of_failure("the disk is full", run) == ("error", "the disk is full")
    told = sentences.of_failure("no picture came of it: two halves differ. The best state is kept", run)
    assert told == ("error", "No picture came of run: why, and what may help, stands above the object.")
    assert sentences.of_failure("two halves differ", None) == ("error", "two halves differ")


def test_a_scan_that_was_watched_has_a_verdict_and_a_place_or_a_reason():
    assert sentences.of_scan(ScanOver("a.h5", "/out/a", "good", "")) == (
        "info",
        "a.h5 is reconstructed: good. It lies in /out/a.",
    )
    assert sentences.of_scan(ScanOver("a.h5", "", "", "it is empty")) == ("error", "a.h5 has failed: it is empty.")
