"""The window by keyboard: menus open whatever is in front, and a letter means one thing."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QGroupBox, QLabel, QTabBar, QWidget

from ptycho_gui.kit.labels import MENU_LETTERS


@pytest.fixture
def window(window, qtbot):
    """The window, in front."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def letters(panel):
    """Return the mnemonics of what is visible in a panel."""
    found = []
    for widget in panel.findChildren(QWidget):
        label = isinstance(widget, QLabel) and widget.buddy() is not None
        text = widget.text() if label or isinstance(widget, QAbstractButton) else ""
        texts = [widget.title() if isinstance(widget, QGroupBox) else text]
        if isinstance(widget, QTabBar):
            texts += [widget.tabText(tab) for tab in range(widget.count()) if widget.isTabVisible(tab)]
        if widget.isVisible():
            found += [letter[1].lower() for each in texts if (letter := re.search(r"&([^&\s])", each))]
    return found


def focus_on(window, name, qtbot):
    window.docks.show(name)
    behind = {dock.objectName() for dock in window.tabifiedDockWidgets(window.docks[name])}
    others = [window.docks.panel(other) for other in window.docks.names if f"dock_{other}" in behind]
    qtbot.waitUntil(lambda: window.docks.panel(name).isVisible() and not any(other.isVisible() for other in others))
    window.docks.panel(name).setFocus()


def test_each_menu_opens_by_its_letter_and_the_first_by_f10_whichever_panel_has_the_focus(window, qtbot):
    window.panels.training.form.unfold.setChecked(True)
    for dock in ("training", "prepare", "curves", "object", "before_after", "runs", "queue"):
        focus_on(window, dock, qtbot)
        for name, letter in (("File", "F"), ("Result", "E"), ("View", "V"), ("Help", "H"), ("Run", "R")):
            menu = window.commands.menus[name]
            qtbot.keyClick(window, getattr(Qt.Key, f"Key_{letter}"), Qt.KeyboardModifier.AltModifier)
            qtbot.waitUntil(menu.isVisible)
            menu.close()
        qtbot.keyClick(window, Qt.Key.Key_F10)
        qtbot.waitUntil(window.commands.menus["File"].isVisible)
        window.commands.menus["File"].close()


def test_no_letter_is_that_of_two_things_in_a_panel_or_of_one_and_a_menu(window, qtbot):
    assert set(MENU_LETTERS) == {
        action.text()[action.text().index("&") + 1].lower() for action in window.menuBar().actions()
    }
    seen = set()
    window.panels.training.form.unfold.setChecked(True)
    for name in window.docks.names:
        window.docks.show(name)
        qtbot.waitUntil(window.docks.panel(name).isVisible)
        found = letters(window.docks.panel(name))
        twice = [letter for letter, times in Counter(found).items() if times > 1]
        assert not twice, f"{name}: {twice}"
        assert not set(found) & set(MENU_LETTERS), name
        seen |= set(found)
    assert len(seen) > len("abcdefghij")


def test_a_letter_is_that_of_the_panel_that_has_the_focus(window, qtbot):
    focus_on(window, "runs", qtbot)
    qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    assert window.panels.runs.field.isAncestorOf(QApplication.focusWidget())
    focus_on(window, "training", qtbot)
    qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(window.panels.training.form.unfold.isChecked)


def test_tab_leads_through_the_panels_in_sight_and_into_none_behind_a_tab(window, qtbot):
    focus_on(window, "training", qtbot)
    start, passed = QApplication.focusWidget(), set()
    for _ in range(200):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        focus = QApplication.focusWidget()
        passed |= {name for name in window.docks.names if window.docks.panel(name).isAncestorOf(focus)}
        if focus is start:
            break
    in_sight = {name for name in window.docks.names if window.docks.panel(name).isVisible()}
    assert "training" in passed
    assert len(passed) > 1
    assert passed <= in_sight


@pytest.mark.parametrize("key", [Qt.Key.Key_F11, Qt.Key.Key_Escape])
def test_the_object_fills_the_screen_and_the_window_is_afterwards_as_before(window, qtbot, key):
    focus_on(window, "training", qtbot)
    window.docks["log"].hide()
    before = {name for name in window.docks.names if window.docks[name].isHidden()}
    qtbot.keyClick(window, Qt.Key.Key_F11)
    qtbot.waitUntil(lambda: window.docks["object"].size() == window.size())
    assert window.isFullScreen()
    qtbot.keyClick(window, key)
    qtbot.waitUntil(window.panels.training.isVisible)
    assert not window.isFullScreen()
    assert {name for name in window.docks.names if window.docks[name].isHidden()} == before
    assert all(
        bar.isVisible()
        for bar in (window.menuBar(), window.panels.run_bar, window.panels.message_bar, window.panels.object)
    )


def test_nothing_is_cut_off_in_a_small_window_with_all_settings_unfolded(window, qtbot):
    window.setWindowState(Qt.WindowState.WindowNoState)
    window.resize(1280, 800)
    window.docks.arrange()
    window.docks.share_room()
    window.panels.training.form.unfold.setChecked(True)
    assert window.minimumSizeHint().width() <= 1280
    for name in window.docks.names:
        window.docks.show(name)
        panel = window.docks.panel(name)
        qtbot.waitUntil(panel.isVisible)
        assert window.size().width() == 1280, name
        assert panel.width() >= panel.minimumSizeHint().width(), name
        for button in panel.findChildren(QAbstractButton):
            if button.isVisible() and button.text() and not button.visibleRegion().isEmpty():
                assert button.width() >= button.minimumSizeHint().width(), (name, button.text())
