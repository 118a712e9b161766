"""What a search of settings tries, and what it refuses."""

from __future__ import annotations

import math

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import Status
from ptycho_core.runs.trials import Outcome, can_be_varied, parse_varied, plan, ranked


def test_each_combination_is_a_trial_in_the_order_in_which_it_was_said(tmp_path):
    varied = parse_varied(["learning-rate=1e-3,3e-3", "positions=off,refine"])
    trials = plan({"engine": "direct", "max_epochs": 3}, varied, tmp_path)
    assert [trial.in_words for trial in trials] == [
        "learning_rate 0.001, positions off",
        "learning_rate 0.001, positions refine",
        "learning_rate 0.003, positions off",
        "learning_rate 0.003, positions refine",
    ]
    assert {trial.config.max_epochs for trial in trials} == {3}
    assert [trial.folder.name for trial in trials] == ["trial-001", "trial-002", "trial-003", "trial-004"]
    assert not any(trial.folder.exists() for trial in trials)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("learning_rate", "as NAME=VALUE,VALUE"),
        ("lerning_rate=1", "did you mean learning_rate"),
        ("learning_rate=1,fast", "learning_rate must be a number above 0"),
        ("seed=1,2", "decides which patterns judge"),
        ("free_fraction=0.1,0.2", "decides which patterns judge"),
        ("logger=csv,none", "vary another setting"),
        ("propagator=far,near", "vary another setting"),
        ("checkpoint_save_top_k=1,3", "vary another setting"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_varied([text])


def test_each_value_is_tried_once_however_it_is_said():
    assert parse_varied(["max_epochs=1,2,1", "max-epochs=2,3"]) == {"max_epochs": [1, 2, 3]}


def test_what_was_broken_off_is_left_and_what_has_an_end_is_not(tmp_path):
    (trial,) = plan({}, {"max_epochs": [1]}, tmp_path)
    left = {status: Outcome(trial, status).left for status in (None, *Status)}
    assert {status for status, is_left in left.items() if not is_left} == {Status.FINISHED, Status.FAILED}


def test_too_many_trials_and_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="these are 300 trials, and 200 are the most"):
        plan({}, {"max_epochs": list(range(1, 301))}, tmp_path)
    with pytest.raises(InputError, match="say what to vary"):
        plan({}, {}, tmp_path)


def test_what_may_be_varied_holds_what_makes_a_picture_better():
    names = can_be_varied()
    assert {"engine", "learning_rate", "positions", "probe_modes", "max_epochs", "prior"} <= set(names)
    assert not {"seed", "val_fraction", "accelerator", "logger", "propagator"} & set(names)


def test_trials_without_a_figure_are_not_ranked(tmp_path):
    first, second, third = plan({}, {"max_epochs": [1, 2, 3]}, tmp_path)
    told = [Outcome(first, deviance=2.0), Outcome(second, deviance=math.inf), Outcome(third, deviance=1.0)]
    assert [one.trial.number for one in ranked(told)] == [3, 1]
