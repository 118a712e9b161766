"""Stop and cancel, at any moment: a stop finishes the batch, validates and saves, a cancel leaves at once."""

from __future__ import annotations

import pytest

from ptycho_core.base.events import (
    BatchDone,
    CheckpointSaved,
    EpochDone,
    PreviewReady,
    RunFinished,
    RunStarted,
    StageChanged,
    StopToken,
)


def ask(training, what, moment=None, **settings):
    """Train, and ask for a stop or a cancel before it begins, or the first time that an event is that moment."""
    token = StopToken()
    if moment is None:
        getattr(token, what)()
    training.go(stop=token, on=lambda event: getattr(token, what)() if moment and moment(event) else None, **settings)


def stage(name, epoch):
    return lambda event: isinstance(event, StageChanged) and (event.stage, event.epoch) == (name, epoch)


def batch(step):
    return lambda event: isinstance(event, BatchDone) and event.step == step


def end_of_epoch(number):
    return lambda event: isinstance(event, EpochDone) and event.epoch == number


MOMENTS = {
    "before it begins": None,
    "during the warm start": lambda event: isinstance(event, PreviewReady),
    "before the first batch": lambda event: isinstance(event, RunStarted),
    "in the middle of an epoch": batch(4),
    "after an epoch's last batch": batch(5),
    "during validation": stage("validating", 2),
    "after an epoch": end_of_epoch(2),
    "after the last epoch": end_of_epoch(3),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("what", "status"), [("stop", "stopped"), ("cancel", "cancelled")])
@pytest.mark.parametrize("engine", ["pinn", "direct"])
def test_a_run_ends_as_it_was_told_to_with_one_word(training, moment, what, status, engine):
    if engine == "direct" and moment == "during the warm start":
        pytest.skip("the direct engine needs no warm start")
    warm = {"warm_start_epochs": 1000, "preview_seconds": 1e-6} if moment == "during the warm start" else {}
    ask(training, what, MOMENTS[moment], engine=engine, **warm)
    (end,) = training.ends
    assert training.events[-1] is end
    assert isinstance(end, RunFinished)
    assert (end.status, end.reason) == (status, f"{status} by the operator")
    assert (training.info.status, training.info.reason) == (end.status, end.reason)


@pytest.mark.parametrize(
    ("moment", "batches", "epochs"),
    [
        ("before it begins", 0, 0),
        ("during the warm start", 0, 0),
        ("before the first batch", 0, 0),
        ("in the middle of an epoch", 5, 2),
        ("after an epoch's last batch", 6, 2),
        ("during validation", 6, 2),
        ("after an epoch", 6, 2),
        ("after the last epoch", 9, 3),
    ],
)
def test_a_stop_finishes_the_batch_validates_saves_and_begins_nothing(training, moment, batches, epochs):
    warm = {"warm_start_epochs": 1000, "preview_seconds": 1e-6} if moment == "during the warm start" else {}
    ask(training, "stop", MOMENTS[moment], **warm)
    assert len(training.all(BatchDone)) == batches
    assert [event.epoch for event in training.all(EpochDone)] == list(range(1, epochs + 1))
    assert len(training.column("poisson_val_loss") if epochs else []) == epochs
    assert training.last["global_step"] == batches
    assert training.info.epochs_done == epochs


@pytest.mark.parametrize(
    ("moment", "saved_steps"),
    [
        ("before it begins", None),
        ("during the warm start", None),
        ("before the first batch", None),
        ("in the middle of an epoch", 3),
        ("after an epoch's last batch", 3),
        ("during validation", 3),
        ("after an epoch", 6),
    ],
)
def test_a_cancel_leaves_at_once_and_what_was_saved_stays(training, moment, saved_steps):
    warm = {"warm_start_epochs": 1000, "preview_seconds": 1e-6} if moment == "during the warm start" else {}
    ask(training, "cancel", MOMENTS[moment], **warm)
    asked = next((n for n, event in enumerate(training.events) if MOMENTS[moment] and MOMENTS[moment](event)), -1)
    assert not any(isinstance(event, BatchDone | EpochDone) for event in training.events[asked + 1 :])
    if saved_steps is None:
        assert not (training.folder / "checkpoints").exists()
    else:
        assert training.last["global_step"] == saved_steps


def test_a_cancel_during_validation_does_not_wait_for_its_end(training):
    ask(training, "cancel", stage("validating", 1))
    assert "poisson_val_loss" not in training.rows[0]
    assert training.all(EpochDone) == []


@pytest.mark.parametrize(
    "moment", ["before it begins", "during the warm start", "in the middle of an epoch", "during validation"]
)
def test_a_stopped_run_goes_on_to_its_end(training, moment):
    warm = {"warm_start_epochs": 1000, "preview_seconds": 1e-6} if moment == "during the warm start" else {}
    ask(training, "stop", MOMENTS[moment], **warm)
    done = training.info.epochs_done
    training.events.clear()
    training.go(resume=True)
    assert training.all(RunStarted)[0].epochs_done == done
    assert [event.epoch for event in training.all(EpochDone)] == list(range(done + 1, 4))
    assert (training.info.status, training.info.epochs_done) == ("finished", 3)
    assert training.column("epoch") == sorted(training.column("epoch"))
    assert len(training.column("poisson_val_loss")) == 3


def test_a_cancel_overrides_a_stop(training):
    token = StopToken()
    token.stop()
    token.cancel("no time left")
    training.go(stop=token)
    assert (training.info.status, training.info.reason) == ("cancelled", "no time left")


def test_the_record_has_what_an_event_tells_when_it_is_heard(training):
    from ptycho_core.runs.record import read_run

    listed = []

    def look(event):
        if isinstance(event, CheckpointSaved):
            info = read_run(training.folder)
            listed.append(event.path in {saved.path for saved in info.checkpoints})
        if isinstance(event, EpochDone):
            listed.append(read_run(training.folder).epochs_done == event.epoch)

    training.go(on=look)
    assert len(listed) == 9
    assert all(listed)
