"""The history of an output folder: its table and its panel."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtGui import QImage

from ptycho_core.base.atomic import write_json
from ptycho_core.base.codec import encode
from ptycho_core.base.process import ProcessMark
from ptycho_core.runs.job import Job
from ptycho_core.runs.note import Note, write_note
from ptycho_core.runs.record import BrokenRun, read_run
from ptycho_core.runs.run import Run
from ptycho_gui.runs import runs_panel
from ptycho_gui.runs.jobs.runs import ListedRun
from ptycho_gui.runs.run_table import SORT_ROLE, RunTable
from ptycho_gui.runs.runs_panel import RunsPanel
from ptycho_gui.runs.settings_comparison import SettingsComparison


@pytest.fixture
def root(tmp_path, trained):
    """Two runs that are over, the second started an hour after the first, and a broken one."""
    root = tmp_path / "beamtime"
    for name, hours in (("first", 1), ("second", 2)):
        shutil.copytree(trained.folder, root / name)
        info = read_run(root / name)
        later = {field: getattr(info, field) + timedelta(hours=hours) for field in ("started", "ended")}
        Run(dataclasses.replace(info, **later))
    (root / "damaged").mkdir()
    (root / "damaged/run.json").write_text("{")
    return root


@pytest.fixture
def panel(qtbot):
    panel = RunsPanel()
    qtbot.addWidget(panel)
    yield panel
    panel.shut_down()


@pytest.fixture
def listed(panel, root, qtbot):
    panel.set_folder(root)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 3)
    return panel


def select(panel, *names):
    panel.view.selectionModel().clearSelection()
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for index in (panel.view.model().index(row, 0) for row in range(panel.view.model().rowCount())):
        if index.siblingAtColumn(1).data() in names:
            panel.view.selectionModel().select(index, flags)


def cells(panel, row):
    return [panel.view.model().index(row, column).data() for column in range(panel.table.columnCount())]


def column(panel, number=1):
    return [cells(panel, row)[number] for row in range(panel.view.model().rowCount())]


def test_a_folder_is_listed_newest_first_and_broken_runs_with_the_reason(listed, trained):
    assert column(listed) == ["second", "first", "damaged"]
    status, _, scan, settings, picture, best, free_misfit, epochs, _, duration, note = cells(listed, 0)
    assert (status, scan, settings, epochs) == ("Finished", "in memory", "standard, network", "3 of 3")
    assert picture == trained.info.verdict.level.capitalize()
    assert best == f"{trained.info.best_value:.4f}  poisson"
    assert free_misfit == "–"
    assert duration.endswith("s")
    assert cells(listed, 2)[0] == "Broken"
    assert "run.json" in cells(listed, 2)[2]
    assert listed.view.columnSpan(2, 2) == 9
    assert note == ""


def test_the_table_is_a_sound_qt_model(qtmodeltester, trained):
    table = RunTable()
    qtmodeltester.check(table)
    picture = QImage(40, 30, QImage.Format.Format_RGB32)
    picture.fill(Qt.GlobalColor.blue)
    broken = BrokenRun(trained.folder.parent / "damaged", "it cannot be read")
    table.show_runs(trained.folder.parent, [ListedRun(trained.info, 0.2, picture), ListedRun(broken)])
    qtmodeltester.check(table)
    assert table.index(0, 1).data(Qt.ItemDataRole.DecorationRole).height() == 26
    assert table.index(0, 6).data() == "0.2000"


def test_runs_without_a_metric_are_sorted_behind_those_with_one(trained):
    table = RunTable()
    none = dataclasses.replace(trained.info, checkpoints=(), metrics={})
    table.show_runs(trained.folder.parent, [ListedRun(none), ListedRun(trained.info)])
    worths = [table.index(row, 5).data(SORT_ROLE) for row in (0, 1)]
    assert worths[1] < worths[0]


def test_any_column_sorts_and_the_actions_follow_the_run_to_its_new_row(listed, qtbot):
    listed.view.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert column(listed) == ["damaged", "first", "second"]
    assert listed.view.columnSpan(0, 2) == 9
    select(listed, "first")
    with qtbot.waitSignal(listed.open_requested) as asked:
        listed.open.trigger()
    assert asked.args[0].name == "first"


def test_a_folder_that_is_not_there_is_said_where_the_runs_would_be(panel, tmp_path, qtbot):
    panel.set_folder(tmp_path / "gone")
    qtbot.waitUntil(lambda: "there is no folder" in panel.view.empty)
    assert panel.table.rowCount() == 0


def test_a_folder_without_runs_says_what_to_do(panel, tmp_path, qtbot):
    panel.set_folder(tmp_path)
    qtbot.waitUntil(lambda: "no runs in this folder" in panel.view.empty)


def test_only_the_folder_chosen_last_is_shown(panel, root, tmp_path, qtbot):
    panel.set_folder(tmp_path / "gone")
    panel.set_folder(root)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 3)
    assert "there is no folder" not in panel.view.empty


def test_a_folder_that_the_operator_types_is_listed_and_told(panel, root, qtbot):
    panel.field.line.setText(str(root))
    with qtbot.waitSignal(panel.folder_chosen) as told:
        qtbot.keyClick(panel.field.line, Qt.Key.Key_Return)
    assert told.args == [root]
    qtbot.waitUntil(lambda: panel.table.rowCount() == 3)


def test_a_list_that_comes_to_the_front_is_looked_through_at_once(listed, root, qtbot):
    listed._watch.setInterval(2**30)
    shutil.copytree(root / "first", root / "another")
    listed.show()
    qtbot.waitUntil(lambda: listed.table.rowCount() == 4)


def test_looking_again_keeps_the_selection_and_finds_what_is_new(listed, root, qtbot):
    select(listed, "first")
    shutil.copytree(root / "first", root / "third")
    listed.refresh()
    qtbot.waitUntil(lambda: listed.table.rowCount() == 4)
    with qtbot.waitSignal(listed.resume_requested) as asked:
        listed.resume.trigger()
    assert asked.args == [root / "first"]


def test_a_run_that_another_process_begins_is_seen_while_the_list_is_and_nothing_moves(listed, root, qtbot):
    select(listed, "first")
    listed._watch.setInterval(20)
    shutil.copytree(root / "first", root / "third")
    listed.show()
    qtbot.waitUntil(lambda: listed.table.rowCount() == 4)
    assert [run.found.folder.name for run in listed._runs()] == ["first"]
    listed.hide()
    assert not listed._watch.isActive()


def test_trials_and_earlier_versions_are_shown_when_they_are_asked_for(listed, root, qtbot):
    shutil.copytree(root / "first", root / "scan-search/trial-001")
    shutil.copytree(root / "first", root / "first/previous/version_0")
    listed.refresh()
    qtbot.waitUntil(lambda: not listed.all.isHidden())
    assert listed.all.text() == "Show all (2 more)"
    assert listed.table.rowCount() == 3
    select(listed, "second")
    listed.all.setChecked(True)
    assert set(column(listed)) == {"second", "first", "damaged", "scan-search/trial-001", "first/previous/version_0"}
    assert [run.found.folder.name for run in listed._runs()] == ["second"]


def await_job(folder, resumptions=None):
    """Let a job of which nobody can tell what became of it wait for the run of a folder."""
    mark = dataclasses.replace(ProcessMark.current(), host="elsewhere")
    job = Job("77", ("sh",), datetime(2026, 11, 27, 12, tzinfo=UTC), resumptions, mark)
    (folder / "job").mkdir(parents=True)
    write_json(folder / "job/job.json", encode(job))


def test_a_run_that_waits_for_its_job_is_listed_first_and_shown_once_it_has_begun(listed, root, qtbot):
    await_job(root / "night")
    listed.refresh()
    qtbot.waitUntil(lambda: listed.table.rowCount() == 4)
    assert cells(listed, 0)[:2] == ["Waiting", "night"]
    assert cells(listed, 0)[2].startswith("job 77, submitted 2026-11-27")
    select(listed, "night")
    with qtbot.assertNotEmitted(listed.open_requested), qtbot.waitSignal(listed.wait_requested) as asked:
        listed.open.trigger()
    assert asked.args == [root / "night"]
    assert "has not begun yet" in listed.note.toolTip()


def test_a_run_with_which_a_job_waits_to_go_on_is_told_in_its_own_row(listed, root, qtbot):
    before = cells(listed, 1)
    await_job(root / "first", resumptions=0)
    listed.refresh()
    qtbot.waitUntil(lambda: cells(listed, 0)[:2] == ["Waiting", "first"])
    assert listed.table.rowCount() == 3
    assert cells(listed, 0)[2:] == before[2:]
    assert listed.table.index(0, 0).data(Qt.ItemDataRole.ToolTipRole).startswith("job 77, submitted 2026-11-27")
    select(listed, "first")
    with qtbot.waitSignals([listed.open_requested, listed.wait_requested]):
        listed.open.trigger()
    assert listed.resume.toolTip().endswith("A job waits for this run: take it back first, with ptycho stop.")


def test_a_broken_run_can_be_neither_opened_nor_resumed(listed):
    select(listed, "damaged")
    for action in (listed.open, listed.resume, listed.trash):
        assert not action.isEnabled()
        assert action.toolTip().endswith("Not now: The record of this run cannot be read.")


def test_a_run_that_trains_is_neither_resumed_nor_thrown_away(panel, root, qtbot):
    Run(dataclasses.replace(read_run(root / "first"), status="running", process=ProcessMark.current()))
    panel.set_folder(root)
    qtbot.waitUntil(lambda: panel.table.rowCount() == 3)
    select(panel, "first")
    assert panel.open.isEnabled()
    for action in (panel.resume, panel.trash):
        assert action.toolTip().endswith("Not now: The run is still training: stop it first.")


def test_while_something_computes_no_run_is_opened(listed):
    select(listed, "first")
    listed.set_busy("Something is running: stop it first.")
    for action in (listed.open, listed.resume):
        assert action.toolTip().endswith("Not now: Something is running: stop it first.")


def test_a_note_stands_in_the_row_of_its_run_and_finds_it_again(listed, root, qtbot):
    write_note(root / "first", Note("Ni foil", "blurred:\nthe stage drifted"))
    listed.refresh()
    qtbot.waitUntil(lambda: "Ni foil: blurred: the stage drifted" in column(listed, 10))
    qtbot.keyClicks(listed.search, "drifted NI")
    assert column(listed) == ["first"]
    select(listed, "first")
    with qtbot.waitSignal(listed.note_requested) as asked:
        listed.note.trigger()
    assert asked.args == [root / "first"]
    qtbot.keyClicks(listed.search, " elsewhere")
    assert column(listed) == []
    assert "No run has all of the words" in listed.view.empty
    listed.search.clear()
    assert column(listed) == ["second", "first", "damaged"]
    assert listed.view.columnSpan(2, 2) == 9


def test_an_overlay_is_asked_for_marked_in_words_and_taken_back(listed, root, qtbot):
    select(listed, "first", "second")
    with qtbot.waitSignals([listed.overlay_requested] * 2):
        listed.overlay.trigger()
    assert column(listed) == ["second  (overlaid)", "first  (overlaid)", "damaged"]
    select(listed, "first  (overlaid)")
    assert listed.overlay.text().replace("&", "") == "Remove overlay"
    with qtbot.waitSignal(listed.remove_overlay_requested) as asked:
        listed.overlay.trigger()
    assert asked.args == [root / "first"]
    listed.set_overlaid(set())
    assert column(listed) == ["second", "first", "damaged"]


def test_a_run_goes_to_the_trash_when_the_operator_agrees(listed, root, qtbot, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(runs_panel, "confirmed", lambda *words: True)
    select(listed, "first")
    with qtbot.waitSignal(listed.message) as told:
        listed.trash.trigger()
    assert told.args == ["info", f"The run in {root / 'first'} is in the trash."]
    assert not (root / "first").exists()
    assert (tmp_path / "data/Trash/files/first/run.json").is_file()
    qtbot.waitUntil(lambda: column(listed) == ["second", "damaged"])


def test_a_run_stays_when_the_operator_does_not_agree_or_it_cannot_be_moved(listed, root, qtbot, monkeypatch):
    questions = []
    monkeypatch.setattr(runs_panel, "confirmed", lambda *words: questions.append(words[2]))
    select(listed, "first")
    with qtbot.assertNotEmitted(listed.message, wait=50):
        listed.trash.trigger()
    assert str(root / "first") in questions[0]
    monkeypatch.setattr(runs_panel, "confirmed", lambda *words: True)
    monkeypatch.setattr("ptycho_gui.runs.jobs.runs.QFile", lambda name: SimpleNamespace(moveToTrash=lambda: False))
    with qtbot.waitSignal(listed.message) as told:
        listed.trash.trigger()
    assert told.args[0] == "error"
    assert "cannot be moved to the trash" in told.args[1]
    assert (root / "first/run.json").is_file()


def test_the_settings_of_two_runs_are_compared_by_what_differs_alone(qtbot, trained):
    other = dataclasses.replace(
        trained.info,
        config=trained.info.config.replace(gridsize=3, neighbor_count=12, background=True),
        scan=dataclasses.replace(trained.info.scan, sha256="ab" * 32, size=1, path=Path("/data/other.npz")),
    )
    dialog = SettingsComparison(trained.info, other, ("a", "b"))
    qtbot.addWidget(dialog)
    assert {(row[0], row[2], row[3]) for row in dialog.rows} == {
        ("Gridsize", "2", "3"),
        ("Neighbor count", "auto", "12"),
        ("Background", "no", "yes"),
        ("Scan", "in memory", "/data/other.npz"),
    }
    same = SettingsComparison(trained.info, trained.info, ("a", "a"))
    qtbot.addWidget(same)
    assert same.rows == []


def test_two_runs_are_selected_to_compare_them(listed, monkeypatch):
    assert not listed.compare.isEnabled()
    compared = []
    monkeypatch.setattr(SettingsComparison, "exec", lambda dialog: compared.append(dialog.rows))
    select(listed, "first", "damaged")
    assert not listed.compare.isEnabled()
    select(listed, "first", "second")
    listed.compare.trigger()
    assert compared == [[]]


def test_the_picture_is_shown_where_there_is_room_and_one(panel, trained):
    picture = QImage(240, 200, QImage.Format.Format_RGB32)
    picture.fill(Qt.GlobalColor.blue)
    panel.resize(1260, 200)
    panel.show()
    panel.table.show_runs(Path("/"), [ListedRun(trained.info, 0.2, picture), ListedRun(trained.info)])
    panel.view.selectRow(0)
    assert panel.picture.pixmap().width() == 150
    panel.view.selectRow(1)
    assert panel.picture.text() == "Not reconstructed yet"
    panel.resize(600, 200)
    assert panel.picture.isHidden()
