"""The dialog that asks which folder to watch, on real files."""

from __future__ import annotations

import shutil

from ptycho_core.runs.arrivals import GLOBS
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Bin
from ptycho_gui.apply.jobs.watch import Watched
from ptycho_gui.apply.watch_dialog import WatchDialog
from tests.helpers.dialogs import type_into, wait


def test_what_is_asked_for_is_watched_with_results_in_the_folder_unless_chosen_otherwise(
    put_up, qtbot, trained, scan_path, tmp_path
):
    source = ScanSource(scan_path, settings={"dc": "centre"}, steps=(Bin(2),))
    dialog = put_up(WatchDialog(tmp_path, trained.info.best_checkpoint, source))
    wait(qtbot, dialog, True)
    assert dialog.folder.said == "No scan is there yet."
    assert dialog.watched() == Watched(
        tmp_path, tmp_path / "reconstructions", trained.info.best_checkpoint, ScanSource(), GLOBS
    )
    (tmp_path / "in").mkdir()
    shutil.copy(scan_path, tmp_path / "in" / "a.npz")
    type_into(qtbot, dialog.folder, tmp_path / "in")
    qtbot.waitUntil(lambda: dialog.folder.said == "1 such file is there, done first if not done yet.")
    assert dialog.out.path == tmp_path / "in" / "reconstructions"
    type_into(qtbot, dialog.out, tmp_path / "elsewhere")
    type_into(qtbot, dialog.folder, tmp_path)
    dialog.alike.setChecked(True)
    wait(qtbot, dialog, True)
    watched = dialog.watched()
    assert watched.out == tmp_path / "elsewhere"
    assert watched.source == ScanSource(settings={"dc": "centre"}, steps=(Bin(2),))
    assert watched.exports == ()


def test_a_file_of_positions_for_each_scan_and_further_formats_are_asked_for(put_up, trained, tmp_path):
    dialog = put_up(WatchDialog(tmp_path, trained.info.best_checkpoint, None))
    dialog.positions.setText("*_positions.csv")
    assert list(dialog.exports) == ["cxi", "page"]
    dialog.exports["page"].setChecked(True)
    watched = dialog.watched()
    assert watched.source == ScanSource(positions_file=tmp_path / "*_positions.csv")
    assert watched.exports == ("page",)


def test_names_of_scans_are_looked_for_and_what_is_wrong_is_said(put_up, qtbot, trained, scan_path, tmp_path):
    shutil.copy(scan_path, tmp_path / "a_master.npz")
    dialog = put_up(WatchDialog(tmp_path, None, None))
    qtbot.waitUntil(lambda: dialog.folder.said.startswith("1 such file"))
    assert not dialog.alike.isVisible()
    assert dialog.why_not() == "Choose a checkpoint first."
    dialog.names.clear()
    qtbot.keyClicks(dialog.names, "*_master.h5 *.cxi")
    qtbot.waitUntil(lambda: dialog.folder.said == "No scan is there yet.")
    assert dialog.watched().globs == ("*_master.h5", "*.cxi")
    qtbot.keyClicks(dialog.names, " sub/*.h5")
    qtbot.waitUntil(lambda: "not of another one" in dialog.folder.said)
    dialog.names.clear()
    type_into(qtbot, dialog.folder, tmp_path / "nowhere")
    qtbot.waitUntil(lambda: "there is no folder" in dialog.folder.said)
    dialog.checkpoint.set_path(trained.info.best_checkpoint)
    wait(qtbot, dialog, False)
    assert "there is no folder" in dialog.accept_button.toolTip()
