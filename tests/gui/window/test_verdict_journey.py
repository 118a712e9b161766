"""From a poor picture to a good one by the button that its verdict offers, in the real window."""

from __future__ import annotations

import pytest
from exact_scans import SMALL_JITTER, make, write
from exact_score import score

from ptycho_core.base.verdict import Level
from ptycho_core.runs.record import find_runs


@pytest.mark.fit
@pytest.mark.timeout(1200)
def test_a_poor_picture_of_wrong_positions_becomes_a_good_one_by_its_button(window, qtbot, tmp_path):
    exact = make(SMALL_JITTER)
    write(tmp_path / "scan.npz", exact.counts, exact.recorded, exact.guess)
    with qtbot.waitSignal(window.session.loader.opened):
        window.open_path(tmp_path / "scan.npz")
    window.session.draft.load({"engine": "direct", "max_epochs": 30, "accelerator": "cpu", "preview_seconds": 0})
    window.panels.training.output_folder = tmp_path / "first"
    qtbot.waitUntil(window.commands["start"].isEnabled)

    def nrmse() -> float:
        made = window.session.reconstruction
        return score(made.object, made.positions_px, exact.object, exact.positions[made.pattern_index]).nrmse

    with qtbot.waitSignal(window.session.reconstructed, timeout=600_000):
        window.commands["start"].trigger()
    bar = window.panels.object.verdict
    qtbot.waitUntil(lambda: bar.text.startswith("Poor: ") and not window.session.busy)
    assert nrmse() > 0.1
    assert "refined positions would explain the patterns better" in bar.text
    assert window.panels.run_bar.state.startswith("Finished, poor picture")

    (refine,) = (button for button in bar.buttons if button.text() == "Refine positions")
    with qtbot.waitSignal(window.session.reconstructed, timeout=600_000):
        refine.click()
    qtbot.waitUntil(lambda: bar.text.startswith("Good: ") and not window.session.busy)
    assert nrmse() < 0.05
    assert window.panels.run_bar.state.startswith("Finished, good picture")
    second, first = find_runs(tmp_path)
    assert (first.config.positions, second.config.positions) == ("check", "refine")
    assert second.config.max_epochs == 30
    window.panels.runs.set_folder(tmp_path)
    qtbot.waitUntil(lambda: len(window.panels.runs.table.runs) == 2)
    assert [run.verdict.level for run in window.panels.runs.table.runs] == [Level.GOOD, Level.POOR]
