"""What training tells: events that survive JSON, and the token that ends a run."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import (
    BatchDone,
    CheckpointRemoved,
    CheckpointSaved,
    EpochDone,
    RunFailed,
    RunFinished,
    RunStarted,
    StageChanged,
    StopToken,
    Until,
    from_json,
    to_json,
)

EVENTS = [
    RunStarted("out", "CPU", 5, 10, 275_000, 2),
    StageChanged("training", 3),
    BatchDone(1, 7, {"grad_norm": 0.5, "poisson_train_loss_step": 1e-300}),
    EpochDone(1, 8, {"poisson_val_loss": 0.1 + 0.2}, 3.25),
    CheckpointSaved("out/checkpoints/x.ckpt", 1, 8, "poisson_val_loss", 0.3, 1),
    CheckpointSaved("out/checkpoints/last.ckpt", 1, 8, "", None, 0),
    CheckpointRemoved("out/checkpoints/x.ckpt"),
    RunFinished("out", "stopped", "by \u00fc\nme", None, {}),
    RunFailed("out", "no memory"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_one_line_of_json(event):
    line = to_json(event)
    assert "\n" not in line
    assert json.loads(line)["event"] == type(event).__name__
    assert from_json(line) == event


@pytest.mark.parametrize("line", ["[]", "{}", '{"event": "PreviewReady"}', '{"event": "StageChanged", "stage": "tea"}'])
def test_a_line_that_is_no_event_is_refused(line):
    with pytest.raises(InputError):
        from_json(line)


def test_what_is_not_finite_is_null_in_a_line():
    assert json.loads(to_json(BatchDone(1, 7, {"grad_norm": math.inf})))["metrics"] == {"grad_norm": None}


def test_events_cannot_be_changed_by_who_hears_them():
    for event in EVENTS:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.run_dir = "elsewhere"


def test_a_token_asks_for_nothing_until_told():
    token = StopToken()
    assert (token.stop_requested, token.cancel_requested, token.reason) == (False, False, "")


def test_the_first_stop_gives_the_reason_and_a_cancel_replaces_it():
    token = StopToken()
    token.stop("beam lost")
    token.stop("again")
    assert (token.stop_requested, token.cancel_requested, token.reason) == (True, False, "beam lost")
    token.cancel("fire")
    assert (token.stop_requested, token.cancel_requested, token.reason) == (True, True, "fire")


def test_a_token_with_a_deadline_is_stopped_by_it_and_by_the_other_one_whose_reason_counts():
    deadlines = [math.inf]
    token = StopToken()
    limited = Until(token, lambda: deadlines[-1])
    assert (limited.stop_requested, limited.reason, limited.seconds_left) == (False, "", math.inf)
    deadlines.append(-math.inf)
    assert (limited.stop_requested, limited.reason, token.stop_requested) == (True, "the time is over", False)
    assert Until(limited, lambda: math.inf).stop_requested
    limited.stop("beam lost")
    assert (token.stop_requested, limited.reason) == (True, "beam lost")
    limited.cancel("fire")
    assert (token.cancel_requested, limited.cancel_requested, limited.reason) == (True, True, "fire")
