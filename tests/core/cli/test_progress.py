"""What is said while a command computes, and how it is stopped."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest

from ptycho_core.base import events
from ptycho_core.cli.progress import progress, stopped_by_signals

STREAM = [
    events.RunStarted("out", "the CPU, because there is no GPU", 2, 10, 275_000, earlier="out/previous/version_0"),
    events.StageChanged("searching for the beam"),
    events.ProbeSearched(True, "found a better beam"),
    events.RolledBack(0, 3, "The loss rose: back to the start"),
    events.StageChanged("warming up the probe"),
    events.StageChanged("training", 1),
    events.BatchDone(1, 0, {"poisson_train_loss_step": 2.0}),
    events.EpochDone(1, 10, {"poisson_val_loss": 0.51234, "grad_norm": 3.0}, 4.2),
    events.RunFinished("out", "finished", "all epochs done", None, {}),
]


def test_away_from_a_terminal_progress_is_a_line_per_stage_and_epoch(capsys):
    with progress(quiet=False) as show:
        for event in STREAM:
            show(event)
    assert capsys.readouterr().err.splitlines() == [
        "the CPU, because there is no GPU; 275,000 parameters, 10 steps per epoch, 2 epochs to do in out",
        "the run that was in the folder before is now in out/previous/version_0",
        "searching for the beam",
        "found a better beam",
        "warning: The loss rose: back to the start",
        "warming up the probe",
        "epoch 1/2  poisson_val_loss 0.5123  4.2 s",
    ]


def test_on_a_terminal_progress_is_a_bar_with_the_latest_figures(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=False) as show:
        for event in STREAM:
            show(event)
    shown = sys.stderr.getvalue()
    assert "the CPU, because there is no GPU" in shown
    assert "is now in out/previous/version_0" in shown
    assert "warning: The loss rose" in shown
    assert "epoch 1/2" in shown
    assert "poisson_val_loss 0.5123" in shown


def test_quiet_progress_prints_nothing(capsys):
    with progress(quiet=True) as show:
        for event in STREAM:
            show(event)
    assert capsys.readouterr().err == ""


def test_ctrl_c_stops_then_cancels_then_leaves(capfd):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stopped_by_signals() as token:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        assert (token.stop_requested, token.cancel_requested) == (True, False)
        assert token.reason == "stopped by Ctrl-C"
        os.kill(os.getpid(), signal.SIGINT)
        assert token.cancel_requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "stopping in good order" in capfd.readouterr().err


def test_what_was_cancelled_ends_as_what_was_interrupted():
    with pytest.raises(KeyboardInterrupt), stopped_by_signals():
        raise events.Cancelled


def test_a_batch_system_that_asks_to_end_is_obeyed(capfd):
    with stopped_by_signals() as token:
        os.kill(os.getpid(), signal.SIGTERM)
    assert token.stop_requested
    assert token.reason == "stopped by SIGTERM"
