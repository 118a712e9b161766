"""The window says of every bad file what is wrong, keeps the scan that was open, and offers the ways out."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest
from PySide6.QtWidgets import QLabel, QPushButton

from ptycho_core.scan.source import ScanSource
from ptycho_gui.scan.scan_loader import ScanLoader
from ptycho_gui.scan.scan_panel import ScanPanel
from tests.helpers import scan_files as files
from tests.helpers.bad_files import BAD_FILES


@pytest.fixture
def make(tmp_path, monkeypatch):
    with ExitStack() as stack:
        yield lambda name: BAD_FILES[name].make(tmp_path, monkeypatch, stack)


@pytest.fixture
def loader(qtbot):
    loader = ScanLoader()
    yield loader
    loader.shut_down()


@pytest.fixture
def panel(qtbot, loader):
    panel = ScanPanel()
    qtbot.addWidget(panel)
    panel.show()
    loader.opened.connect(panel.show_scan)
    loader.failed.connect(panel.show_error)
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
