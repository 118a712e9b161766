"""The real window with a scan: what is told and asked, and what stays when it closes."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import (
    QLabel,
    QPushButton,
)

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.base.events import RefinementChecked, RolledBack
from ptycho_core.runs.record import read_run
from ptycho_core.scan.steps import Crop
from ptycho_gui.kit import theme
from ptycho_gui.prepare.step_entry import StepEntry
from tests.helpers.reconstructions import reconstruction
from tests.helpers.training_runs import DIRECT


def test_an_open_scan_can_be_started_unless_its_grouping_is_invalid_until_that_is_fixed(with_scan):
    assert with_scan.commands["start"].isEnabled()
    assert not with_scan.panels.welcome.isVisible()
    assert with_scan.panels.data.isVisible()
    with_scan.session.draft.set("gridsize", 3)
    with_scan.session.draft.set("neighbor_count", 4)
    start = with_scan.commands["start"]
    assert not start.isEnabled()
    assert "neighbor count must be at least 9 (it is 4)" in start.toolTip()
    with_scan.panels.scan.fix_requested.emit(Fix("neighbor count 9", "neighbor_count", 9))
    assert start.isEnabled()


def test_an_assumption_is_answered_in_the_scan_panel(with_scan, qtbot):
    with qtbot.waitSignal(with_scan.session.loader.opened):
        with_scan.panels.scan.setting_chosen.emit("energy_ev", "8800")
    assert with_scan.session.loader.looked.scan.geometry.energy_ev == 8800


def steps_not_applied(window, monkeypatch, agrees):
    asked = []
    monkeypatch.setattr(
        "ptycho_gui.window.unapplied_steps.confirmed",
        lambda parent, title, question, verb, otherwise: bool(asked.append((question, verb))) or agrees,
    )
    window.panels.prepare.model.insert(0, StepEntry.of(Crop(12)))
    assert window.panels.prepare.unapplied
    return asked


def test_steps_that_are_not_applied_are_asked_about_before_they_are_lost(with_scan, qtbot, monkeypatch, tmp_path):
    asked = steps_not_applied(with_scan, monkeypatch, agrees=False)
    other = shutil.copy(with_scan.session.loader.source.path, tmp_path / "other.npz")
    with_scan.open_path(Path(other))
    with_scan.files.open_run(tmp_path)
    assert not with_scan.close()
    assert [verb for _, verb in asked] == ["&Lose the steps"] * 3
    assert "not applied to scan.npz" in asked[0][0]
    assert with_scan.session.loader.source.path.name == "scan.npz"
    with_scan.panels.prepare.model.remove(0)
    with qtbot.waitSignal(with_scan.session.loader.opened):
        with_scan.open_path(Path(other))
    assert len(asked) == 3


@pytest.mark.usefixtures("quick_endings")
def test_a_run_starts_with_the_steps_that_are_seen_or_not_at_all(with_scan, qtbot, monkeypatch, tmp_path):
    asked = steps_not_applied(with_scan, monkeypatch, agrees=True)
    with_scan.session.draft.load({**DIRECT, "max_epochs": 1})
    with_scan.panels.training.output_folder = tmp_path / "run"
    qtbot.waitUntil(lambda: with_scan.commands["start"].isEnabled())
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["start"].trigger()
    assert [verb for _, verb in asked] == ["&Apply and start"]
    assert read_run(tmp_path / "run").scan.shape[1:] == (12, 12)


def test_a_file_that_is_no_scan_is_explained_and_the_window_goes_on(with_scan, qtbot, tmp_path):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"no HDF5")
    with qtbot.waitSignal(with_scan.session.loader.failed):
        with_scan.open_path(bad)
    assert with_scan.panels.scan.isVisible()
    assert any(str(bad) in label.text() for label in with_scan.panels.scan.findChildren(QLabel) if label.isVisible())
    assert with_scan.panels.message_bar.text == ""
    assert with_scan.commands["start"].isEnabled()


def test_a_scan_that_is_dropped_is_opened(window, qtbot, scan_path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(scan_path))])
    drop = QDropEvent(
        QPointF(200, 200), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    with qtbot.waitSignal(window.session.loader.opened):
        window.dropEvent(drop)


def test_recent_scans_are_listed_and_those_that_are_missing_disabled(with_scan, tmp_path):
    with_scan.preferences.add_recent(tmp_path / "gone.npz")
    menu = next(a.menu() for a in with_scan.commands.menus["File"].actions() if a.menu())
    menu.aboutToShow.emit()
    listed = {action.text(): action.isEnabled() for action in menu.actions() if action.text()}
    (gone,) = (text for text in listed if "gone.npz" in text)
    assert gone.endswith("missing")
    assert not listed[gone]
    assert any("scan.npz" in text and enabled for text, enabled in listed.items())


def test_a_message_moves_and_covers_nothing_and_goes_when_something_new_begins(with_scan, qtbot):
    with_scan.resize(1280, 800)
    with_scan.docks.show("training")
    qtbot.waitUntil(with_scan.panels.training.isVisible)
    before = with_scan.panels.data.rect(), with_scan.panels.training.rect()
    with_scan.panels.message_bar.show_message("error", "something " * 60)
    qtbot.waitUntil(lambda: with_scan.panels.message_bar.text != "")
    assert (with_scan.panels.data.rect(), with_scan.panels.training.rect()) == before
    for button in with_scan.panels.training.findChildren(QPushButton):
        assert not button.isVisible() or with_scan.childAt(button.mapTo(with_scan, button.rect().center())) is button
    with qtbot.waitSignal(with_scan.session.loader.opened):
        with_scan.commands["reload"].trigger()
    assert with_scan.panels.message_bar.text == ""


def test_a_change_of_the_scans_file_is_told_in_the_window_until_it_is_opened_again(with_scan, qtbot, scan_path):
    with_scan.session.loader.changed.emit(f"{scan_path} was written into since the scan was opened: open it again")
    assert "was written into" in with_scan.panels.message_bar.text
    assert with_scan.panels.scan.open_again.isVisibleTo(with_scan.panels.scan)
    with qtbot.waitSignal(with_scan.session.loader.opened):
        with_scan.panels.scan.open_again.click()
    assert not with_scan.panels.scan.open_again.isVisibleTo(with_scan.panels.scan)


def test_the_layout_comes_back_unless_fresh_is_asked_for(open_window, tmp_path):
    first = open_window(tmp_path)
    first.docks["queue"].hide()
    first.close()
    assert open_window(tmp_path).docks["queue"].isHidden()
    assert not open_window(tmp_path, fresh=True).docks["queue"].isHidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_forced(window, scheme):
    action = next(a for a in window.findChildren(QAction) if a.text() == f"&{scheme.capitalize()}")
    action.trigger()
    assert theme.is_dark() == (scheme == "dark")
    theme.choose("system")


def test_another_scan_opened_in_place_of_the_demo_is_not_trained_on(window, qtbot, tmp_path, scan_path):
    window.run_demo(tmp_path / "demo")
    with qtbot.waitSignal(window.session.loader.began):
        pass
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan_path)
    assert window.session.loader.source.path == scan_path
    assert window.session.shown.run is None
    assert not window.session.busy


def test_a_fit_that_went_back_to_its_best_state_is_told_and_a_check_that_asks_for_nothing_is_not(with_scan, trained):
    told = RefinementChecked("positions", 0.5, 0.5, False, "Refined positions would not help")
    with_scan.session.trained.emit(dataclasses.replace(trained.info, checks={"positions": dataclasses.asdict(told)}))
    assert with_scan.panels.message_bar.text == ""
    said = "The loss is not a number: back to the start"
    with_scan.session.shown.heard.emit((RolledBack(3, 12, said),))
    assert said in with_scan.panels.message_bar.text
    with_scan.panels.message_bar.clear()
    with_scan.session.trained.emit(dataclasses.replace(trained.info, rollbacks=(said,)))
    assert with_scan.panels.message_bar.text.startswith("Warning: ")
    assert said in with_scan.panels.message_bar.text


def test_the_probe_panel_has_the_open_scan_and_the_result_that_is_shown(with_scan):
    probe, scan = with_scan.panels.probe, with_scan.session.loader.source.file.name
    assert probe.of.currentText() == f"Scan {scan}"
    with_scan.panels.object.show_reconstruction("run1", reconstruction())
    assert probe.of.currentText() == "Result run1"
    with_scan.panels.object.clear()
    assert [probe.of.itemText(i) for i in range(probe.of.count())] == [f"Scan {scan}"]


def test_the_scan_tab_counts_the_problems_of_the_scan(with_scan):
    looked = with_scan.session.loader.looked
    problems = (Problem("mask", "it is odd", "warning"), Problem("probe", "it is broken"))
    with_scan.panels.scan.show_scan(dataclasses.replace(looked, problems=problems))
    assert with_scan.docks["scan"].windowTitle() == "Scan (2)"
    assert with_scan.docks["scan"].accessibleName() == "Scan: 1 prevents a reconstruction, 1 warning"
