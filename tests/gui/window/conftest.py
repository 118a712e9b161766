"""The real window: as it is at first, and with a scan open."""

from __future__ import annotations

import pytest

from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences


@pytest.fixture
def open_window(qtbot):
    """Open the window, with its settings and its log in a folder; it closes with the test, and does not ask."""
    bridges = []

    def open_window(folder, *, fresh=False):
        bridges.append(start_logging(folder / "log"))
        window = MainWindow(Preferences(folder / "window.ini", fresh=fresh), bridges[-1])
        qtbot.addWidget(window, before_close_func=lambda window: window.session.shut_down())  # or it would ask
        window.show()
        return window

    yield open_window
    for bridge in reversed(bridges):
        bridge.stop()


@pytest.fixture
def window(open_window, tmp_path):
    return open_window(tmp_path)


@pytest.fixture
def with_scan(window, qtbot, scan_path):
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan_path)
    qtbot.waitUntil(lambda: window.commands["start"].isEnabled())
    return window


@pytest.fixture(scope="module")
def looked_at(qapp, tmp_path_factory):
    """A window for tests that look at it and leave it as it is; so is the next."""
    folder = tmp_path_factory.mktemp("window")
    bridge = start_logging(folder / "log")
    window = MainWindow(Preferences(folder / "window.ini"), bridge)
    window.show()
    yield window
    window.session.shut_down()
    window.close()
    window.deleteLater()
    bridge.stop()
