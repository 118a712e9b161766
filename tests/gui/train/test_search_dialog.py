"""The dialog of a search: what it shows of trials. Searches that are made: tests/gui/window/test_search_settings.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptycho_core.base.events import Status
from ptycho_core.runs.trials import Outcome, can_be_varied, plan
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.search_dialog import SearchDialog


@pytest.fixture
def dialog(qtbot):
    dialog = SearchDialog(Draft())
    qtbot.addWidget(dialog)
    return dialog


def tell(dialog, epochs):
    for trial in plan({}, {"max_epochs": epochs}, Path("out")):
        dialog.show_outcome(Outcome(trial, Status.FINISHED, deviance=1 / trial.config.max_epochs))


def listed(dialog):
    model = dialog.table.model()
    return [model.index(row, 1).data() for row in range(model.rowCount())]


def test_trials_are_listed_the_best_first_and_those_of_another_search_take_their_place(dialog):
    tell(dialog, [10, 30, 20])
    assert listed(dialog) == ["30", "20", "10"]
    tell(dialog, [5, 7])
    assert listed(dialog) == ["7", "5"]


def test_few_settings_are_listed_at_first_and_all_that_can_be_varied_behind_more(dialog):
    setting = dialog.rows[0].setting
    texts = [setting.itemText(row) for row in range(setting.count())]
    assert texts[-1] == "More settings…"
    assert len(texts) < 12
    setting.setCurrentIndex(len(texts) - 1)
    assert dialog.rows[0].name == ""
    setting.activated.emit(len(texts) - 1)
    names = [setting.itemData(row) for row in range(setting.count())]
    assert sorted(filter(None, names)) == sorted(can_be_varied())
    assert setting.findText("More settings…") == -1
    assert dialog.rows[0].name == ""
    setting.hidePopup()


def test_the_number_of_patterns_stays_as_chosen_until_the_scan_has_another(dialog):
    dialog.show_scan(1000)
    assert (dialog.patterns.value(), dialog.patterns.maximum()) == (200, 1000)
    dialog.patterns.setValue(300)
    dialog.show_scan(1000)
    assert dialog.patterns.value() == 300
    dialog.show_scan(64)
    assert (dialog.patterns.value(), dialog.patterns.maximum()) == (64, 64)


def test_what_is_taken_over_is_said(dialog):
    tell(dialog, [10, 30])
    dialog.take_button.click()
    assert dialog.note.text() == "Training has the settings of trial 2 now."
