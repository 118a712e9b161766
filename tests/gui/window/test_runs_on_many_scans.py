"""A run on several scans in the real window: begun, shown scan by scan, queued, and opened again."""

from __future__ import annotations

import dataclasses

import pytest

from ptycho_core.base.errors import Fix
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import read_run
from ptycho_core.runs.results import find_results
from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import simulate
from tests.helpers import specs
from tests.helpers.training_runs import SMALL

pytestmark = pytest.mark.usefixtures("quick_endings")


@pytest.fixture
def second(tmp_path):
    scan = simulate(dataclasses.replace(specs.SMALL, seed=4, n_patterns=49)).scan
    return write_scan(scan, tmp_path / "second.npz", "ptychopinn")


@pytest.fixture
def ready(with_scan, qtbot, tmp_path, second):
    """The window with a scan open, another one added, and a folder for the run."""
    with_scan.session.draft.load(SMALL)
    with_scan.panels.training.output_folder = tmp_path / "both"
    with_scan.panels.training.further.add_scans([second])
    draft = with_scan.session.draft
    qtbot.waitUntil(lambda: any(one.about for one in draft.further) and with_scan.commands["start"].isEnabled())
    return with_scan


def test_a_run_on_two_scans_ends_with_a_picture_of_each_in_its_place(ready, qtbot, tmp_path):
    with qtbot.waitSignal(ready.session.idle):
        ready.commands["start"].trigger()
    info, panels = read_run(tmp_path / "both"), ready.panels
    assert info.scan_names == ["scan.npz", "second.npz"]
    first, second = (info.folder_of_scan(place) for place in (0, 1))
    assert [len(find_results(place)) for place in (first, second)] == [1, 1]
    scans = panels.checkpoints.scans
    assert [scans.itemText(row) for row in range(scans.count())] == info.scan_names
    assert ready.session.shown.folder == first
    tabs = panels.curves.tabs
    assert "Scans" in [tabs.tabText(tab).replace("&", "") for tab in range(tabs.count())]
    assert ready.session.shown.reconstruction.name == "scan"
    with qtbot.waitSignal(ready.session.shown.scan_shown):
        scans.activated.emit(1)
    assert (ready.session.shown.folder, scans.currentText()) == (second, "second.npz")
    assert ready.session.shown.reconstruction.name == "second"
    with qtbot.waitSignal(ready.session.idle):
        ready.commands["unpolished"].trigger()
    assert [len(find_results(place)) for place in (first, second)] == [1, 2]
    assert ready.session.shown.folder == second
    with qtbot.waitSignal(ready.session.shown.scan_shown):
        scans.activated.emit(0)
    with qtbot.waitSignal(ready.session.idle):
        panels.object.verdict.action_chosen.emit(Fix("the direct engine", "engine", "direct"))
    alone = read_run(ready.session.shown.run.folder)
    assert (alone.config.engine, alone.scan_names) == ("direct", ["scan.npz"])


def test_the_scan_whose_picture_is_shown_is_chosen_while_the_run_goes_on(ready, qtbot, tmp_path, monkeypatch):
    session, panels = ready.session, ready.panels
    session.draft.load({**SMALL, "max_epochs": 100_000, "early_stop_patience": 0, "preview_seconds": 1e-3})
    ready.commands["start"].trigger()
    qtbot.waitUntil(lambda: bool(session.shown.run) and len(session.shown.run.history.epochs) > 0)
    with qtbot.waitSignal(session.shown.scan_shown):
        panels.checkpoints.scans.activated.emit(1)
    shown, show = [], panels.object.show_preview
    monkeypatch.setattr(panels.object, "show_preview", lambda preview: shown.append(preview.scan) or show(preview))
    qtbot.waitUntil(lambda: len(shown) > 2)
    assert set(shown) == {1}
    assert panels.run_bar.state.startswith("All 2 scans together. ")
    qtbot.waitUntil(lambda: "Live, second.npz" in panels.object.title.text())
    states = []
    session.trained.connect(lambda info: states.append(panels.run_bar.state))
    with qtbot.waitSignal(session.idle):
        session.stop()
    assert states[0].startswith("Stopped")
    assert session.shown.folder == read_run(tmp_path / "both").folder_of_scan(1)
    assert session.shown.reconstruction.name == "second"


def test_the_queue_carries_all_scans_and_a_run_that_is_opened_again_names_them_in_the_form(
    ready, qtbot, tmp_path, second
):
    session = ready.session
    ready.commands["enqueue"].trigger()
    qtbot.waitUntil(lambda: session.queue.waiting == 1)
    assert session.queue.data(session.queue.index(0, 1)) == "scan.npz and 1 more"
    ready.panels.training.further.set_scans(session.loader.source.path, ())
    with qtbot.waitSignal(session.idle):
        session.start_queue()
    assert read_run(tmp_path / "both").scan_names == ["scan.npz", "second.npz"]
    with qtbot.waitSignal(session.loader.opened):
        session.loader.open(ScanSource(second))  # what another open scan has beside it is none of the run's
    with qtbot.waitSignals([session.shown.run_opened, session.loader.opened]):
        session.open_run(tmp_path / "both")
    qtbot.waitUntil(lambda: [one.path for one in session.draft.further if one.about] == [second])
    assert session.why_not_start() is None
