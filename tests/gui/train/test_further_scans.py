"""Scans that are trained on together with the open one: what is told of each, and where they go."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from ptycho_core import cli
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.steps import Crop
from ptycho_core.simulation import simulate
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.training_panel import TrainingPanel
from tests.helpers import specs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scans that go together, one of another size, one twice, one that is none, and a list."""
    folder = tmp_path_factory.mktemp("scans")
    for seed, (name, size) in enumerate((("a", 16), ("b", 16), ("c", 16), ("wide", 32))):
        scan = simulate(dataclasses.replace(specs.SMALL, seed=seed, size=size)).scan
        write_scan(scan, folder / f"{name}.npz", "ptychopinn")
    (folder / "copy.npz").write_bytes((folder / "a.npz").read_bytes())
    (folder / "damaged.npz").write_bytes(b"PK no zip")
    (folder / "list.txt").write_text("a.npz\nb.npz  # the better one\nc.npz\n")
    return folder


@pytest.fixture
def draft(qapp):
    return Draft()


@pytest.fixture
def panel(qtbot, put_up, draft, folder):
    panel = put_up(TrainingPanel(draft), 500, 900)
    with qtbot.waitSignal(panel.output_folder_changed):
        draft.set_scan(inspect(read_scan(folder / "a.npz")))
    return panel


def add(qtbot, panel, *named):
    panel.further.add_scans(named)
    qtbot.waitUntil(lambda: bool(told(panel)) and "being looked at…" not in told(panel).values())


def told(panel):
    rows = panel.further.view.model()
    return {rows.item(row, 0).text(): rows.item(row, 1).text() for row in range(rows.rowCount())}


def test_each_is_told_as_what_it_is_and_what_does_not_fit_keeps_a_run_from_starting(qtbot, panel, draft, folder):
    add(qtbot, panel, folder)
    found = told(panel)
    assert found.keys() == {"b.npz", "c.npz", "wide.npz", "copy.npz", "damaged.npz"}  # the open one is there already
    assert found["b.npz"] == "36 patterns of 16 x 16 pixels, with a probe"
    assert found["wide.npz"].startswith("its patterns have 32 pixels a side, those of a.npz 16")
    assert found["copy.npz"].startswith("it holds the patterns of a.npz")
    assert "damaged.npz" in found["damaged.npz"]
    assert panel.further.fold.button.text() == "Train with further scans: 5, 3 to put right"
    assert draft.reason_not_to_start().startswith("copy.npz: it holds the patterns of a.npz")
    panel.further.view.selectAll()
    panel.further.remove.trigger()
    assert (told(panel), draft.reason_not_to_start()) == ({}, None)


def test_a_list_names_scans_and_the_command_that_is_copied_reads_them_all_alike(
    qtbot, panel, draft, folder, monkeypatch
):
    draft.set_scan(inspect(preprocess(draft.looked.scan, (Crop(12),))))
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: ([str(folder / "list.txt")], ""))
    panel.further.add.trigger()
    qtbot.waitUntil(lambda: "12 x 12 pixels" in told(panel).get("c.npz", ""))
    panel.copy.click()
    qtbot.waitUntil(lambda: panel.done.text().startswith("Copied"))
    args = cli.parse(shlex.split(QGuiApplication.clipboard().text())[1:])
    assert args.train_data_file == [folder / name for name in ("a.npz", "b.npz", "c.npz")]
    assert args.steps == (Crop(12),)


def test_they_are_looked_at_again_as_the_open_scan_is_prepared_otherwise_and_gone_with_it(qtbot, panel, draft, folder):
    scan = draft.looked.scan
    add(qtbot, panel, folder / "b.npz", folder / "wide.npz")
    assert "wide.npz" in draft.reason_not_to_start()
    draft.set_scan(inspect(preprocess(scan, (Crop(16),))))
    qtbot.waitUntil(lambda: draft.reason_not_to_start() is None)
    draft.set_scan(inspect(read_scan(folder / "c.npz")))
    assert told(panel) == {}


def test_an_engine_that_fits_one_scan_says_so(qtbot, panel, draft, folder):
    add(qtbot, panel, folder / "b.npz")
    draft.set("engine", "direct")
    assert draft.reason_not_to_start().startswith("the direct engine fits one scan, and 2 are given")


def test_what_is_no_list_is_said(qtbot, panel, tmp_path):
    (tmp_path / "list.txt").write_text("# nothing yet\n")
    panel.further.add_scans([tmp_path / "list.txt"])
    qtbot.waitUntil(lambda: "names none" in panel.further.note.text)
