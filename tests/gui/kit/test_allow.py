from __future__ import annotations

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QPushButton, QSlider

from ptycho_gui.kit.allow import allow


@pytest.fixture(params=[QAction, QPushButton, QSlider], ids=lambda kind: kind.__name__)
def control(request, qtbot):
    control = request.param()
    if request.param is not QAction:
        qtbot.addWidget(control)
    control.setToolTip("Does it")
    return control


def test_what_is_not_of_use_says_what_it_does_and_why_not_now(control):
    allow(control, "Open a scan first.")
    assert not control.isEnabled()
    assert control.toolTip() == "Does it\nNot now: Open a scan first."


def test_another_reason_takes_the_place_of_the_first_and_none_leaves_what_it_does(control):
    allow(control, "Open a scan first.")
    allow(control, "Something is running.")
    assert control.toolTip() == "Does it\nNot now: Something is running."
    allow(control, None)
    assert control.isEnabled()
    assert control.toolTip() == "Does it"


def test_what_says_nothing_of_itself_still_says_why(qtbot):
    button = QPushButton()
    qtbot.addWidget(button)
    allow(button, "Open a scan first.")
    assert button.toolTip() == "Not now: Open a scan first."
