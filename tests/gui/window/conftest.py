"""The real window, as it is at first."""

from __future__ import annotations

import pytest

from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences


@pytest.fixture
def window(qtbot, tmp_path):
    bridge = start_logging(tmp_path / "log")
    window = MainWindow(Preferences(tmp_path / "window.ini"), bridge)
    qtbot.addWidget(window, before_close_func=lambda window: window.session.shut_down())  # or it would ask
    window.show()
    yield window
    bridge.stop()
