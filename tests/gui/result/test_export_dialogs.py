"""The dialogs that ask where results go, on a real run and real files."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from ptycho_core.formats.writers.exports import EXPORTERS
from ptycho_gui.result.export_checkpoint_dialog import ExportCheckpointDialog
from ptycho_gui.result.export_reconstruction_dialog import ExportReconstructionDialog
from tests.helpers.dialogs import type_into, wait


def test_what_an_export_replaces_is_said_before(put_up, qtbot, tmp_path):
    (tmp_path / "phase.png").write_text("")
    dialog = put_up(ExportReconstructionDialog(tmp_path, ["png", "npz"]))
    assert dialog.formats == ["npz", "png"]
    wait(qtbot, dialog, True)
    assert dialog.target.said == "phase.png is there already and will be replaced."
    dialog.boxes["png"].click()
    wait(qtbot, dialog, True)
    assert dialog.target.said == ""
    assert (dialog.folder, dialog.formats) == (tmp_path, ["npz"])


def test_nothing_is_exported_without_a_format_or_into_a_file(put_up, qtbot, tmp_path):
    dialog = put_up(ExportReconstructionDialog(tmp_path, []))
    wait(qtbot, dialog, False)
    assert dialog.accept_button.toolTip().endswith("Not now: Tick a format first.")
    dialog.accept()
    assert dialog.isVisible()
    dialog.boxes["cxi"].click()
    wait(qtbot, dialog, True)
    (tmp_path / "file").write_text("")
    type_into(qtbot, dialog.target, tmp_path / "file")
    wait(qtbot, dialog, False)
    assert "is a file: choose a folder" in dialog.target.said


def test_every_format_of_the_core_can_be_ticked_and_says_its_files(put_up, tmp_path):
    dialog = put_up(ExportReconstructionDialog(tmp_path))
    assert list(dialog.boxes) == list(EXPORTERS)
    words = {label.text() for label in dialog.findChildren(QLabel)}
    assert {", ".join(exporter.files) for exporter in EXPORTERS.values()} <= words


def test_the_ending_of_a_checkpoints_target_follows_the_kind_and_the_other_way_round(put_up, qtbot, trained, tmp_path):
    dialog = put_up(ExportCheckpointDialog(trained.info.best_checkpoint, tmp_path / "model.zip"))
    wait(qtbot, dialog, True)
    dialog.ckpt.click()
    assert dialog.target() == tmp_path / "model.ckpt"
    type_into(qtbot, dialog.file, tmp_path / "other.zip")
    assert dialog.bundle.isChecked()
    wait(qtbot, dialog, True)
    assert dialog.target() == tmp_path / "other.zip"
    type_into(qtbot, dialog.file, tmp_path / "model.pt")
    wait(qtbot, dialog, False)
    assert dialog.file.said == "The file's name must end in .zip or .ckpt."


def test_a_checkpoint_that_would_be_replaced_is_named(put_up, qtbot, trained, tmp_path):
    (tmp_path / "model.zip").write_text("")
    dialog = put_up(ExportCheckpointDialog(trained.info.best_checkpoint, tmp_path / "model.zip"))
    wait(qtbot, dialog, True)
    assert dialog.file.said == "model.zip is there already and will be replaced."
