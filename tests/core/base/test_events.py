"""What training tells: events that survive JSON, and the token that ends a run."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from ptycho_core.base.events import (
    BatchDone,
    CheckpointRemoved,
    CheckpointSaved,
    EpochDone,
    PreviewReady,
    RunFailed,
    RunFinished,
    RunStarted,
    StageChanged,
    StopToken,
    from_json,
    to_json,
)

EVENTS = [
    RunStarted("out", "CPU", 5, 10, 275_000, 2),
    StageChanged("training", 3),
    BatchDone(1, 7, {"grad_norm": 0.5, "poisson_train_loss_step": math.inf}),
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
    assert from_json(line) == event


def test_a_preview_survives_json_to_the_bit():
    rng = np.random.default_rng(0)
    object = (rng.normal(size=(5, 7)) + 1j * rng.normal(size=(5, 7))).astype(np.complex64)
    event = from_json(to_json(PreviewReady(1, 2, object[:, ::-1], object[:2, :2], 3)))
    assert (event.epoch, event.step, event.binning) == (1, 2, 3)
    assert event.object.dtype == np.complex64
    np.testing.assert_array_equal(event.object, object[:, ::-1])
    np.testing.assert_array_equal(event.probe, object[:2, :2])


def test_events_cannot_be_changed_by_who_hears_them():
    for event in EVENTS:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.run_dir = "elsewhere"


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "Explosion"}',
        '{"event": "StopToken"}',
        '{"event": "RunFailed"}',
        '{"event": "RunFailed", "colour": "red"}',
        '{"event": "PreviewReady", "object": {"dtype": "complex64", "shape": [2], "data": "AAAA"}}',
        "{}",
        "[1]",
        "not json",
    ],
)
def test_a_line_that_is_no_event_is_refused(line):
    with pytest.raises(ValueError, match="not an event"):
        from_json(line)


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
