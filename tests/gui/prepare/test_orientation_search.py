"""The search for the orientation of the patterns, in the window."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.orientation import ORIENTATIONS, OrientationTrial
from ptycho_core.scan.steps import Crop, Orient
from ptycho_gui.prepare.orientation_search import OrientationSearch, verdict
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel


@pytest.fixture
def small(tiny_scan):
    return tiny_scan.take(range(12))


@pytest.fixture
def dialog(qtbot):
    dialog = OrientationSearch()
    qtbot.addWidget(dialog)
    dialog.show()
    yield dialog
    dialog.shut_down()


@pytest.fixture(autouse=True)
def short_fits(monkeypatch):
    """Ten epochs for each orientation: as long as it takes to stop a search between two of them."""
    monkeypatch.setattr("ptycho_core.engines.orientation_search.VIEWS", 120)


@pytest.fixture
def one_epoch(short_fits, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.orientation_search.VIEWS", 12)


def names(dialog):
    table = dialog.table
    return [table.item(row, 1).data(Qt.ItemDataRole.UserRole) for row in range(table.rowCount())]


def deviances(dialog):
    return [float(dialog.table.item(row, 2).text()) for row in range(dialog.table.rowCount())]


def test_all_orientations_are_tried_ranked_and_one_is_taken(qtbot, dialog, small, one_epoch):
    dialog.show_scan(small, ())
    assert not dialog.use.isEnabled()
    dialog.search.click()
    assert not dialog.search.isEnabled()
    qtbot.waitUntil(lambda: not dialog.stop.isEnabled())
    assert sorted(names(dialog)) == sorted(ORIENTATIONS)
    assert deviances(dialog) == sorted(deviances(dialog))
    assert "Eight ways to turn the patterns" not in dialog.words.text()
    assert not dialog.table.item(0, 0).icon().isNull()
    best = names(dialog)[0]
    with qtbot.waitSignal(dialog.chosen) as told:
        dialog.use.click()
    assert told.args == [best]
    assert not dialog.isVisible()


def test_a_stopped_search_keeps_what_it_has_and_says_so(qtbot, dialog, small):
    dialog.show_scan(small, ())
    dialog.start()
    qtbot.waitUntil(lambda: len(names(dialog)) >= 1)
    dialog.stop.click()
    qtbot.waitUntil(lambda: not dialog.stop.isEnabled())
    assert 1 <= len(names(dialog)) < 8
    assert "stopped" in dialog.words.text()


def test_what_was_found_for_another_scan_is_forgotten(qtbot, dialog, small, tiny_scan):
    dialog.show_scan(small, ())
    dialog.start()
    qtbot.waitUntil(lambda: len(names(dialog)) >= 1)
    dialog.show_scan(tiny_scan, ())
    assert names(dialog) == []
    qtbot.waitUntil(lambda: not dialog.stop.isEnabled())
    assert names(dialog) == []
    assert "Eight ways to turn the patterns" in dialog.words.text()


def test_too_few_patterns_are_one_sentence(qtbot, dialog, tiny_scan):
    dialog.show_scan(tiny_scan.take(range(5)), ())
    dialog.start()
    qtbot.waitUntil(lambda: not dialog.stop.isEnabled())
    assert "patterns must be 10 or more" in dialog.words.text()


def trials(**deviances):
    return [OrientationTrial(name.replace("p", "+").replace("m", "-"), r, r) for name, r in deviances.items()]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (trials(pymx=0.1, pypx=0.2), "+y-x fits clearly best"),
        (trials(pypx=0.1, pymx=0.2), "nothing needs to be turned"),
        (trials(pymx=0.1, mypx=0.101), "phases of object and probe reversed"),
        (trials(pymx=0.1, pypx=0.101, mypx=0.102), "+y+x, -y+x fit nearly as well"),
    ],
)
def test_the_verdict_names_what_the_trials_tell_apart(found, words):
    assert words in verdict(found)


def test_the_chosen_orientation_becomes_the_last_step_and_is_applied(qtbot, tiny_scan):
    panel = PreprocessingPanel()
    qtbot.addWidget(panel)
    panel.show_scan(inspect(preprocess(tiny_scan, [Crop(16)])))
    panel.start_orientation_search()
    assert panel.search.isVisible()
    assert panel.search.stop.isEnabled()  # it searches at once
    with qtbot.waitSignal(panel.steps_chosen) as told:
        panel.search.chosen.emit("+y-x")
    assert told.args == [(Crop(16), Orient("+y-x"))]
    panel.shut_down()
