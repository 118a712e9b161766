"""The mapping dialog: it guesses, shows what comes of it, says what is wrong, and keeps what was found."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPointF, Qt
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QDialog, QFileDialog, QLabel

from ptycho_core.formats import read_scan
from ptycho_core.formats.mapping.layout import layout
from ptycho_core.formats.mapping.proposal import propose_file
from ptycho_core.formats.mapping.shipped_mappings import fits, shipped_readers
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.scan.mapping import read_mapping
from ptycho_gui.map_file.file_tree import FileTreeModel
from ptycho_gui.map_file.mapping_dialog import MappingDialog
from tests.helpers import scan_files as files
from tests.helpers.beamline_files import BEAMLINES
from tests.helpers.scan_files import lab_file

M = files.TINY


@pytest.fixture
def path(tmp_path) -> Path:
    return lab_file(tmp_path / "scan.h5")


@pytest.fixture
def make(qtbot, tmp_path):
    def make(path: Path) -> MappingDialog:
        dialog = MappingDialog(path, folder=tmp_path / "mappings")
        qtbot.addWidget(dialog, before_close_func=MappingDialog.shut_down)
        dialog.show()
        return dialog

    return make


def settle(qtbot, dialog: MappingDialog, words: str) -> None:
    qtbot.waitUntil(lambda: words in dialog.status.text())


@pytest.fixture
def dialog(qtbot, make, path) -> MappingDialog:
    dialog = make(path)
    settle(qtbot, dialog, "can be opened")
    return dialog


def problems(dialog: MappingDialog) -> str:
    return " ".join(
        label.text() for label in dialog.form.findChildren(QLabel) if label.isVisible() and "⚠" in label.text()
    )


def find(model: FileTreeModel, key: str, parent: QModelIndex = QModelIndex()) -> QModelIndex:  # noqa: B008
    for row in range(model.rowCount(parent)):
        index = model.index(row, 0, parent)
        if model.key(index) == key:
            return index
        below = find(model, key, index)
        if below.isValid():
            return below
    return QModelIndex()


def use(dialog: MappingDialog, key: str, role: str) -> None:
    dialog.tree.setCurrentIndex(find(dialog.model, key))
    next(action for action in dialog.use.menu().actions() if action.data() == role).trigger()


def test_file_tree_is_a_sound_model(qtmodeltester, path):
    with open_store(path) as store:
        root = layout(store)
    model = FileTreeModel()
    model.show([("scan.h5", root), ("again.h5", root)])
    qtmodeltester.check(model)
    index = find(model, "entry/eiger/distance@units")
    assert [index.siblingAtColumn(column).data() for column in range(4)] == ["@units", "", "attribute", "mm"]
    assert model.key(index.parent()) == "entry/eiger/distance"
    assert model.mimeData([index]).text() == "entry/eiger/distance@units"
    assert not model.is_positions(index)


def test_guess_is_filled_in_and_shown_at_once(dialog, path):
    assert dialog.open_button.isEnabled()
    assert dialog.form.key_field("patterns").key == "entry/eiger/frames"
    np.testing.assert_allclose(dialog.places.positions, M.positions, atol=1e-6)
    assert "12 patterns of 16 x 16 pixels" in dialog.status.text()
    dialog.open_button.click()
    assert dialog.result() == QDialog.DialogCode.Accepted
    assert dialog.mapping() == propose_file(path).mapping
    assert dialog.positions_file() is None


def test_previews_follow_what_is_chosen(qtbot, dialog):
    dialog.form.coordinates["x"].multiplier.setText("-1")
    assert not dialog.open_button.isEnabled()
    qtbot.waitUntil(dialog.open_button.isEnabled)
    np.testing.assert_allclose(dialog.places.positions, M.positions * (1, -1), atol=1e-6)


def test_problem_is_said_below_the_fields_that_it_is_about(qtbot, dialog):
    dialog.form.key_field("y").say("entry/scan/stage_z")
    settle(qtbot, dialog, "Not a scan yet")
    assert "has no key 'entry/scan/stage_z'" in problems(dialog)
    assert not dialog.open_button.isEnabled()
    assert dialog.pattern.counts is not None  # what can be shown still is
    dialog.form.key_field("y").say("")
    qtbot.waitUntil(lambda: "Choose the arrays with y and x" in problems(dialog))
    dialog.form.key_field("y").say("entry/scan/stage_y")
    settle(qtbot, dialog, "can be opened")
    assert problems(dialog) == ""


def test_what_an_answer_puts_right_is_asked_about_once_the_scan_is_opened(qtbot, make, path):
    with h5py.File(path, "r+") as file:
        counts = file["entry/eiger/frames"][:].astype(np.float32)
        counts[0, 0, 2, 3] = np.nan
        del file["entry/eiger/frames"]
        file["entry/eiger/frames"] = counts
    dialog = make(path)
    settle(qtbot, dialog, "and the panel Scan asks then")
    assert "Bad values" in dialog.status.text()
    assert dialog.open_button.isEnabled()


def test_multiplier_that_is_no_number_is_a_problem(qtbot, dialog):
    dialog.form.coordinates["y"].multiplier.setText("minus one")
    qtbot.waitUntil(lambda: "positions.y.multiplier must be a number" in problems(dialog))


def test_constant_is_taken_as_well_as_an_array(qtbot, dialog):
    dialog.form.key_field("energy").say("12.5")
    settle(qtbot, dialog, "can be opened")
    assert dialog.mapping().energy.value == 12.5
    assert dialog.mapping().energy.unit == "keV"


def test_selected_array_is_used_by_menu_and_dropped_array_by_mouse(qtbot, dialog):
    use(dialog, "entry/eiger/dark_frames", "patterns")
    assert dialog.form.key_field("patterns").key == "entry/eiger/dark_frames"
    mime = QMimeData()
    mime.setText("entry/eiger/frames")
    drop = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    dialog.form.key_field("patterns").dropEvent(drop)
    settle(qtbot, dialog, "can be opened")
    assert dialog.mapping().patterns == "entry/eiger/frames"
    dialog.tree.setCurrentIndex(dialog.model.index(0, 0))
    assert not dialog.use.isEnabled()
    assert "Select an array" in dialog.use.toolTip()


def test_array_of_pairs_is_used_by_its_columns(qtbot, make, tmp_path):
    np.savez(tmp_path / "a.npz", frames=M.counts, motors=M.positions, elsewhere=M.positions + 1)
    dialog = make(tmp_path / "a.npz")
    settle(qtbot, dialog, "can be opened")
    use(dialog, "elsewhere", "y")
    use(dialog, "elsewhere", "x")
    assert (dialog.form.key_field("y").key, dialog.form.key_field("x").key) == ("elsewhere[0]", "elsewhere[1]")


def test_positions_of_their_own_file(qtbot, make, tmp_path):
    np.savez(tmp_path / "a.npz", frames=M.counts)
    rows = [f"{i},{y:.12g},{x:.12g}" for i, (y, x) in enumerate(M.positions)]
    (tmp_path / "p.csv").write_text("\n".join(["frame,y,x", *rows[:-2]]))
    dialog = make(tmp_path / "a.npz")
    settle(qtbot, dialog, "Not a scan yet")
    assert "another file" in problems(dialog)
    dialog.use_positions_file(tmp_path / "p.csv")
    settle(qtbot, dialog, "can be opened")
    assert "left out 2 patterns whose index has no position" in dialog.remarks.toPlainText()
    assert dialog.model.is_positions(find(dialog.model, "frame"))
    dialog.accept()
    scan = read_scan(tmp_path / "a.npz", positions_file=dialog.positions_file(), mapping=dialog.mapping())
    np.testing.assert_allclose(scan.positions, M.positions[:-2], atol=1e-9)


def test_saved_mapping_is_offered_for_the_same_layout(qtbot, make, dialog, tmp_path):
    assert not dialog.save.isEnabled()
    assert "name" in dialog.save.toolTip()
    dialog.form.coordinates["y"].multiplier.setText("-1")
    dialog.name.setText("Beamline 5")
    qtbot.waitUntil(dialog.save.isEnabled)
    dialog.save.click()
    settle(qtbot, dialog, "Saved as Beamline 5")
    again = make(lab_file(tmp_path / "next.h5"))
    settle(qtbot, again, "can be opened")
    assert again.saved.currentText() == "Beamline 5"
    assert again.form.coordinates["y"].multiplier.text() == "-1"
    again.saved.setCurrentIndex(0)
    again.saved.activated.emit(0)
    qtbot.waitUntil(lambda: again.form.coordinates["y"].multiplier.text() == "1")


def test_mapping_is_exported_for_the_command_line_and_loaded(qtbot, monkeypatch, dialog, tmp_path):
    target = tmp_path / "map.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(target), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(target), ""))
    dialog.export.click()
    settle(qtbot, dialog, "Written to")
    mapping = read_mapping(target)
    assert mapping == dialog.mapping()
    target.write_text(json.dumps({**mapping.to_dict(), "settings": {"dc": "centre"}}))
    dialog.load.click()
    qtbot.waitUntil(lambda: dialog.open_button.isEnabled() and dialog.mapping().settings == {"dc": "centre"})


def test_file_that_cannot_be_read_is_said_in_a_sentence(qtbot, make, tmp_path):
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    dialog = make(tmp_path / "a.h5")
    settle(qtbot, dialog, "cannot be opened as HDF5")
    assert not dialog.open_button.isEnabled()


def test_closing_in_the_middle_of_a_preview_leaves_nothing_running(make, path):
    dialog = make(path)
    dialog.form.key_field("patterns").say("entry/eiger/frames")
    dialog.reject()
    assert not dialog.isVisible()


def test_a_raster_is_told_by_its_step(qtbot, make, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = M.counts
    dialog = make(tmp_path / "a.h5")
    qtbot.waitUntil(lambda: dialog.form.keys["patterns"].key == "frames")
    for axis, key, step in (("y", "#line", "1.5"), ("x", "#column", "2")):
        dialog.form.coordinates[axis].field.say(key)
        dialog.form.coordinates[axis].multiplier.setText(step)
    dialog.form.raster.setText("3 x 4")
    settle(qtbot, dialog, "can be opened")
    mapping = dialog.form.partial_mapping().mapping
    assert (mapping.positions.lines, mapping.positions.columns) == (3, 4)
    positions = read_scan(tmp_path / "a.h5", mapping=mapping).positions
    np.testing.assert_allclose(positions[5], (1.5, 2.0))
    dialog.form.say(mapping)
    assert dialog.form.partial_mapping().mapping == mapping


def test_a_guess_is_one_until_the_operator_changes_it(dialog):
    guessed = dialog.form.partial_mapping().mapping.guessed
    assert "position_unit" in guessed
    dialog.form.coordinates["y"].say_unit("nm")
    dialog.form.coordinates["x"].say_unit("nm")
    assert set(dialog.form.partial_mapping().mapping.guessed) == set(guessed) - {"position_unit"}


# Shipped mappings


def test_a_shipped_mapping_that_a_file_is_like_is_chosen_first_and_opens_it_by_one_click(qtbot, make, tmp_path):
    beamline = BEAMLINES["max4-nanomax"]
    path, _ = beamline.write(tmp_path, M)
    dialog = make(path)
    qtbot.waitUntil(lambda: dialog.saved.currentText() == "MAX IV NanoMAX")
    qtbot.waitUntil(lambda: dialog.form.keys["patterns"].key == "entry/measurement/eiger1m/frames")
    mapping = dialog.form.partial_mapping().mapping
    np.testing.assert_array_equal(read_scan(path, mapping=mapping, settings=beamline.answers).patterns[:], M.counts)


def test_what_a_shipped_mapping_says_goes_through_the_form_unchanged(qtbot, make, tmp_path):
    for name in ("aps-velociprobe", "petra3-p06", "dectris-raster"):
        (folder := tmp_path / name).mkdir()
        path, positions = BEAMLINES[name].write(folder, M)
        dialog = make(path)
        qtbot.waitUntil(lambda dialog=dialog: dialog.saved.count() > 1)
        if positions:
            dialog.use_positions_file(positions)
            qtbot.waitUntil(lambda dialog=dialog: dialog.model.rowCount() == 2)
        title = shipped_readers()[name].shipped.title
        qtbot.waitUntil(lambda dialog=dialog, title=title: dialog.saved.findText(title) > 0)
        dialog.saved.setCurrentText(title)
        dialog.saved.activated.emit(dialog.saved.currentIndex())
        with open_store(path) as store, open_store(positions or path, tables=True) as other:
            (fit,) = fits(shipped_readers()[name].shipped, store, other if positions else None)
        assert dialog.form.partial_mapping().mapping == fit.mapping
