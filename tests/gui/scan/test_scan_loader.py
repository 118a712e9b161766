"""The window says of every bad file what is wrong, keeps the scan that was open, and offers the ways out."""

from __future__ import annotations

import re
from contextlib import ExitStack

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QLineEdit, QPushButton

from ptycho_core.scan.source import ScanSource
from ptycho_gui.scan.scan_panel import ScanPanel
from tests.helpers import scan_files as files
from tests.helpers.bad_files import BAD_FILES
from tests.helpers.beamline_files import BEAMLINES


@pytest.fixture
def make(tmp_path, monkeypatch):
    with ExitStack() as stack:
        yield lambda name: BAD_FILES[name].make(tmp_path, monkeypatch, stack)


@pytest.fixture
def panel(put_up, loader):
    panel = put_up(ScanPanel())
    loader.opened.connect(panel.show_scan)
    loader.failed.connect(panel.show_error)
    loader.advised.connect(panel.show_ways_out)
    panel.retry_requested.connect(loader.try_again)
    return panel


def shown(panel, kind):
    return [one.text() for one in panel.findChildren(kind) if one.isVisibleTo(panel)]


@pytest.mark.parametrize("name", [name for name, bad in BAD_FILES.items() if bad.fixes is None])
def test_a_file_that_cannot_be_read_is_told_in_the_panel_and_leaves_the_scan_as_it_was(
    qtbot, loader, panel, make, tmp_path_factory, name
):
    good = files.write(tmp_path_factory.mktemp("good"), "plain-npz")
    with qtbot.waitSignal(loader.opened):
        loader.open(ScanSource(good))
    path = make(name)
    with qtbot.waitSignal(loader.failed) as failed, qtbot.assertNotEmitted(loader.opened):
        loader.open(ScanSource(path))
    sentence, file = failed.args
    assert sentence.startswith(str(path))
    assert file == str(path)
    assert "\n" not in sentence
    assert re.search(BAD_FILES[name].words, sentence)
    assert sentence in "".join(shown(panel, QLabel)).replace("\u200b", "")
    assert loader.looked.scan.source.path == good


@pytest.mark.parametrize("name", [name for name, bad in BAD_FILES.items() if bad.fixes is not None])
def test_what_is_wrong_with_a_scan_is_told_in_the_panel_with_a_button_for_each_way_out(
    qtbot, loader, panel, make, name
):
    bad = BAD_FILES[name]
    with qtbot.waitSignal(loader.opened) as opened:
        loader.open(ScanSource(make(name)))
    (problem,) = [problem for problem in opened.args[0].problems if re.search(bad.words, problem.message)]
    assert problem.severity == bad.severity
    assert problem.message in "".join(shown(panel, QLabel)).replace("\u200b", "")
    buttons = [text.lower() for text in shown(panel, QPushButton)]
    assert all(fix.label.lower() in buttons for fix in problem.fixes)
    assert {(fix.field, fix.value) for fix in problem.fixes} >= set(bad.fixes)


def buttons(panel):
    return {one.text(): one for one in panel.findChildren(QPushButton) if one.isVisibleTo(panel)}


def test_a_file_that_cannot_be_read_has_a_button_for_each_way_out_and_it_helps(qtbot, loader, panel, tmp_path):
    counts = files.counts().astype(np.float32)
    counts[3, 4, 5] = np.nan
    path = files.npz(tmp_path / "a.npz", **{**files.plain_arrays(), "patterns": counts})
    with qtbot.waitSignal(loader.advised):
        loader.open(ScanSource(path))
    assert {"Leave these pixels out", "Leave these patterns out"} <= buttons(panel).keys()
    with qtbot.waitSignal(loader.opened) as opened:
        buttons(panel)["Leave these pixels out"].click()
    assert opened.args[0].scan.source.settings == {"bad_pixels": "mask"}
    assert "Leave these pixels out" not in buttons(panel)


def test_a_number_that_only_the_operator_knows_is_typed_below_the_sentence(qtbot, loader, panel, tmp_path):
    path = files.npz(tmp_path / "a.npz", **files.plain_arrays())
    with qtbot.waitSignal(loader.advised):
        loader.open(ScanSource(path, settings={"position_unit": "um"}))
    lines = {one.accessibleName(): one for one in panel.findChildren(QLineEdit) if one.isVisibleTo(panel)}
    assert "Object pixel in nm" in lines
    with qtbot.waitSignal(loader.opened) as opened:
        qtbot.keyClicks(lines["Object pixel in nm"], "200")
        qtbot.keyClick(lines["Object pixel in nm"], Qt.Key.Key_Return)
    assert opened.args[0].scan.pixel_size_m == pytest.approx((200e-9, 200e-9))
    np.testing.assert_allclose(opened.args[0].scan.positions, files.positions() / 0.2)


def test_a_problem_is_put_right_by_the_step_on_its_button(qtbot, loader, tmp_path):
    path = files.npz(tmp_path / "a.npz", **{**files.plain_arrays(), "patterns": files.counts() + 100})
    with qtbot.waitSignal(loader.opened) as opened:
        loader.open(ScanSource(path))
    (problem,) = opened.args[0].problems
    with qtbot.waitSignal(loader.opened) as again:
        loader.fix(problem.fixes[0])
    assert again.args[0].problems == ()
    assert [step.name for step in again.args[0].scan.source.steps] == ["pedestal"]


def test_a_beamlines_file_opens_at_once_and_the_panel_has_what_it_leaves_open(qtbot, loader, panel, tmp_path):
    beamline = BEAMLINES["esrf-id13"]
    path, _ = beamline.write(tmp_path, files.TINY)
    with qtbot.waitSignal(loader.opened):
        loader.open(ScanSource(path, settings=beamline.answers))
    assert loader.source.format == "esrf-id13"
    with qtbot.waitSignal(loader.opened):
        loader.answer("scan_index", "2.1")
    np.testing.assert_array_equal(loader.looked.scan.patterns[:], files.counts()[::-1])
    with qtbot.waitSignal(loader.opened):
        loader.withdraw("scan_index")
    assert loader.source.settings == {key: value for key, value in beamline.answers.items() if key != "scan_index"}


def test_a_master_without_positions_offers_a_mapping_and_the_step_of_a_raster(qtbot, loader, panel, tmp_path):
    beamline = BEAMLINES["dectris-raster"]
    path, _ = beamline.write(tmp_path, files.TINY)
    with qtbot.waitSignals([loader.failed, loader.unknown]):
        loader.open(ScanSource(path, settings={"columns": beamline.answers["columns"]}))
    lines = {one.accessibleName(): one for one in panel.findChildren(QLineEdit) if one.isVisibleTo(panel)}
    with qtbot.waitSignal(loader.opened) as opened:
        qtbot.keyClicks(lines["Raster step in nm"], "1300")
        qtbot.keyClick(lines["Raster step in nm"], Qt.Key.Key_Return)
    y, x = opened.args[0].scan.positions[5]
    assert (y, x) == pytest.approx((1.3e-6 / files.PIXEL_M, 1.3e-6 / files.PIXEL_M))
