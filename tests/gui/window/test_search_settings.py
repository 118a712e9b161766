"""A search of settings from its dialog: tried, ranked, taken over."""

from __future__ import annotations

from PySide6.QtCore import Qt

from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.simulation import SimulationSpec, simulate


def test_the_best_of_some_settings_is_taken_over_with_a_click(window, qtbot, tmp_path):
    scan = tmp_path / "scan.npz"
    write_scan(simulate(SimulationSpec(size=16, n_patterns=49, step_px=2, jitter_px=0.5)).scan, scan)
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan)
    fast = {"engine": "direct", "accelerator": "cpu", "probe_search": False, "preview_seconds": 0}
    window.session.draft.load(fast)
    qtbot.waitUntil(lambda: window.panels.training.output_folder is not None)
    window.commands["search_settings"].trigger()
    dialog = window.run_actions.search
    assert not dialog.start_button.isEnabled()

    first = dialog.rows[0]
    first.setting.setCurrentIndex(first.setting.findData("max_epochs"))
    assert "now 50" in first.values.placeholderText()
    qtbot.keyClicks(first.values, "1,many")
    assert dialog.note.text() == "Epochs must be a whole number from 1 to 1000000 (it is 'many')."
    first.values.clear()
    qtbot.keyClicks(first.values, "1,6")
    assert dialog.note.text().startswith("2 trials")
    assert not dialog.take_button.isEnabled()
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.table.model().rowCount() == 2)
    qtbot.waitUntil(lambda: not window.session.busy)

    best = [dialog.table.model().index(0, column).data() for column in range(2)]
    assert best == ["2", "6"]
    assert (tmp_path / "scan-search" / "trial-002" / "run.json").exists()
    qtbot.mouseClick(dialog.take_button, Qt.MouseButton.LeftButton)
    assert window.session.draft.value("max_epochs") == 6
    assert "The best of 2 trials: Epochs 6." in window.panels.message_bar.text
    dialog.grab().save(str(tmp_path / "search.png"))

    # The trial that was made last is the run that is shown: its picture can be made, and it can go on.
    qtbot.waitUntil(lambda: window.session.shown.run.info is not None)
    assert window.session.shown.run.info.folder == tmp_path / "scan-search" / "trial-002"
    with qtbot.waitSignal(window.session.shown.reconstructed):
        window.commands["reconstruct"].trigger()
    qtbot.waitUntil(lambda: not window.session.busy)
