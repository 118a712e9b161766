"""A notification of the desktop: after something long, when nobody looks, and never where there are none."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QSystemTrayIcon, QWidget

from ptycho_gui.window.notice import LONG_S, Notice


class Work(QObject):
    changed, idle = Signal(), Signal()
    busy = False


@pytest.fixture
def told(monkeypatch):
    told = []
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: True)
    monkeypatch.setattr(QSystemTrayIcon, "supportsMessages", lambda: True)
    monkeypatch.setattr(QSystemTrayIcon, "showMessage", lambda tray, title, text, *how: told.append(text))
    return told


@pytest.fixture
def work_for(qtbot):
    window, work, now = QWidget(), Work(), [0.0]
    qtbot.addWidget(window)
    window.notice = Notice(window, work, lambda: "run is finished", lambda: now[0])

    def work_for(seconds, active=False):
        window.isActiveWindow = lambda: active
        work.busy = True
        for _ in range(3):
            work.changed.emit()
            now[0] += seconds / 3
        work.busy = False
        work.changed.emit()
        work.idle.emit()

    yield work_for
    window.notice._hiding.stop()
    window.notice.tray.hide()


def test_what_took_long_is_told_once_at_its_end(told, work_for):
    work_for(2 * LONG_S)
    assert told == ["run is finished"]


def test_what_is_short_or_looked_at_is_not_told(told, work_for):
    work_for(LONG_S / 2)
    work_for(LONG_S / 2)
    work_for(2 * LONG_S, active=True)
    assert told == []


def test_a_desktop_without_notifications_is_left_in_peace(told, work_for, monkeypatch):
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: False)
    work_for(2 * LONG_S)
    assert told == []
