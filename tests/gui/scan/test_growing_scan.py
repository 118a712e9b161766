"""A scan that is still being written, in the window's views; and that these never wait for HDF5."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from h5py._objects import phil
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel

from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.source import ScanSource
from ptycho_gui.scan.scan_panel import ScanPanel
from tests.helpers import scan_files as files
from tests.helpers.growing_files import Writer
from tests.helpers.patience import PATIENCE_S


@pytest.fixture
def writer(tmp_path):
    with Writer(tmp_path / "live.cxi") as writing:
        writing.write(20)
        yield writing


def wait_for(qtbot, panel, index):
    title = panel.browser.view.plot.header.title
    qtbot.waitUntil(lambda: title.text() == f"<b>Pattern {index}</b>" and not panel.drawing)


def zoom(plot):
    """Turn the wheel over the middle of a plot."""
    middle = QPointF(plot.viewport().rect().center())
    place = QPointF(plot.viewport().mapToGlobal(middle.toPoint()))
    turn = QWheelEvent(
        middle,
        place,
        QPoint(),
        QPoint(0, 240),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(plot.viewport(), turn)


def test_a_refresh_adds_what_was_written_and_keeps_the_pattern_pan_and_zoom(qtbot, writer, panel, loader):
    loader.opened.connect(panel.show_scan)
    with qtbot.waitSignal(loader.opened):
        loader.open(ScanSource(writer.path))
    wait_for(qtbot, panel, 0)
    panel.select(7)
    wait_for(qtbot, panel, 7)
    plots = [panel.browser.view.plot.plot, panel.map.plot, panel.counts.plot]
    whole = [plot.plot_item.viewRange() for plot in plots]
    for plot in plots:
        zoom(plot)
    seen = [plot.plot_item.viewRange() for plot in plots]  # y of the map follows from x and the room it has
    assert all(now != before for now, before in zip(seen, whole, strict=True))
    writer.write(40)
    with qtbot.waitSignal(loader.opened):
        loader.reload()
    wait_for(qtbot, panel, 7)
    assert len(loader.looked.scan) == 40
    assert panel.browser.index == 7
    assert panel.browser.slider.maximum() == 39
    for plot, before in zip(plots, seen, strict=True):
        np.testing.assert_allclose(plot.plot_item.viewRange()[0], before[0])
    panel.select(39)
    wait_for(qtbot, panel, 39)
    np.testing.assert_array_equal(panel.browser.view.counts, files.counts(40)[39])


def test_a_refresh_of_a_view_that_was_not_moved_shows_all_that_there_is(qtbot, writer, panel):
    panel.show_scan(inspect(read_scan(writer.path)))
    wait_for(qtbot, panel, 0)
    before = panel.map.plot_item.viewRange()
    writer.write(40)
    panel.show_scan(inspect(read_scan(writer.path)))
    wait_for(qtbot, panel, 0)
    assert panel.map.plot_item.viewRange() != before


def test_another_scan_is_shown_whole(qtbot, writer, panel, tmp_path):
    panel.show_scan(inspect(read_scan(writer.path)))
    wait_for(qtbot, panel, 0)
    whole = panel.counts.plot_item.viewRange()
    zoom(panel.counts.plot)
    panel.show_scan(inspect(read_scan(files.write(tmp_path, "cxi"))))
    wait_for(qtbot, panel, 0)
    assert not panel.counts.plot.moved
    assert panel.counts.plot_item.viewRange() != whole


def test_the_scan_panel_says_that_the_file_is_still_being_written(qtbot, writer):
    panel = ScanPanel()
    qtbot.addWidget(panel)
    looked = inspect(read_scan(writer.path))
    panel.show_scan(looked)
    said = [label.text() for label in panel.problems.findChildren(QLabel)]
    assert any("still being written" in text for text in said)


@pytest.mark.parametrize("grows", [True, False])
def test_the_views_do_not_wait_while_another_thread_is_inside_hdf5(qtbot, writer, panel, grows):
    if not grows:
        writer.close()
    words = ScanPanel()
    qtbot.addWidget(words)
    first, second = inspect(read_scan(writer.path)), inspect(read_scan(writer.path))
    for looked in (first, second):
        looked.scan.patterns[0]
    panel.show_scan(first)
    wait_for(qtbot, panel, 0)
    inside, over = threading.Event(), threading.Event()

    def be_inside():
        with phil:
            inside.set()
            assert over.wait(PATIENCE_S), "the window's thread waited for HDF5"

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(be_inside)
        inside.wait()
        del first, looked
        for show in (panel.show_scan, words.show_scan):
            show(second)  # the first one is dropped with it
        for index in range(1, 12):
            panel.select(index)
            QApplication.processEvents()
        over.set()
        reading.result()
    wait_for(qtbot, panel, 11)


def test_a_file_that_another_program_changes_is_told_with_the_button_that_opens_it_again(qtbot, loader, tmp_path):
    panel, path = ScanPanel(), files.write(tmp_path, "cxi")
    qtbot.addWidget(panel)
    loader.opened.connect(panel.show_scan)
    loader.changed.connect(panel.show_change)
    panel.reload_requested.connect(loader.reload)
    with qtbot.waitSignal(loader.opened):
        loader.open(ScanSource(path))
    assert not panel.open_again.isVisibleTo(panel)
    with qtbot.assertNotEmitted(loader.changed, wait=0):
        loader.look_for_changes()
        qtbot.waitUntil(lambda: not loader._watching.busy)
    program = "import sys, h5py\nwith h5py.File(sys.argv[1], 'a') as file: file.attrs['written'] = 1"
    subprocess.run([sys.executable, "-c", program, path], check=True)
    with qtbot.waitSignal(loader.changed) as told:
        loader.look_for_changes()
    assert told.args == [f"{path} was written into since the scan was opened: open it again"]
    assert panel.open_again.isVisibleTo(panel)
    with qtbot.waitSignal(loader.opened):
        panel.open_again.click()
    assert not panel.open_again.isVisibleTo(panel)
    with qtbot.assertNotEmitted(loader.changed, wait=0):
        loader.look_for_changes()
        qtbot.waitUntil(lambda: not loader._watching.busy)


def test_it_looks_by_itself_as_long_as_a_scan_of_a_file_is_open(qtbot, loader, tmp_path):
    assert not loader._watch.isActive()
    with qtbot.waitSignal(loader.opened):
        loader.open(ScanSource(files.write(tmp_path, "cxi")))
    assert loader._watch.isActive()
    loader.shut_down()
    assert not loader._watch.isActive()
