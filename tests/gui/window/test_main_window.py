"""The real window with a real scan: what an operator can do, when, and what stays when it closes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDropEvent
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabBar,
    QWidget,
)

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.base.events import CheckpointSaved, RefinementChecked, RolledBack
from ptycho_core.runs.record import read_run
from ptycho_core.scan.steps import Crop
from ptycho_gui.kit import theme
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.prepare.step_entry import StepEntry
from ptycho_gui.window.actions import DECLARED
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences
from tests.helpers.reconstructions import reconstruction
from tests.helpers.training_runs import DIRECT

pytestmark = pytest.mark.usefixtures("quick_endings")

LONG = {**DIRECT, "max_epochs": 1000, "early_stop_patience": 0}


@pytest.fixture
def window(qtbot, tmp_path):
    yield from opened(qtbot, tmp_path)


def opened(qtbot, folder):
    bridge = start_logging(folder / "log")
    window = MainWindow(Preferences(folder / "window.ini"), bridge)
    qtbot.addWidget(window, before_close_func=lambda window: window.session.shut_down())  # or it would ask
    window.show()
    yield window
    bridge.stop()


@pytest.fixture
def with_scan(window, qtbot, scan_path):
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan_path)
    qtbot.waitUntil(lambda: window.commands["start"].isEnabled())
    return window


def run_to_the_end(window, qtbot, folder, **settings):
    window.session.draft.load({**DIRECT, **settings})
    window.panels.training.output_folder = folder
    qtbot.waitUntil(lambda: window.commands["start"].isEnabled())
    with qtbot.waitSignal(window.session.idle):
        window.commands["start"].trigger()


def test_at_first_it_shows_the_three_steps_and_says_why_nothing_can_start(window):
    assert window.panels.welcome.isVisible()
    assert not window.commands["start"].isEnabled()
    assert "Open a scan first" in window.commands["start"].toolTip()


def test_an_open_scan_can_be_started(with_scan):
    assert with_scan.commands["start"].isEnabled()
    assert not with_scan.panels.welcome.isVisible()
    assert with_scan.panels.data.isVisible()


def test_an_invalid_grouping_disables_start_with_the_reason_and_its_fix_enables_it(with_scan):
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


def test_a_scan_that_is_opened_shows_its_data_and_the_run_of_another_one_is_named_as_such(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", max_epochs=1)
    qtbot.waitUntil(with_scan.panels.object.isVisible)
    assert with_scan.panels.shown.text() == "Open scan: scan.npz   Run shown: run"
    with_scan.open_path(Path(shutil.copy(with_scan.session.loader.source.path, tmp_path / "other.npz")))
    qtbot.waitUntil(with_scan.panels.data.isVisible)
    assert with_scan.panels.shown.text() == "Open scan: other.npz   Run shown: run, of scan.npz"


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


def test_a_run_ends_with_curves_checkpoints_object_and_exports_within_a_click(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", engine="pinn")
    assert with_scan.session.run.history.best_checkpoint == read_run(tmp_path / "run").best_checkpoint
    for name in ("export_checkpoint", "export_reconstruction", "reconstruct"):
        assert with_scan.commands[name].isEnabled(), name
    assert "Finished" in with_scan.panels.run_bar.state
    assert with_scan.windowTitle() == "Open scan: scan.npz; Run shown: run"
    qtbot.waitUntil(lambda: "free misfit" in with_scan.panels.object.title.text())


def test_the_next_run_is_proposed_another_folder(with_scan, qtbot, tmp_path):
    first = with_scan.panels.training.output_folder
    with_scan.session.draft.load(DIRECT)
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["start"].trigger()
    assert with_scan.session.run.folder == first
    qtbot.waitUntil(lambda: with_scan.panels.training.output_folder not in (None, first))


def test_no_other_run_is_proposed_the_folder_of_one_that_was_submitted(with_scan, qtbot, monkeypatch):
    submitted = []
    monkeypatch.setattr(with_scan.session, "submit", submitted.append)
    qtbot.waitUntil(lambda: with_scan.commands["submit"].isEnabled())
    first = with_scan.panels.training.output_folder
    with_scan.commands["submit"].trigger()
    assert submitted == [first]
    qtbot.waitUntil(lambda: with_scan.panels.training.output_folder not in (None, first))


def test_a_run_whose_epochs_are_all_done_says_how_to_go_on(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    assert "raise Epochs in Training" in with_scan.commands["resume"].toolTip()
    with_scan.session.draft.set("max_epochs", 5)
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["resume"].trigger()
    assert read_run(tmp_path / "run").epochs_done == 5


def test_a_resumption_that_is_refused_leaves_the_picture_and_the_state(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    shown = with_scan.session.reconstruction
    with_scan.session.draft.load({**DIRECT, "max_epochs": 5, "learning_rate": 0.5})
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["resume"].trigger()
    assert "Learning rate cannot change" in with_scan.panels.message_bar.text
    assert with_scan.session.reconstruction is shown
    qtbot.waitUntil(lambda: with_scan.panels.run_bar.state.startswith("Finished"))


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


def test_a_run_that_was_killed_is_open_at_the_next_start_with_the_way_on(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    record = tmp_path / "run/run.json"
    body = json.loads(record.read_text()) | {"status": "running", "epochs_done": 2}
    body["process"]["pid"] = 2**22 + 1  # above the largest that Linux gives
    record.write_text(json.dumps(body))
    with_scan.preferences.set_text("unfinished_run", str(tmp_path / "run"))
    with_scan.open_unfinished()
    qtbot.waitUntil(lambda: "run is interrupted after epoch 2" in with_scan.panels.message_bar.text)
    assert with_scan.commands["resume"].isEnabled()


def test_while_a_run_is_on_only_what_makes_sense_can_be_done(with_scan, qtbot, tmp_path):
    with_scan.session.draft.load(LONG)
    with_scan.commands["start"].trigger()
    assert with_scan.commands["stop"].isEnabled()
    for name in ("start", "resume", "apply", "reconstruct"):
        assert not with_scan.commands[name].isEnabled(), name
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["stop"].trigger()
    assert not with_scan.commands["stop"].isEnabled()


def answering(monkeypatch, agrees):
    asked = []

    def confirmed(parent, title, question, verb, otherwise="Cancel"):
        asked.append(question)
        assert {verb, otherwise}.isdisjoint({"Yes", "No", "OK"})
        return agrees

    for module in ("main_window", "run_actions"):
        monkeypatch.setattr(f"ptycho_gui.window.{module}.confirmed", confirmed)
    return asked


def test_closing_in_the_middle_asks_and_stays_when_told_to(with_scan, monkeypatch, tmp_path):
    asked, folder = answering(monkeypatch, False), with_scan.panels.training.output_folder
    with_scan.session.draft.load(LONG)
    with_scan.commands["start"].trigger()
    assert not with_scan.close()
    assert asked == [f"The run {folder.name} still goes on. Stop in good order, save what there is, and close?"]
    assert with_scan.session.busy


def test_closing_in_the_middle_stops_in_good_order_saves_and_then_closes(with_scan, qtbot, monkeypatch, tmp_path):
    answering(monkeypatch, True)
    with_scan.panels.training.output_folder = tmp_path / "run"
    with_scan.session.draft.load(LONG)
    saved = []
    with_scan.session.heard.connect(lambda events: saved.extend(e for e in events if isinstance(e, CheckpointSaved)))
    qtbot.waitUntil(lambda: with_scan.commands["start"].isEnabled())
    with_scan.commands["start"].trigger()
    qtbot.waitUntil(lambda: bool(saved))
    with_scan.close()
    qtbot.waitUntil(lambda: not with_scan.isVisible())
    info = read_run(tmp_path / "run")
    assert info.status == "stopped"
    assert info.last_checkpoint.is_file()


def test_a_change_of_the_scans_file_is_told_in_the_window_until_it_is_opened_again(with_scan, qtbot, scan_path):
    with_scan.session.loader.changed.emit(f"{scan_path} was written into since the scan was opened: open it again")
    assert "was written into" in with_scan.panels.message_bar.text
    assert with_scan.panels.scan.open_again.isVisibleTo(with_scan.panels.scan)
    with qtbot.waitSignal(with_scan.session.loader.opened):
        with_scan.panels.scan.open_again.click()
    assert not with_scan.panels.scan.open_again.isVisibleTo(with_scan.panels.scan)


def test_a_cancel_asks_first(with_scan, qtbot, monkeypatch):
    asked = answering(monkeypatch, True)
    with_scan.session.draft.load(LONG)
    with_scan.commands["start"].trigger()
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["cancel"].trigger()
    assert asked[0].startswith("Leave the run ")
    assert with_scan.panels.run_bar.state.startswith("Cancelled")


def test_what_is_queued_runs_with_the_settings_it_was_queued_with(with_scan, qtbot, tmp_path):
    with_scan.session.draft.load({**DIRECT, "max_epochs": 1})
    with_scan.panels.training.output_folder = tmp_path / "queued"
    qtbot.waitUntil(lambda: with_scan.commands["enqueue"].isEnabled())
    with_scan.commands["enqueue"].trigger()
    with_scan.session.draft.load({**DIRECT, "max_epochs": 7})
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.panels.queue.run_requested.emit()
    assert read_run(tmp_path / "queued").config.max_epochs == 1


def test_the_layout_comes_back_unless_fresh_is_asked_for(qtbot, tmp_path):
    for first in opened(qtbot, tmp_path):
        first.docks["queue"].hide()
        first.close()
    for again in opened(qtbot, tmp_path):
        assert again.docks["queue"].isHidden()
        again.close()
    fresh = MainWindow(Preferences(tmp_path / "window.ini", fresh=True), start_logging(tmp_path / "log"))
    qtbot.addWidget(fresh)
    assert not fresh.docks["queue"].isHidden()


def test_every_action_has_words_and_its_shortcut_is_unique(window):
    shortcuts = [declared.shortcut for declared in DECLARED.values() if declared.shortcut]
    assert len(set(shortcuts)) == len(shortcuts)
    assert all(window.commands[name].toolTip() for name in DECLARED)


def test_every_action_is_in_a_menu(window):
    inside = {action for menu in window.commands.menus.values() for action in menu.actions()}
    assert [name for name in DECLARED if window.commands[name] not in inside] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_forced(window, scheme):
    action = next(a for a in window.findChildren(QAction) if a.text() == f"&{scheme.capitalize()}")
    action.trigger()
    assert theme.is_dark() == (scheme == "dark")
    theme.choose("system")


def test_every_control_that_takes_the_focus_has_an_accessible_name_or_a_label(window):
    def named(widget):
        return widget.accessibleName() or getattr(widget, "text", str)() or widget.toolTip() or widget in labelled

    labelled = {label.buddy() for label in window.findChildren(QLabel)}
    controls = [w for w in window.findChildren(QWidget) if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible()]
    assert controls
    passive = (QScrollArea, QTabBar)
    controls = [w for w in controls if not isinstance(w.parent(), QAbstractScrollArea)]  # viewports
    nameless = [w for w in controls if not named(w) and not isinstance(w, passive)]
    assert nameless == [], [(type(w), type(w.parent()), type(w.parent().parent())) for w in nameless]


def test_the_guide_opens_without_a_network(window, qtbot):
    window.commands["guide"].trigger()
    text = window.guide.page.toPlainText()
    assert "Operator guide" in text
    assert "At 3 a.m." in text


def test_the_demo_scan_is_simulated_opened_and_trained_on(window, qtbot, tmp_path):
    shown = []
    window.session.run_shown.connect(shown.append)
    window.run_demo(tmp_path / "demo")
    qtbot.waitUntil(lambda: bool(shown))
    assert window.session.draft.value("preset") == "quick"
    assert (tmp_path / "demo/scan.npz").is_file()


def test_another_scan_opened_in_place_of_the_demo_is_not_trained_on(window, qtbot, tmp_path, scan_path):
    window.run_demo(tmp_path / "demo")
    with qtbot.waitSignal(window.session.loader.began):
        pass
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan_path)
    assert window.session.loader.source.path == scan_path
    assert window.session.run is None
    assert not window.session.busy


def test_neither_torch_nor_scipy_is_imported_by_the_window_itself(tmp_path):
    import subprocess
    import sys

    script = (
        "import sys, pathlib; from ptycho_gui.app import application; application();"
        "from ptycho_gui.window.main_window import MainWindow; from ptycho_gui.log.log_bridge import start_logging;"
        "from ptycho_gui.window.preferences import Preferences;"
        f"p = pathlib.Path({str(tmp_path)!r});"
        "w = MainWindow(Preferences(p / 'w.ini'), start_logging(p)); w.show(); w.close();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'lightning', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3]).returncode == 0


def test_a_reconstruction_ends_as_that_of_the_command_and_only_a_networks_can_do_without(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", engine="pinn")
    history = with_scan.session.reconstruction.history
    assert any("polished by the direct engine" in said for said in history)
    with qtbot.waitSignal(with_scan.session.reconstructed) as made:
        with_scan.commands["unpolished"].trigger()
    assert not any("polished" in said for said in made.args[0].reconstruction.history)
    qtbot.waitUntil(lambda: not with_scan.session.busy)
    run_to_the_end(with_scan, qtbot, tmp_path / "direct")
    assert not with_scan.commands["unpolished"].isEnabled()
    assert "not polished anyway" in with_scan.commands["unpolished"].toolTip()


def test_the_window_says_goodbye_to_all_its_threads(window):
    window.close()
    assert QApplication.instance() is not None


def test_what_checks_propose_is_offered_when_the_run_and_its_picture_are_done(with_scan, qtbot, tmp_path, monkeypatch):
    found = [
        RefinementChecked(name, 0.5, 0.4, True, f"Refined {name} would explain it better")
        for name in ("positions", "intensity")
    ]
    monkeypatch.setattr("ptycho_core.engines.training.check_refinement", lambda *arguments: found)
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    assert with_scan.session.reconstruction is not None
    assert with_scan.panels.message_bar.text == ""
    bar = with_scan.panels.object.verdict
    qtbot.waitUntil(lambda: "refined positions would explain the patterns better" in bar.text)
    assert [button.text() for button in bar.buttons][:2] == ["Refine positions", "Refine brightness"]
    with qtbot.waitSignal(with_scan.session.idle):
        bar.buttons[0].click()
    assert with_scan.session.draft.value("positions") == "refine"
    assert with_scan.session.run.history.config.positions == "refine"
    assert with_scan.session.run.history.config.max_epochs == 3


def test_a_run_of_which_no_picture_came_has_failed_and_a_button_for_what_to_do(with_scan, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.training.FEWEST_EPOCHS", 1)
    monkeypatch.setattr("ptycho_core.engines.training.no_picture", lambda *arguments: "they do not belong together")
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    bar = with_scan.panels.object.verdict
    qtbot.waitUntil(lambda: bar.text == "Poor: they do not belong together.")
    assert [button.text() for button in bar.buttons] == ["Search the orientation", "Search for the beam"]
    assert with_scan.panels.run_bar.state == "Failed. The picture is poor"
    assert with_scan.panels.message_bar.text.startswith("Error: no picture came of it: they do not belong together")


def test_a_run_that_ends_without_a_picture_is_a_warning(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", enable_checkpointing=False)
    assert with_scan.session.reconstruction is None
    assert with_scan.panels.message_bar.text.startswith("Warning: ")
    assert "there is no picture, as no checkpoint was kept" in with_scan.panels.message_bar.text


def test_a_fit_that_went_back_to_its_best_state_is_told_while_it_goes_on_and_at_its_end(with_scan, trained):
    said = "The loss is not a number: back to the start"
    with_scan.session.heard.emit((RolledBack(3, 12, said),))
    assert said in with_scan.panels.message_bar.text
    with_scan.panels.message_bar.clear()
    with_scan.session.trained.emit(dataclasses.replace(trained.info, rollbacks=(said,)))
    assert with_scan.panels.message_bar.text.startswith("Warning: ")
    assert said in with_scan.panels.message_bar.text


def test_a_check_that_asks_for_nothing_offers_nothing(with_scan, trained):
    told = RefinementChecked("positions", 0.5, 0.5, False, "Refined positions would not help")
    with_scan.session.trained.emit(dataclasses.replace(trained.info, checks={"positions": dataclasses.asdict(told)}))
    assert with_scan.panels.message_bar.text == ""


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
