"""Runs in the real window, from their start to their picture: what can be done when."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.events import CheckpointSaved, RefinementChecked
from ptycho_core.runs.record import read_run
from tests.helpers.run_folders import edit_record
from tests.helpers.training_runs import DIRECT, LONG

pytestmark = pytest.mark.usefixtures("quick_endings")


def run_to_the_end(window, qtbot, folder, **settings):
    window.session.draft.load({**DIRECT, **settings})
    window.panels.training.output_folder = folder
    qtbot.waitUntil(lambda: window.commands["start"].isEnabled())
    with qtbot.waitSignal(window.session.idle):
        window.commands["start"].trigger()


def test_a_scan_that_is_opened_shows_its_data_and_the_run_of_another_one_is_named_as_such(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", max_epochs=1)
    qtbot.waitUntil(with_scan.panels.object.isVisible)
    assert with_scan.panels.shown.text() == "Scan: scan.npz   Run: run"
    with_scan.open_path(Path(shutil.copy(with_scan.session.loader.source.path, tmp_path / "other.npz")))
    qtbot.waitUntil(with_scan.panels.data.isVisible)
    assert with_scan.panels.shown.text() == "Scan: other.npz   Run: run, of scan.npz"


def test_a_run_ends_with_curves_checkpoints_object_and_exports_within_a_click(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", engine="pinn")
    assert with_scan.session.shown.run.history.best_checkpoint == read_run(tmp_path / "run").best_checkpoint
    for name in ("export_checkpoint", "export_reconstruction", "reconstruct"):
        assert with_scan.commands[name].isEnabled(), name
    assert "Finished" in with_scan.panels.run_bar.state
    assert with_scan.windowTitle() == "Scan: scan.npz; Run: run"
    qtbot.waitUntil(lambda: "free misfit" in with_scan.panels.object.title.text())
    # The picture ended as that of the command, and can do without.
    assert any("polished by the direct engine" in said for said in with_scan.session.shown.reconstruction.history)
    with qtbot.waitSignal(with_scan.session.shown.reconstructed) as made:
        with_scan.commands["unpolished"].trigger()
    assert not any("polished" in said for said in made.args[0].reconstruction.history)
    qtbot.waitUntil(lambda: not with_scan.session.busy)


def test_the_next_run_is_proposed_another_folder(with_scan, qtbot, tmp_path):
    first = with_scan.panels.training.output_folder
    with_scan.session.draft.load(DIRECT)
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["start"].trigger()
    assert with_scan.session.shown.run.folder == first
    assert not with_scan.commands["unpolished"].isEnabled()
    assert "not polished anyway" in with_scan.commands["unpolished"].toolTip()
    qtbot.waitUntil(lambda: with_scan.panels.training.output_folder not in (None, first))


def test_no_other_run_is_proposed_the_folder_of_one_that_was_submitted(with_scan, qtbot, monkeypatch):
    submitted = []
    monkeypatch.setattr(with_scan.session, "submit", submitted.append)
    qtbot.waitUntil(lambda: with_scan.commands["submit"].isEnabled())
    first = with_scan.panels.training.output_folder
    with_scan.commands["submit"].trigger()
    assert submitted == [first]
    qtbot.waitUntil(lambda: with_scan.panels.training.output_folder not in (None, first))


def test_a_run_whose_epochs_are_all_done_says_how_to_go_on_and_a_refusal_leaves_its_picture(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    assert "raise Epochs in Training" in with_scan.commands["resume"].toolTip()
    shown = with_scan.session.shown.reconstruction
    with_scan.session.draft.load({**DIRECT, "max_epochs": 5, "learning_rate": 0.5})
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["resume"].trigger()
    assert "Learning rate cannot change" in with_scan.panels.message_bar.text
    assert with_scan.session.shown.reconstruction is shown
    qtbot.waitUntil(lambda: with_scan.panels.run_bar.state.startswith("Finished"))
    with_scan.session.draft.load({**DIRECT, "max_epochs": 5})
    with qtbot.waitSignal(with_scan.session.idle):
        with_scan.commands["resume"].trigger()
    assert read_run(tmp_path / "run").epochs_done == 5


def test_a_run_that_was_killed_is_open_at_the_next_start_with_the_way_on(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    process = {**encode(read_run(tmp_path / "run").process), "pid": 2**22 + 1}  # above the largest that Linux gives
    edit_record(tmp_path / "run", status="running", epochs_done=2, process=process)
    with_scan.preferences.set_text("unfinished_run", str(tmp_path / "run"))
    with_scan.open_unfinished()
    qtbot.waitUntil(lambda: "run is interrupted after 2 epochs" in with_scan.panels.message_bar.text)
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
    with_scan.session.shown.heard.connect(
        lambda events: saved.extend(e for e in events if isinstance(e, CheckpointSaved))
    )
    qtbot.waitUntil(lambda: with_scan.commands["start"].isEnabled())
    with_scan.commands["start"].trigger()
    qtbot.waitUntil(lambda: bool(saved))
    with_scan.close()
    qtbot.waitUntil(lambda: not with_scan.isVisible())
    info = read_run(tmp_path / "run")
    assert info.status == "stopped"
    assert info.last_checkpoint.is_file()


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


def test_the_demo_scan_is_simulated_opened_and_trained_on(window, qtbot, tmp_path):
    shown = []
    window.session.shown.run_shown.connect(shown.append)
    window.run_demo(tmp_path / "demo")
    qtbot.waitUntil(lambda: bool(shown))
    assert window.session.draft.value("preset") == "quick"
    assert (tmp_path / "demo/scan.npz").is_file()


def test_what_checks_propose_is_offered_when_the_run_and_its_picture_are_done(with_scan, qtbot, tmp_path, monkeypatch):
    found = [
        RefinementChecked(name, 0.5, 0.4, True, f"Refined {name} would explain it better")
        for name in ("positions", "intensity")
    ]
    monkeypatch.setattr("ptycho_core.engines.training.check_refinement", lambda *arguments: found)
    run_to_the_end(with_scan, qtbot, tmp_path / "run", max_epochs=30)
    assert with_scan.session.shown.reconstruction is not None
    assert with_scan.panels.message_bar.text == ""
    bar = with_scan.panels.object.verdict
    qtbot.waitUntil(lambda: "refined positions would explain the patterns better" in bar.text)
    assert [button.text() for button in bar.buttons][:2] == ["Refine positions", "Refine brightness"]
    qtbot.waitUntil(lambda: with_scan.commands["start"].isEnabled())  # the next run has its folder
    with qtbot.waitSignal(with_scan.session.idle):
        bar.buttons[0].click()
    assert with_scan.session.draft.value("positions") == "refine"
    assert with_scan.session.shown.run.history.config.positions == "refine"
    assert with_scan.session.shown.run.history.config.max_epochs == 30


def test_a_run_of_which_no_picture_came_has_failed_and_a_button_for_what_to_do(with_scan, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.training.FEWEST_EPOCHS", 1)
    monkeypatch.setattr("ptycho_core.engines.training.no_picture", lambda *arguments: "they do not belong together")
    run_to_the_end(with_scan, qtbot, tmp_path / "run")
    bar = with_scan.panels.object.verdict
    qtbot.waitUntil(lambda: bar.text == "Poor: they do not belong together.")
    assert [button.text() for button in bar.buttons] == ["Try all orientations", "Search for the beam"]
    assert with_scan.panels.run_bar.state == "Failed. The picture is poor"
    said = "Error: No picture came of run: why, and what may help, stands above the object."
    assert with_scan.panels.message_bar.text == said
    with qtbot.waitSignal(with_scan.session.shown.run_opened):
        with_scan.session.open_run(tmp_path / "run")
    qtbot.waitUntil(lambda: bar.text == "Poor: they do not belong together." and bar.isVisible())


def test_a_run_that_ends_without_a_picture_is_a_warning(with_scan, qtbot, tmp_path):
    run_to_the_end(with_scan, qtbot, tmp_path / "run", enable_checkpointing=False)
    assert with_scan.session.shown.reconstruction is None
    assert with_scan.panels.message_bar.text.startswith("Warning: ")
    assert "there is no picture, as no checkpoint was kept" in with_scan.panels.message_bar.text
