"""What is done with results from the window: exports, applying a checkpoint, overlays, deletions, saved scans."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QDialog, QFileDialog

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import read_reconstruction, write_scan
from ptycho_core.runs.note import Note, read_note, write_note
from ptycho_core.runs.previews import PreviewKeeper
from ptycho_core.scan.source import ScanSource
from ptycho_gui.apply.apply_dialog import Application, ApplyDialog
from ptycho_gui.apply.watch_dialog import WatchDialog
from ptycho_gui.map_file.mapping_dialog import MappingDialog
from ptycho_gui.result.export_checkpoint_dialog import ExportCheckpointDialog
from ptycho_gui.result.export_reconstruction_dialog import ExportReconstructionDialog
from ptycho_gui.runs.note_dialog import NoteDialog
from tests.helpers.reconstructions import preview
from tests.helpers.training_runs import SCAN, Training

pytestmark = pytest.mark.usefixtures("quick_endings")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a real run whose scan is in a file."""
    folder = tmp_path_factory.mktemp("trained")
    scan = read_scan(write_scan(SCAN, folder / "scan.npz", "ptychopinn"))
    return Training(folder / "out").go(scan=scan, checkpoint_save_top_k=2).folder


@pytest.fixture
def window(window, qtbot, trained):
    """The window with a finished run open."""
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_path(trained)
    qtbot.waitUntil(lambda: not window.session.loader.busy)
    return window


def accepting(monkeypatch, dialog, change=lambda dialog: None):
    """Let a dialog be accepted as soon as it is shown, after a change to what it proposes."""

    def exec_(self):
        change(self)
        self.done(QDialog.DialogCode.Accepted)
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(dialog, "exec", exec_)


def said(window, qtbot, text):
    qtbot.waitUntil(lambda: text in window.panels.message_bar.text)


def test_the_best_checkpoint_is_exported_where_the_dialog_says_and_the_window_says_where(
    window, qtbot, tmp_path, monkeypatch
):
    target = tmp_path / "elsewhere" / "model.zip"
    target.parent.mkdir()
    accepting(monkeypatch, ExportCheckpointDialog, lambda dialog: dialog.file.field.set_path(target))
    window.commands["export_checkpoint"].trigger()
    said(window, qtbot, str(target))
    assert zipfile.is_zipfile(target)
    assert window.preferences.folder("export") == target.parent


def test_the_reconstruction_is_exported_in_several_formats_at_once(window, qtbot, tmp_path, monkeypatch):
    window.results.reconstruct_best()
    export = window.commands["export_reconstruction"]
    qtbot.waitUntil(
        lambda: window.session.shown.reconstruction is not None and export.isEnabled()
    )  # and the worker is free

    def choose(dialog):
        dialog.target.field.set_path(tmp_path / "out")
        for name, tick in dialog.boxes.items():
            tick.setChecked(name in ("npz", "cxi"))

    accepting(monkeypatch, ExportReconstructionDialog, choose)
    export.trigger()
    said(window, qtbot, "reconstruction.cxi")
    written = read_reconstruction(tmp_path / "out/reconstruction.npz")
    np.testing.assert_array_equal(written.object, window.session.shown.reconstruction.object)
    assert window.preferences.texts("export_formats") == ["npz", "cxi"]


def test_a_checkpoint_is_applied_to_another_scan_without_training(window, qtbot, tmp_path, monkeypatch):
    other = write_scan(SCAN.take(np.arange(20)), tmp_path / "other.npz", "ptychopinn")
    wanted = Application(
        window.session.shown.run.history.best_checkpoint, ScanSource(other), tmp_path / "applied", 0, "cpu"
    )
    accepting(monkeypatch, ApplyDialog)
    monkeypatch.setattr(ApplyDialog, "application", lambda self: wanted)
    with qtbot.waitSignal(window.session.shown.reconstructed):
        window.commands["apply"].trigger()
    assert (tmp_path / "applied/reconstruction/product.h5").is_file()
    assert not (tmp_path / "applied/run.json").exists()
    assert len(window.session.shown.reconstruction.pattern_index) == 20  # all take part in the final pass


