"""The real window before anything is open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QLabel,
    QScrollArea,
    QTabBar,
    QWidget,
)

from ptycho_gui.window.actions import DECLARED


def test_at_first_it_shows_the_three_steps_and_says_why_nothing_can_start(looked_at):
    assert looked_at.panels.welcome.isVisible()
    assert not looked_at.commands["start"].isEnabled()
    assert "Open a scan first" in looked_at.commands["start"].toolTip()


def test_every_action_has_words_and_its_shortcut_is_unique(looked_at):
    shortcuts = [declared.shortcut for declared in DECLARED.values() if declared.shortcut]
    assert len(set(shortcuts)) == len(shortcuts)
    assert all(looked_at.commands[name].toolTip() for name in DECLARED)


def test_every_action_is_in_a_menu(looked_at):
    inside = {action for menu in looked_at.commands.menus.values() for action in menu.actions()}
    assert [name for name in DECLARED if looked_at.commands[name] not in inside] == []


def test_every_control_that_takes_the_focus_has_an_accessible_name_or_a_label(looked_at):
    def named(widget):
        return widget.accessibleName() or getattr(widget, "text", str)() or widget.toolTip() or widget in labelled

    labelled = {label.buddy() for label in looked_at.findChildren(QLabel)}
    shown = (widget for widget in looked_at.findChildren(QWidget) if widget.isVisible())
    controls = [w for w in shown if w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert controls
    passive = (QScrollArea, QTabBar)
    controls = [w for w in controls if not isinstance(w.parent(), QAbstractScrollArea)]  # viewports
    nameless = [w for w in controls if not named(w) and not isinstance(w, passive)]
    assert nameless == [], [(type(w), type(w.parent()), type(w.parent().parent())) for w in nameless]


def test_the_guide_opens_without_a_network(looked_at):
    looked_at.commands["guide"].trigger()
    text = looked_at.guide.page.toPlainText()
    assert "Operator guide" in text
    assert "At 3 a.m." in text


def test_neither_torch_nor_scipy_is_imported_by_the_window_itself(tmp_path):
    script = (
        "import sys, pathlib; from ptycho_gui.app import application; application();"
        "from ptycho_gui.window.main_window import MainWindow; from ptycho_gui.log.log_bridge import start_logging;"
        "from ptycho_gui.window.preferences import Preferences;"
        f"p = pathlib.Path({str(tmp_path)!r});"
        "w = MainWindow(Preferences(p / 'w.ini'), start_logging(p)); w.show(); w.close();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3]).returncode == 0
