"""One job in a thread of its own: its events in order, exactly one outcome, and a place for one at a time."""

from __future__ import annotations

import threading

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import BatchDone, Cancelled, StageChanged
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Worker


class Heard:
    """What a worker or a slot has told."""

    def __init__(self, teller):
        self.events, self.outcomes = [], []
        teller.events.connect(self.events.extend)
        teller.succeeded.connect(lambda result: self.outcomes.append(("succeeded", result)))
        teller.failed.connect(lambda failure: self.outcomes.append(("failed", failure)))
        teller.cancelled.connect(lambda: self.outcomes.append(("cancelled", None)))


def run(qtbot, job):
    worker = Worker(job)
    heard = Heard(worker)
    with qtbot.waitSignal(worker.finished):
        worker.start()
    qtbot.waitUntil(lambda: bool(heard.outcomes))
    return heard


def waits_for_its_token(emit, token):
    while not token.stop_requested:
        threading.Event().wait(0.005)
    token.leave_if_cancelled()
    return "stopped"


def test_a_job_works_in_another_thread_and_its_result_arrives_in_this_one(qtbot):
    heard = run(qtbot, lambda emit, token: threading.get_ident())
    ((outcome, thread),) = heard.outcomes
    assert outcome == "succeeded"
    assert thread != threading.get_ident()


def test_events_arrive_in_order_and_before_the_outcome(qtbot):
    told = [StageChanged("loading"), *(BatchDone(1, step, {}) for step in range(1000)), StageChanged("validating")]

    def job(emit, token):
        for event in told:
            emit(event)

    assert run(qtbot, job).events == told


def test_batches_do_not_flood_the_window(qtbot):
    bundles = []

    def job(emit, token):
        for step in range(5000):
            emit(BatchDone(1, step, {}))

    worker = Worker(job)
    worker.events.connect(bundles.append)
    worker.start()
    worker.wait()
    qtbot.waitUntil(lambda: sum(map(len, bundles)) == 5000)
    assert len(bundles) < 500


def test_a_failure_is_a_sentence_and_keeps_the_traceback(qtbot):
    def job(emit, token):
        raise InputError("scan.npz has no positions")

    ((outcome, failure),) = run(qtbot, job).outcomes
    assert (outcome, failure.sentence) == ("failed", "scan.npz has no positions")
    assert "in job" in failure.traceback


def test_an_unforeseen_error_is_said_to_be_internal(qtbot):
    ((_, failure),) = run(qtbot, lambda emit, token: 1 / 0).outcomes
    assert failure.sentence == "internal error: ZeroDivisionError: division by zero"


def test_leaving_on_request_is_neither_success_nor_failure(qtbot):
    def job(emit, token):
        raise Cancelled

    assert run(qtbot, job).outcomes == [("cancelled", None)]


@pytest.fixture
def slot(qtbot):
    slot = WorkerSlot()
    yield slot
    slot.shut_down()


def test_a_new_job_replaces_the_one_before_which_tells_nothing_more(qtbot, slot):
    heard = Heard(slot)
    slot.start(waits_for_its_token)
    with qtbot.waitSignal(slot.ended):
        slot.start(lambda emit, token: "second")
    assert heard.outcomes == [("succeeded", "second")]


def test_a_slot_is_busy_until_its_thread_is_gone(qtbot, slot):
    assert not slot.busy
    with qtbot.waitSignal(slot.ended):
        slot.start(waits_for_its_token)
        assert slot.busy
        slot.stop()
    assert not slot.busy


def test_a_job_can_follow_from_the_outcome_of_another(qtbot, slot):
    results = []

    def go_on(result):
        results.append(result)
        if result == "first":
            slot.start(lambda emit, token: "second")

    slot.succeeded.connect(go_on)
    with qtbot.waitSignal(slot.ended):
        slot.start(lambda emit, token: "first")
    assert results == ["first", "second"]


def test_what_follows_from_a_job_is_called_with_its_result_once_that_was_told(qtbot, slot):
    calls = []
    slot.succeeded.connect(lambda result: calls.append(("told", result)))
    with qtbot.waitSignal(slot.ended):
        slot.start(lambda emit, token: "result", lambda result: calls.append(("then", result)))
    assert calls == [("told", "result"), ("then", "result")]


def fails(emit, token):
    raise InputError("no such file")


@pytest.mark.parametrize("ends", [fails, waits_for_its_token])
def test_what_was_to_follow_from_a_job_that_fails_or_leaves_follows_from_no_other(qtbot, slot, ends):
    followed = []
    with qtbot.waitSignal(slot.ended):
        slot.start(ends, followed.append)
        slot.cancel()
    with qtbot.waitSignal(slot.ended):
        slot.start(lambda emit, token: "another")
    assert followed == []


def test_what_was_to_follow_from_a_replaced_job_is_forgotten(qtbot, slot):
    followed = []
    with qtbot.waitSignal(slot.ended):
        slot.start(waits_for_its_token, lambda result: followed.append("first"))
        slot.start(lambda emit, token: "second", lambda result: followed.append(result))
    assert followed == ["second"]


def test_shutting_down_cancels_and_waits(qtbot, slot):
    heard = Heard(slot)
    slot.start(waits_for_its_token)
    slot.shut_down()
    assert not slot.busy
    assert heard.outcomes == []
