"""The best picture now, by its button, in the real window."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.record import find_runs
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_gui.train.best_picture_dialog import BestPictureDialog


@pytest.fixture
def scan(tmp_path):
    """A scan of whose patterns one is far too bright."""
    made = simulate(SimulationSpec(size=16, n_patterns=49, step_px=2, jitter_px=0.5)).scan
    patterns = np.array(made.patterns[:])
    patterns[7] *= 50
    path = tmp_path / "scan.npz"
    write_scan(made.replace(patterns=patterns), path)
    return path


def test_a_problem_that_nothing_safe_puts_right_is_why_it_cannot_begin(window, qtbot, scan, tmp_path):
    far = read_scan(scan)
    write_scan(far.replace(positions=far.positions * 40), tmp_path / "far.npz")
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(tmp_path / "far.npz")
    action = window.commands["best_picture"]
    qtbot.waitUntil(lambda: "apart" in action.toolTip())
    assert not action.isEnabled()


@pytest.mark.usefixtures("quick_endings")
def test_one_button_leads_from_a_scan_to_its_picture(window, qtbot, scan, tmp_path):
    action = window.commands["best_picture"]
    assert not action.isEnabled()
    assert "Open a scan first" in action.toolTip()
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(scan)
    qtbot.waitUntil(action.isEnabled)
    window.session.draft.set("accelerator", "cpu")
    parts = []
    window.session.planned.connect(lambda part: parts.append((part and part.what, window.panels.run_bar.state)))

    action.trigger()
    dialog = window.findChild(BestPictureDialog)
    assert "leave out the bright patterns" in dialog.prepared.text()
    assert dialog.minutes.value() == 5
    dialog.minutes.setValue(60)  # more than any machine needs
    with qtbot.waitSignal(window.session.shown.reconstructed):
        qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.session.busy)

    told = [what for what, _ in parts]
    assert told[:2] == ["looking at the scan", "the first fit"]
    assert told[-2:] == ["the picture of all patterns", None]
    assert "The first fit. " in parts[1][1]
    assert len(window.session.shown.reconstruction.positions_px) == 48
    assert "Before that: leave out the bright patterns." in window.panels.message_bar.text
    qtbot.waitUntil(lambda: bool(window.panels.object.verdict.text))
    run = find_runs(tmp_path)[0]
    assert run.folder == window.session.shown.run.folder
    assert run.command.startswith(f"ptycho now {scan} --output-dir {run.folder} --minutes 60 --accelerator cpu")
    assert (run.reconstruction / "metrics.json").exists()
    assert window.session.shown.run.info.status == "finished"