def test_a_scan_of_another_kind_is_asked_about_before_a_checkpoint_is_applied(window, qtbot, tmp_path, monkeypatch):
    sparse = SCAN.replace(positions=3 * SCAN.positions).take(np.arange(30))
    other = write_scan(sparse, tmp_path / "other.npz", "ptychopinn")
    wanted = Application(
        window.session.shown.run.history.best_checkpoint, ScanSource(other), tmp_path / "applied", 0, "cpu"
    )
    asked, answers = [], [False, True]

    def answered(parent, title, question, verb):
        asked.append(question)
        return answers[len(asked) - 1]

    accepting(monkeypatch, ApplyDialog)
    monkeypatch.setattr(ApplyDialog, "application", lambda self: wanted)
    monkeypatch.setattr("ptycho_gui.window.result_actions.confirmed", answered)
    window.commands["apply"].trigger()
    qtbot.waitUntil(lambda: len(asked) == 1)
    assert "the scan's steps are" in asked[0]
    assert not window.session.busy
    with qtbot.waitSignal(window.session.shown.reconstructed):
        window.commands["apply"].trigger()
    assert window.session.shown.reconstruction.metrics["verdict"]["level"] != "good"


def test_what_has_begun_while_a_folder_to_watch_was_chosen_goes_on(window, qtbot, monkeypatch):
    accepting(monkeypatch, WatchDialog, lambda dialog: window.results.reconstruct_best(0))
    with qtbot.waitSignal(window.session.shown.reconstructed):
        window.commands["watch"].trigger()
        said(window, qtbot, "goes on: stop it first")


def test_a_note_is_asked_for_and_written_into_the_folder_of_what_is_shown(
    window, qtbot, trained, tmp_path, monkeypatch
):
    folder, proposed = shutil.copytree(trained, tmp_path / "copy"), []
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_path(folder)

    def write(dialog):
        proposed.append(dialog.note)
        dialog.sample.setText(" Ni foil ")
        dialog.comment.setPlainText("sharp\nat last\n")

    accepting(monkeypatch, NoteDialog, write)
    for _ in range(2):
        with qtbot.waitSignal(window.session.shown.recorded):
            window.commands["note"].trigger()
    assert read_note(folder) == Note("Ni foil", "sharp\nat last")
    assert proposed == [Note(), Note("Ni foil", "sharp\nat last")]
    assert str(folder) in window.panels.message_bar.text


def test_the_logbook_page_is_written_beside_the_reconstruction_and_copied(window, qtbot, trained, tmp_path, qapp):
    folder = shutil.copytree(trained, tmp_path / "night-3")
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_path(folder)
    with qtbot.waitSignal(window.session.shown.reconstructed):
        window.results.reconstruct_best(0)
    write_note(folder, Note("Ni foil", "sharp at last"))
    qtbot.waitUntil(window.panels.object.tools.page.isEnabled)
    window.panels.object.tools.page.click()
    said(window, qtbot, f"Wrote page.pdf and page.png to {folder / 'reconstruction'}; the page is on the clipboard.")
    with Image.open(folder / "reconstruction/page.png") as image:
        assert (image.text["Sample"], image.text["Run"]) == ("Ni foil", "night-3")
        assert qapp.clipboard().image().width() == image.width


def test_the_course_of_a_run_that_is_opened_is_played_back_and_exported(window, qtbot, trained, tmp_path, monkeypatch):
    folder, target = shutil.copytree(trained, tmp_path / "night-4"), tmp_path / "course.gif"
    keeper = PreviewKeeper(folder)
    for epoch in (1, 2, 3):
        keeper.keep(preview(epoch, epoch, epoch))
        keeper.finish()
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_path(folder)
    window.panels.object.tools.course.click()
    qtbot.waitUntil(lambda: "night-4, epoch 3" in window.panels.object.title.text())
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: (str(target), ""))
    window.panels.object.playback.export.click()
    said(window, qtbot, f"Wrote course.gif to {tmp_path}.")
    with Image.open(target) as image:
        assert image.n_frames >= 3


