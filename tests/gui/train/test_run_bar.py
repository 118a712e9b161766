"""The bar that says what goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QTimer

from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone, RunFailed, RunFinished, RunStarted, StageChanged, Status
from ptycho_core.base.verdict import Level, Verdict
from ptycho_core.runs.history import RunHistory
from ptycho_gui.train.run_bar import RunBar


@pytest.fixture
def bar(qtbot):
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.resize(1280, 32)
    bar.show()
    return bar


@pytest.fixture
def history():
    history = RunHistory(Config())
    history.hear(RunStarted("out", "CPU (2 threads), because there is no CUDA or MPS device", 50, 4, 1))
    return history


def timer(bar):
    return bar.findChild(QTimer)


def test_without_a_run_it_is_idle_and_no_clock_ticks(bar):
    assert bar.state == "Idle"
    assert not timer(bar).isActive()


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (StageChanged("loading"), "Loading"),
        (StageChanged("searching for the beam"), "Searching for the beam"),
        (StageChanged("warming up the probe"), "Warming up the probe"),
        (StageChanged("training", 3), "Training epoch 3 of 50"),
        (StageChanged("validating", 3), "Validating epoch 3 of 50"),
        (StageChanged("stopping"), "Stopping"),
        (RunFinished("out", "finished", "all 50 epochs are done", None, {}), "Finished: all 50 epochs are done"),
        (RunFinished("out", "stopped", "stopped by the operator", None, {}), "Stopped by the operator"),
        (RunFinished("out", "cancelled", "", None, {}), "Cancelled"),
        (RunFailed("out", "training diverged"), "Failed"),
    ],
)
def test_every_state_is_said_in_words(bar, history, event, state):
    history.hear(event)
    bar.show_state(history)
    assert bar.state == state
    assert timer(bar).isActive() == history.at_work


def test_the_verdict_on_the_picture_is_a_sentence_of_its_own_and_its_sign_is_shown(bar, history):
    history.hear(RunFinished("out", "finished", "the fit has settled", None, {}))
    history.verdict = Verdict(Level.POOR, ("in places patterns are missed by 40%",))
    bar.show_state(history)
    assert bar.state == "Finished: the fit has settled. The picture is poor"


def test_a_warm_start_or_a_polish_tells_its_own_epochs_and_what_is_left_of_it(qtbot, history):
    now = [0.0]
    bar = RunBar(clock=lambda: now[0])
    qtbot.addWidget(bar)
    for epoch in range(1, 4):
        history.hear(StageChanged("warming up the probe", epoch, 12))
        bar.show_state(history)
        now[0] += 10
    assert bar.state == "Warming up the probe, 3 of at most 12 epochs"
    assert bar.progress.value() == round(1000 * 2 / 12)
    assert "1:40" in bar._left.text() or "1:50" in bar._left.text()
    history.end("finished", "all epochs are done")
    bar.show_state(history)
    for epoch in (1, 2):
        bar.set_activity(f"polishing, {epoch} of at most 10 epochs", (epoch - 1) / 10)
        now[0] += 10
    assert bar.state == "Polishing, 2 of at most 10 epochs"
    assert "1:30" in bar._left.text()


def test_every_status_of_a_record_can_be_shown(bar, trained):
    for status in Status:
        bar.show_state(RunHistory.from_run(replace(trained.info, status=status), {}))
        assert bar.state
        assert not timer(bar).isActive()


def test_the_figures_of_the_run_are_shown(bar, history):
    history.hear(StageChanged("training", 1))
    for step in range(4):
        history.hear(BatchDone(1, step, {"patterns_per_second": 6250.0}))
    bar.show_state(history)
    assert "6 250 patterns/s" in bar.speed.text()
    assert "CPU (2 threads)" in bar.device.text()
    assert "because" not in bar.device.text()
    assert "because" in bar.device.toolTip()
    assert "GB" in bar.memory.text()
    assert bar.progress.value() == round(1000 * 4 / 200)


def test_an_activity_stands_beside_the_run_and_alone_without_one(bar, history):
    bar.set_activity("Loading scan.npz", 0.25)
    assert bar.state == "Loading scan.npz"
    assert bar.progress.value() == 250
    assert timer(bar).isActive()
    history.hear(StageChanged("training", 1))
    bar.show_state(history)
    assert bar.state == "Training epoch 1 of 50; loading scan.npz"
    bar.set_activity("")
    assert bar.state == "Training epoch 1 of 50"
    history.hear(StageChanged("loading"))
    bar.set_activity("loading the training software")
    assert bar.state == "Loading the training software"
    bar.set_activity("")
    bar.show_state(None)
    assert bar.state == "Idle"
    assert not timer(bar).isActive()


def test_the_clock_ticks_only_while_it_is_seen(bar, history):
    bar.show_state(history)
    assert timer(bar).isActive()
    bar.hide()
    assert not timer(bar).isActive()
    bar.show()
    assert timer(bar).isActive()
