"""The window by keyboard: menus open whatever is in front, and a letter means one thing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QGroupBox,
    QLabel,
    QMenu,
    QMenuBar,
    QTabBar,
    QWidget,
)

from ptycho_core import read_scan
from ptycho_core.base.errors import Fix
from ptycho_core.runs.command_line import JobLimits
from ptycho_core.runs.note import Note
from ptycho_core.runs.record import read_run
from ptycho_core.scan.source import ScanSource
from ptycho_gui.apply.apply_dialog import ApplyDialog
from ptycho_gui.apply.model_choice import ModelChoice
from ptycho_gui.apply.watch_dialog import WatchDialog
from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.table import Table
from ptycho_gui.map_file.mapping_dialog import MappingDialog
from ptycho_gui.prepare.orientation_search import OrientationSearch
from ptycho_gui.result.export_checkpoint_dialog import ExportCheckpointDialog
from ptycho_gui.result.export_reconstruction_dialog import ExportReconstructionDialog
from ptycho_gui.runs.note_dialog import NoteDialog
from ptycho_gui.runs.settings_comparison import SettingsComparison
from ptycho_gui.train.best_picture_dialog import BestPictureDialog
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.job_script_dialog import JobScriptDialog
from ptycho_gui.train.search_dialog import SearchDialog
from ptycho_gui.window.about_dialog import AboutDialog

RUN = Path(__file__).parents[2] / "data" / "run_of_0_1" / "direct"


@pytest.fixture
def window(window, qtbot):
    """The window, in front."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def letters(texts):
    """Return the mnemonics of texts."""
    return Counter(found[1].lower() for text in texts if (found := re.search(r"&([^&\s])", text)))


def texts(window):
    """Return what is written on the controls of a window, also on those that are hidden now."""
    for widget in (window, *window.findChildren(QWidget)):
        if widget.window() is not window:
            continue  # a menu, or a window of its own
        if isinstance(widget, QAbstractButton) or (isinstance(widget, QLabel) and widget.buddy() is not None):
            yield widget.text()
        elif isinstance(widget, QGroupBox):
            yield widget.title()
        elif isinstance(widget, QTabBar):
            yield from map(widget.tabText, range(widget.count()))
        elif isinstance(widget, QMenuBar):
            yield from (action.text() for action in widget.actions())


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


@pytest.mark.parametrize("opened", ["window", "with_scan"])
def test_no_letter_is_that_of_two_things_in_the_window_wherever_its_panels_are(opened, request):
    found = letters(texts(request.getfixturevalue(opened)))
    assert not [letter for letter, times in found.items() if times > 1]
    assert {*"fervh"} < set(found)


def test_no_letter_is_that_of_two_things_in_a_menu(with_scan):
    menus = [*with_scan.findChildren(QMenu), *with_scan.findChildren(Table)]  # a table's actions are its context menu
    found = [letters(action.text() for action in menu.actions()) for menu in menus]
    assert sum(map(bool, found)) > len(with_scan.commands.menus)
    assert not [letter for each in found for letter, times in each.items() if times > 1]


DIALOGS = {
    AboutDialog: lambda path: AboutDialog(),
    ApplyDialog: lambda path: ApplyDialog(
        None, ScanSource(path), path.parent, "auto", ModelChoice(path.parent, read_scan(path))
    ),
    BestPictureDialog: lambda path: BestPictureDialog([Fix("mask", "mask", "mask them")]),
    ExportCheckpointDialog: lambda path: ExportCheckpointDialog(path, path.with_suffix(".zip")),
    ExportReconstructionDialog: lambda path: ExportReconstructionDialog(path.parent),
    JobScriptDialog: lambda path: JobScriptDialog(JobLimits()),
    MappingDialog: lambda path: MappingDialog(path, folder=path.parent),
    NoteDialog: lambda path: NoteDialog("run", Note()),
    OrientationSearch: lambda path: OrientationSearch(),
    SearchDialog: lambda path: SearchDialog(Draft()),
    SettingsComparison: lambda path: SettingsComparison(read_run(RUN), read_run(RUN), ("a", "b")),
    WatchDialog: lambda path: WatchDialog(path.parent, None, ScanSource(path)),
}


def dialogs_of(kind):
    """Return the dialogs of the window that are of a kind, and may be made."""
    for each in kind.__subclasses__():
        if each.__module__.startswith("ptycho_gui") and each is not CheckedDialog:
            yield each
        yield from dialogs_of(each)


def test_every_dialog_is_looked_at():
    assert set(dialogs_of(QDialog)) == set(DIALOGS)


@pytest.mark.parametrize("kind", DIALOGS, ids=lambda kind: kind.__name__)
def test_no_letter_is_that_of_two_things_in_a_dialog(kind, scan_path, qtbot):
    dialog = DIALOGS[kind](scan_path)
    qtbot.addWidget(dialog)
    found = letters(texts(dialog))
    dialog.reject()  # which ends what it looks at in threads
    assert not [letter for letter, times in found.items() if times > 1]


def test_a_letter_works_wherever_the_focus_is_and_for_no_panel_behind_a_tab(window, qtbot):
    unfold = window.panels.training.form.unfold
    focus_on(window, "training", qtbot)
    window.panels.runs.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(unfold.isChecked)
    focus_on(window, "prepare", qtbot)
    qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    assert unfold.isChecked()


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
