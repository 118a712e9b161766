"""A watched folder in the real window: the picture of a scan while it is measured, and what becomes of it."""

from __future__ import annotations

from ptycho_core.scan.source import ScanSource
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from ptycho_gui.apply.jobs.watch import Watched
from tests.helpers.growing_files import Writer

SPEC = SimulationSpec(size=16, n_patterns=196, step_px=2, jitter_px=0.5)


def test_a_scan_is_shown_while_it_is_measured_until_it_is_reconstructed(
    window, qtbot, trained, tmp_path, quick_endings
):
    (tmp_path / "in").mkdir()
    told, activities = [], []
    window.session.message.connect(lambda severity, sentence: told.append((severity, sentence)))
    window.session.working.connect(lambda text, part: activities.append(text))
    checkpoint = trained.info.best_checkpoint
    watched = Watched(tmp_path / "in", tmp_path / "out", checkpoint, ScanSource(), ("*.cxi",), ("page",))
    whole, _ = write_simulation(simulate(SPEC), tmp_path / "whole.cxi")
    window.session.watch(watched)
    assert window.session.why_busy() == f"Watching {tmp_path / 'in'} goes on: stop it first."
    qtbot.waitUntil(lambda: any(text.startswith("waiting for scans in") for text in activities))
    with Writer(tmp_path / "in" / "live.cxi", whole) as writer:
        writer.write(98)
        qtbot.waitUntil(lambda: window.panels.object.pictures.ready is not None)
        (tmp_path / "in" / "none.cxi").write_bytes(b"no scan" * 500)
        assert any(text.startswith("live.cxi: ") and "pixels covered" in text for text in activities)
        writer.write(196)
    qtbot.waitUntil(lambda: any("live.cxi is reconstructed" in sentence for _, sentence in told))
    written = {path.name for path in (tmp_path / "out" / "live" / "reconstruction").iterdir()}
    assert written >= {"metrics.json", "reconstruction.npz", "page.pdf"}
    window.session.stop()
    qtbot.waitUntil(lambda: not window.session.busy)
    assert told[-1] == ("info", f"{tmp_path / 'in'} is watched no more; the journal is in {tmp_path / 'out'}.")


def test_a_folder_for_results_that_cannot_be_written_is_told_in_a_sentence(window, qtbot, trained, tmp_path):
    told = []
    window.session.message.connect(lambda severity, sentence: told.append((severity, sentence)))
    (tmp_path / "out").write_text("a file")
    watched = Watched(tmp_path, tmp_path / "out", trained.info.best_checkpoint, ScanSource(), ("*.cxi",))
    window.session.watch(watched)
    qtbot.waitUntil(lambda: not window.session.busy)
    assert told[-1][0] == "error"
    assert "cannot write" in told[-1][1]
