"""Without a display, one sentence says so before Qt would abort."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from ptycho_gui.window.display import why_no_window

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays of Linux")


def test_no_display_is_said_with_the_command_line_to_use():
    reason = why_no_window({})
    assert "no display" in reason
    assert "ptycho train --train_data_file" in reason


@pytest.mark.parametrize("display", [":987", "localhost:987", "nonsense"])
def test_a_display_that_does_not_answer_is_said(display):
    assert f"the display {display} does not answer" in why_no_window({"DISPLAY": display})


def test_a_display_that_answers_is_good():
    display = 1000 + os.getpid()  # of nobody else
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0/tmp/.X11-unix/X{display}")
        server.listen()
        assert why_no_window({"DISPLAY": f":{display}"}) is None


def test_a_system_without_the_library_that_qt_needs_is_told_which_package_has_it(monkeypatch):
    monkeypatch.setattr("ptycho_gui.window.display._answers", lambda display: True)
    monkeypatch.setattr("ptycho_gui.window.display._loads", lambda library: False)
    monkeypatch.setattr("ptycho_gui.window.display.needs_cursor_library", lambda: True)
    reason = why_no_window({"DISPLAY": ":1"})
    assert "install libxcb-cursor0 (Debian, Ubuntu)" in reason
    assert "ptycho train --train_data_file" in reason
    monkeypatch.setattr("ptycho_gui.window.display.needs_cursor_library", lambda: False)
    assert why_no_window({"DISPLAY": ":1"}) is None


def test_platforms_that_need_no_display_are_not_asked_for_one():
    assert why_no_window({"QT_QPA_PLATFORM": "offscreen"}) is None


def test_the_program_ends_with_the_sentence_and_without_importing_qt():
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    script = (
        "import sys; from ptycho_gui.app import main; code = main([]);"
        "assert 'PySide6' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("ptycho-gui: there is no display")
