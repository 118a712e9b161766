"""What is said of a picture, and the buttons that may make it better."""

from __future__ import annotations

import pytest

from ptycho_core.base.errors import Fix
from ptycho_core.base.verdict import Level, Verdict
from ptycho_gui.result.verdict_bar import VerdictBar

POOR = Verdict(
    Level.POOR,
    ("patterns are missed by 30%, photon noise aside", "refined positions would explain the patterns better"),
    (Fix("refine positions", "positions", "refine"), Fix("try all orientations", "search_orientation", None)),
)


@pytest.fixture
def bar(qtbot):
    bar = VerdictBar()
    qtbot.addWidget(bar)
    return bar


def test_level_and_reasons_are_words_and_each_action_a_button(bar, qtbot):
    bar.show_verdict(POOR)
    assert bar.text.startswith("Poor: patterns are missed by 30%")
    assert "refined positions" in bar.text
    assert [button.text() for button in bar.buttons] == ["Refine positions", "Try all orientations"]
    assert all(button.toolTip() for button in bar.buttons)
    with qtbot.waitSignal(bar.action_chosen) as chosen:
        bar.buttons[0].click()
    assert chosen.args == [POOR.actions[0]]


def test_a_good_picture_has_no_buttons_and_none_no_bar(bar):
    bar.show_verdict(POOR)
    bar.show_verdict(Verdict(Level.GOOD, ("patterns are met to 2.0%",)))
    assert bar.text == "Good: patterns are met to 2.0%."
    assert bar.buttons == []
    bar.show_verdict(None)
    assert bar.isHidden()
    assert bar.text == ""


def test_buttons_say_why_nothing_can_be_done(bar):
    bar.show_verdict(POOR)
    bar.set_allowed("Something is running: stop it first.")
    assert not any(button.isEnabled() for button in bar.buttons)
    assert "Something is running" in bar.buttons[0].toolTip()
    bar.set_allowed(None)
    assert all(button.isEnabled() for button in bar.buttons)
