"""The dialog that asks what to apply to which scan, on a real run and real files."""

from __future__ import annotations

import shutil
from pathlib import Path

from ptycho_core.engines.checkpoints import export_checkpoint
from ptycho_core.formats import read_scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Bin
from ptycho_gui.apply.apply_dialog import Application, ApplyDialog
from ptycho_gui.apply.model_choice import ModelChoice
from tests.helpers.dialogs import type_into, wait
from tests.helpers.training_runs import Training


def test_applying_takes_the_open_scan_as_it_was_prepared(put_up, qtbot, trained, scan_path, tmp_path):
    source = ScanSource(scan_path, steps=(Bin(2),))
    dialog = put_up(ApplyDialog(trained.info.best_checkpoint, source, tmp_path / "new", "cpu"))
    wait(qtbot, dialog, True)
    assert dialog.checkpoint.said == "A network, gridsize 2, trained on 36 patterns of 16 x 16 pixels."
    assert dialog.scan.said == "The scan that is open, as it is prepared in the window."
    assert dialog.application() == Application(trained.info.best_checkpoint, source, tmp_path / "new", 10, "cpu")
    other = Path(shutil.copy(scan_path, tmp_path / "other.npz"))
    dialog.polish.setValue(7)
    type_into(qtbot, dialog.scan, other)
    wait(qtbot, dialog, True)
    assert dialog.scan.said == "A scan (ptychopinn-npz), to be read as it is."
    assert dialog.application().source == ScanSource(other)
    assert dialog.application().polish_epochs == 7


def test_a_model_that_suits_the_open_scan_is_one_choice_away(put_up, qtbot, trained, scan_path, tmp_path):
    (tmp_path / "models").mkdir()
    bundle = export_checkpoint(trained.info.best_checkpoint, tmp_path / "models" / "star.zip")
    models = ModelChoice(tmp_path / "models", read_scan(scan_path))
    dialog = put_up(ApplyDialog(None, ScanSource(scan_path), tmp_path / "new", models=models))
    qtbot.waitUntil(models.models.isEnabled)
    assert models.models.itemText(1) == "star.zip: suits the scan"
    models.models.setCurrentIndex(1)
    models.models.activated.emit(1)
    wait(qtbot, dialog, True)
    assert dialog.application().checkpoint == bundle
    models.folder.line.clear()
    qtbot.keyClicks(models.folder.line, str(tmp_path / "nothing"))
    qtbot.waitUntil(lambda: models.models.currentText().startswith("there is no folder"))


def test_what_is_wrong_is_said_below_each_path_and_nothing_is_applied(put_up, qtbot, trained, scan_path, tmp_path):
    dialog = put_up(ApplyDialog(None, None, trained.folder))
    wait(qtbot, dialog, False)
    assert dialog.accept_button.toolTip().endswith("Not now: Choose a checkpoint first.")
    type_into(qtbot, dialog.checkpoint, scan_path)
    type_into(qtbot, dialog.scan, tmp_path / "gone.npz")
    qtbot.waitUntil(lambda: all(path.said for path in (dialog.checkpoint, dialog.scan, dialog.folder)))
    assert "scan.npz is neither a checkpoint (.ckpt) nor a bundle (.zip)" in dialog.checkpoint.said
    assert "gone.npz" in dialog.scan.said
    assert "There is a run in this folder" in dialog.folder.said
    assert not dialog.accept_button.isEnabled()


def test_a_checkpoint_is_known_by_its_run_or_its_bundle_and_may_be_without_both(put_up, qtbot, trained, tmp_path):
    dialog = put_up(ApplyDialog(None, None, tmp_path))
    bundle = export_checkpoint(trained.info.best_checkpoint, tmp_path / "model.zip")
    alone = export_checkpoint(trained.info.best_checkpoint, tmp_path / "alone.ckpt")
    for path, said in (
        (bundle, "A network, gridsize 2, trained on 36 patterns"),
        (alone, "A checkpoint without its run"),
    ):
        dialog.checkpoint.set_path(path)
        qtbot.waitUntil(lambda said=said: dialog.checkpoint.said.startswith(said))
        assert dialog.checkpoint.reason is None


def test_a_checkpoint_of_the_direct_engine_warns_that_it_serves_its_own_scan_alone(put_up, qtbot, tmp_path):
    run = Training(tmp_path / "out").go(engine="direct", max_epochs=1)
    dialog = put_up(ApplyDialog(run.info.last_checkpoint, None, tmp_path))
    qtbot.waitUntil(lambda: "it reconstructs that scan and no other" in dialog.checkpoint.said)
    assert dialog.checkpoint.reason is None


def test_a_message_of_any_length_is_shown_whole(put_up, qtbot, trained, tmp_path):
    dialog = put_up(ApplyDialog(trained.info.best_checkpoint, None, tmp_path))
    before = dialog.height()
    type_into(qtbot, dialog.scan, "/" + "/".join(["a-long-name-of-a-folder"] * 12) + "/scan.npz")
    qtbot.waitUntil(lambda: "a-long-name" in dialog.scan.said and bool(dialog.checkpoint.said))
    qtbot.waitUntil(lambda: dialog.height() >= dialog.layout().totalHeightForWidth(dialog.width()) > before)
