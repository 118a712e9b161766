"""Fixtures of the window's tests: offscreen, patient, and a test that leaves a thread or a timer running fails."""

from __future__ import annotations

import os
import traceback
import weakref

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import QThread, QTimer
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from tests.helpers.patience import PATIENCE_S

PATIENCE_MS = int(1000 * PATIENCE_S)


class PatientBot(QtBot):
    """Waits for as long as `PATIENCE_MS` for whatever is waited for."""

    def waitUntil(self, callback, *, timeout=PATIENCE_MS):
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal, *, timeout=PATIENCE_MS, **options):
        return super().waitSignal(signal, timeout=timeout, **options)

    def waitSignals(self, signals, *, timeout=PATIENCE_MS, **options):
        return super().waitSignals(signals, timeout=timeout, **options)

    def waitActive(self, widget, *, timeout=PATIENCE_MS):
        return super().waitActive(widget, timeout=timeout)

    def waitExposed(self, widget, *, timeout=PATIENCE_MS):
        return super().waitExposed(widget, timeout=timeout)


@pytest.fixture
def qtbot(qapp, request):
    return PatientBot(request)


@pytest.fixture
def put_up(qtbot):
    """Show a panel or a dialog, of a width and height where these matter; what it has going on ends with the test."""

    def put_up(panel, *size):
        qtbot.addWidget(panel, before_close_func=lambda panel: getattr(panel, "shut_down", int)())
        if size:
            panel.resize(*size)
        with qtbot.waitExposed(panel):
            panel.show()
        return panel

    return put_up


@pytest.fixture(autouse=True)
def nothing_left_running(qapp, monkeypatch):
    """Fail a test that leaves a QThread or a repeating QTimer running, and say where it was started."""
    started: list[tuple[weakref.ref, str]] = []

    def watch(kind):
        start = kind.start

        def watched(self, *args):
            started.append((weakref.ref(self), "".join(traceback.format_stack(limit=6)[:-1])))
            return start(self, *args)

        monkeypatch.setattr(kind, "start", watched)

    watch(QThread)
    watch(QTimer)
    yield
    left = []
    for reference, where in started:
        thing = reference()
        if thing is None or not isValid(thing):
            continue
        if isinstance(thing, QThread) and not thing.wait(PATIENCE_MS):
            left.append(f"{thing} still runs; it was started at\n{where}")
        if isinstance(thing, QTimer) and thing.isActive() and not thing.isSingleShot():
            left.append(f"{thing} is still active; it was started at\n{where}")
            thing.stop()
    assert not left, "\n".join(left)