def test_the_curves_of_several_runs_are_overlaid_and_taken_away(window, qtbot, trained, tmp_path):
    others = [shutil.copytree(trained, tmp_path / name) for name in ("one", "two")]
    for other in others:
        window.panels.runs.overlay_requested.emit(other)
    qtbot.waitUntil(lambda: len(window.panels.curves.overlays) == 2)
    window.panels.runs.remove_overlay_requested.emit(others[0])
    assert [label.rpartition("/")[2] for label in window.panels.curves.overlays] == ["two"]


def test_the_list_marks_as_overlaid_what_is_drawn_beside_the_curves_and_nothing_else(window, qtbot, trained, tmp_path):
    one = shutil.copytree(trained, tmp_path / "one")
    window.panels.runs.set_folder(tmp_path)
    qtbot.waitUntil(lambda: len(window.panels.runs.table.runs) == 1)
    window.panels.runs.view.selectRow(0)
    window.panels.runs.overlay.trigger()
    qtbot.waitUntil(lambda: len(window.panels.curves.overlays) == 1)
    assert window.panels.runs.overlay.text() == "Remove over&lay"
    window.panels.curves.overlaid.menu().actions()[0].trigger()
    assert window.panels.runs.overlay.text() == "Over&lay"
    shutil.rmtree(one)
    window.panels.runs.overlay.trigger()
    qtbot.waitUntil(lambda: "there is no run in" in window.panels.message_bar.text)
    assert window.panels.runs.overlay.text() == "Over&lay"


def test_a_checkpoint_that_is_deleted_leaves_disk_table_and_record(window, qtbot, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "copy")
    with qtbot.waitSignal(window.session.shown.run_opened):
        window.open_path(folder)
    worst = window.panels.checkpoints.table.rows[1].path
    window.panels.checkpoints.delete_requested.emit(worst)
    qtbot.waitUntil(lambda: worst not in [row.path for row in window.panels.checkpoints.table.rows])
    assert not worst.exists()
    assert str(worst) not in [saved.path for saved in window.session.shown.run.info.checkpoints]
    assert str(worst) not in [saved.path for saved in window.session.shown.run.history.checkpoints]


def test_the_prepared_scan_is_saved_in_another_format(window, qtbot, tmp_path, monkeypatch):
    target = tmp_path / "prepared.cxi"
    qtbot.waitUntil(lambda: window.session.loader.looked is not None)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *arguments: (str(target), ""))
    window.commands["save_scan"].trigger()
    said(window, qtbot, str(target))
    assert len(read_scan(target)) == len(window.session.loader.looked.scan)


def test_a_file_of_no_known_format_offers_to_say_what_is_what(window, qtbot, tmp_path, monkeypatch):
    path = tmp_path / "unknown.npz"
    np.savez(path, foo=np.zeros((3, 4)))
    asked, opened = [], []
    monkeypatch.setattr("ptycho_gui.window.file_actions.confirmed", lambda *told: bool(asked.append(told[2])) or True)
    monkeypatch.setattr(MappingDialog, "exec", lambda self: opened.append(self) or self.done(0))
    window.open_path(path)
    qtbot.waitUntil(lambda: bool(opened))
    assert asked == ["unknown.npz cannot be read without being told more: you can say what in it is what."]


def test_an_export_that_fails_is_explained(window, qtbot, tmp_path, monkeypatch):
    target = tmp_path / "missing" / "model.zip"
    accepting(monkeypatch, ExportCheckpointDialog, lambda dialog: dialog.file.field.set_path(target))
    (tmp_path / "missing").write_text("in the way")
    window.commands["export_checkpoint"].trigger()
    said(window, qtbot, "Error")
