"""The queue and its panel."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, Qt

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.runs.queue import Queue, QueuedRun, QueueState
from ptycho_core.scan.source import ScanSource
from ptycho_gui.runs.queue import RunQueue
from ptycho_gui.runs.queue_panel import QueuePanel


def queued(name):
    return QueuedRun(ScanSource(Path(f"/data/{name}.npz")), {"preset": "quick"}, Path(f"/out/{name}"))


@pytest.fixture
def queue():
    queue = RunQueue()
    for name in "abc":
        queue.add(queued(name))
    return queue


@pytest.fixture
def panel(qtbot, queue):
    panel = QueuePanel(queue)
    qtbot.addWidget(panel)
    with qtbot.waitActive(panel):  # keys work in the active window
        panel.show()
    return panel


def names(queue):
    return [queue.index(row, 1).data() for row in range(queue.rowCount())]


def states(queue):
    return [queue.state(row) for row in range(queue.rowCount())]


def test_the_queue_is_a_sound_qt_model(queue, qtmodeltester):
    qtmodeltester.check(queue)
    queue.move(0, 2)
    queue.remove(1)
    queue.next()
    qtmodeltester.check(queue)


def test_settings_and_remarks_share_the_room_that_is_left(panel):
    panel.resize(1400, 300)
    header, names = (
        panel.view.horizontalHeader(),
        [panel.queue.headerData(c, Qt.Orientation.Horizontal) for c in range(5)],
    )
    width = dict(zip(names, map(header.sectionSize, range(5)), strict=True))
    assert sum(width.values()) == panel.view.viewport().width()
    assert min(width["Settings"], width["Remark"]) > max(width["State"], width["Scan"], width["Output folder"])
    assert panel.queue.index(0, 2).data() == "Preset quick"


def test_runs_are_taken_one_at_a_time_in_their_order(queue):
    first = queue.next()
    assert first.run == queued("a")
    assert queue.next() is None
    queue.end(first, QueueState.DONE, "all epochs are done")
    assert queue.next().run == queued("b")
    assert states(queue) == ["done", "running", "waiting"]


def test_a_failure_is_marked_with_its_reason_and_the_rest_goes_on(queue):
    queue.end(queue.next(), QueueState.FAILED, "the scan has gone")
    assert queue.index(0, 0).data() == "Failed"
    assert queue.index(0, 4).data() == "the scan has gone"
    queue.end(queue.next(), QueueState.SKIPPED, "cancelled by the operator")
    assert queue.next().run == queued("c")
    assert states(queue) == ["failed", "skipped", "running"]


def test_two_runs_that_are_to_be_done_cannot_share_an_output_folder(queue):
    with pytest.raises(InputError, match="another run in the queue writes into /out/a"):
        queue.add(queued("a"))
    queue.end(queue.next(), QueueState.DONE, "")
    queue.add(queued("a"))
    assert states(queue) == ["done", "waiting", "waiting", "waiting"]


def test_only_runs_that_wait_change_places(queue):
    queue.move(0, 2)
    assert names(queue) == ["b.npz", "c.npz", "a.npz"]
    queue.next()
    queue.move(1, 0)
    queue.move(0, 1)
    assert names(queue) == ["b.npz", "c.npz", "a.npz"]
    queue.move(2, 1)
    assert names(queue) == ["b.npz", "a.npz", "c.npz"]


@pytest.mark.parametrize(
    ("row", "before", "order"), [(0, 3, "bca"), (0, -1, "bca"), (2, 0, "cab"), (0, 2, "bac"), (1, 1, "abc")]
)
def test_a_row_that_is_dragged_comes_to_lie_where_it_is_dropped(queue, row, before, order):
    data = queue.mimeData([queue.index(row, 0)])
    queue.dropMimeData(data, Qt.DropAction.MoveAction, before, 0, QModelIndex())
    assert names(queue) == [f"{name}.npz" for name in order]


def test_what_is_dropped_from_elsewhere_changes_nothing(queue):
    data = QMimeData()
    data.setText("scan.npz")
    assert not queue.dropMimeData(data, Qt.DropAction.MoveAction, 0, 0, QModelIndex())
    assert names(queue) == ["a.npz", "b.npz", "c.npz"]


def test_the_run_at_work_cannot_be_removed(queue, panel):
    queue.next()
    queue.remove(0)
    assert queue.rowCount() == 3
    panel.view.selectRow(0)
    assert not panel.remove.isEnabled()
    assert "at work" in panel.remove.toolTip()


def test_buttons_and_keys_reorder_and_remove_the_selected_run(queue, panel, qtbot):
    panel.view.selectRow(2)
    panel.up.trigger()
    assert names(queue) == ["a.npz", "c.npz", "b.npz"]
    panel.up.trigger()
    assert names(queue)[0] == "c.npz"  # the selection went with it
    assert not panel.up.isEnabled()
    qtbot.keyClick(panel.view, Qt.Key.Key_Delete)
    assert names(queue) == ["a.npz", "b.npz"]


def test_running_and_pausing_are_offered_when_they_make_sense(queue, panel, qtbot):
    assert panel.run.isEnabled()
    assert not panel.pause.isEnabled()
    with qtbot.waitSignal(panel.run_requested):
        panel.run.trigger()
    panel.set_active(True)
    assert not panel.run.isEnabled()
    with qtbot.waitSignal(panel.pause_requested):
        panel.pause.trigger()
    panel.set_active(False)
    for _ in range(3):
        queue.end(queue.next(), QueueState.DONE, "")
    assert panel.run.toolTip().endswith("Not now: No run waits.")


def test_why_nothing_can_be_added_or_run_is_said(panel, qtbot):
    panel.set_allowed("Open a scan first.", "Something is running: stop it first.")
    assert panel.add.toolTip().endswith("Not now: Open a scan first.")
    assert panel.run.toolTip().endswith("Not now: Something is running: stop it first.")
    panel.set_allowed(None, None)
    with qtbot.waitSignal(panel.add_requested):
        panel.add.trigger()


def test_what_another_program_does_with_the_queue_is_shown(qtbot, tmp_path):
    model, other = RunQueue(path=tmp_path / "queue.json"), Queue(tmp_path / "queue.json")
    other.add(queued("a"))
    qtbot.waitUntil(lambda: names(model) == ["a.npz"])
    taken = other.take()
    qtbot.waitUntil(lambda: states(model) == ["running"])
    other.end(taken.key, QueueState.DONE, "all epochs are done")
    qtbot.waitUntil(lambda: states(model) == ["done"])


def test_a_damaged_queue_is_said_and_left_as_it_is(tmp_path):
    (tmp_path / "queue.json").write_text("{")
    model = RunQueue(path=tmp_path / "queue.json")
    assert "is not JSON" in model.problem
    model.add(queued("a"))
    assert (tmp_path / "queue.json").read_text() == "{"


def test_a_change_that_cannot_be_written_is_said_and_not_made(queue, monkeypatch):
    def refuse(*arguments):
        raise PtychoError("the queue is held by another program: try again")

    said, before = [], names(queue)
    queue.refused.connect(said.append)
    for name in ("move", "remove", "take"):
        monkeypatch.setattr(Queue, name, refuse)
    queue.move(0, 1)
    queue.remove(0)
    assert queue.next() is None
    assert said == ["the queue is held by another program: try again"] * 3
    assert names(queue) == before
