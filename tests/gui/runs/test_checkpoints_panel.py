"""The panel of checkpoints."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtWidgets import QMessageBox, QToolButton

from ptycho_core.base.events import CheckpointSaved, RunFinished, RunStarted
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.runs import checkpoints_panel
from ptycho_gui.runs.checkpoints_panel import CheckpointsPanel


@pytest.fixture
def panel(qtbot):
    panel = CheckpointsPanel()
    qtbot.addWidget(panel)
    with qtbot.waitActive(panel):  # keys work in the active window
        panel.show()
    return panel


@pytest.fixture
def shown(panel, trained):
    panel.show_run(trained.info)
    return panel


def select(panel, *rows):
    selection = panel.view.selectionModel()
    selection.clearSelection()
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for row in rows:
        selection.select(panel.table.index(row, 0), flags)


def test_an_empty_panel_says_what_to_wait_for_and_offers_nothing(panel):
    assert "after the first epoch" in panel.view.empty
    assert not any(action.isEnabled() for action in panel.view.actions())


def test_every_disabled_action_says_why_and_every_enabled_one_what_it_does(shown):
    for action in shown.view.actions():
        assert not action.isEnabled()
        assert "Not now: Select" in action.toolTip()
    select(shown, 0)
    assert shown.reconstruct.isEnabled()
    assert "Reconstruct the run's scan" in shown.reconstruct.toolTip()
    assert shown.compare.toolTip().endswith("Not now: Select two checkpoints first (Ctrl + click).")


def test_the_best_is_known_as_soon_as_it_is_saved(panel, trained):
    (first, *_) = [event for event in trained.events if isinstance(event, CheckpointSaved) and event.rank]
    panel.hear(first)
    (row,) = panel.table.rows
    assert (row.is_best, str(row.path)) == (True, first.path)


def test_reconstruct_and_export_ask_for_the_selected_checkpoint(shown, qtbot, trained):
    select(shown, 1)
    second = shown.table.rows[1].path
    assert shown.selected() == [second]
    with qtbot.waitSignal(shown.reconstruct_requested) as asked:
        qtbot.keyClick(shown.view, Qt.Key.Key_Return)
    assert asked.args == [second]
    with qtbot.waitSignal(shown.export_requested) as asked:
        shown.export.trigger()
    assert asked.args == [second]


def test_two_checkpoints_are_compared_in_the_order_of_their_ranks(shown, qtbot):
    select(shown, 2, 0)
    with qtbot.waitSignal(shown.compare_requested) as asked:
        shown.compare.trigger()
    assert asked.args == [shown.table.rows[0].path, shown.table.rows[2].path]


def test_while_something_computes_nothing_is_reconstructed_but_export_goes_on(shown):
    select(shown, 0)
    shown.set_busy("Something is running: stop it first.")
    assert not shown.reconstruct.isEnabled()
    assert shown.reconstruct.toolTip().endswith("Not now: Something is running: stop it first.")
    assert shown.export.isEnabled()
    shown.set_busy(None)
    assert shown.reconstruct.isEnabled()


def test_deleting_asks_first_and_names_the_consequence(shown, qtbot, monkeypatch):
    questions = []
    answer = False
    monkeypatch.setattr(checkpoints_panel, "confirmed", lambda *words: questions.append(words[2]) or answer)
    select(shown, 0)
    with qtbot.assertNotEmitted(shown.delete_requested):
        shown.delete.trigger()
    select(shown, 2)
    answer = True
    with qtbot.waitSignal(shown.delete_requested) as asked:
        qtbot.keyClick(shown.view, Qt.Key.Key_Delete)
    assert asked.args == [shown.table.rows[2].path]
    assert "the best one" in questions[0]
    assert "cannot be resumed" in questions[1]


def test_a_run_that_trains_keeps_its_checkpoints(shown, trained):
    select(shown, 2)
    started = next(event for event in trained.events if isinstance(event, RunStarted))
    ended = next(event for event in trained.events if isinstance(event, RunFinished))
    shown.hear(started)
    assert not shown.delete.isEnabled()
    assert "is training" in shown.delete.toolTip()
    shown.hear(ended)
    assert shown.delete.isEnabled()
    shown.show_run(dataclasses.replace(trained.info, status="running"))
    assert not shown.delete.isEnabled()


def test_a_selection_stays_with_its_file_when_a_better_one_is_saved(shown, trained):
    select(shown, 0)
    chosen = shown.selected()
    best = trained.info.checkpoints[0]
    shown.hear(dataclasses.replace(best, path=best.path.replace("epoch=", "epoch=9"), value=best.value / 2))
    assert shown.selected() == chosen
    assert shown.table.rows[0].path != chosen[0]


def test_buttons_and_context_menu_offer_the_same_with_names(shown):
    buttons = [shown.buttons.widgetForAction(action) for action in shown.view.actions()]
    assert len(buttons) == 5
    assert all(isinstance(button, QToolButton) and button.accessibleName() for button in buttons)


@pytest.mark.parametrize("agrees", [True, False])
def test_a_question_is_agreed_to_by_its_verb_alone(panel, qtbot, agrees):
    def answer():
        (box,) = panel.findChildren(QMessageBox)
        words = "&Delete" if agrees else "Cancel"
        (button,) = [each for each in box.buttons() if each.text().replace("&", "") == words.replace("&", "")]
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    from PySide6.QtCore import QTimer

    QTimer.singleShot(0, panel, answer)
    assert confirmed(panel, "Delete", "Delete it?", "&Delete") is agrees
