"""The installed `ptycho-gui`, driven by mouse and keyboard, from opening a file to the exported checkpoint."""

from __future__ import annotations

import json
import zipfile

import pytest

from ptycho_core.cli import main
from ptycho_core.runs.record import read_run
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers.driven_window import BIN, epoch, is_enabled, state
from tests.helpers.patience import PATIENCE_S

pytestmark = pytest.mark.xdist_group("one screen at a time")


@pytest.fixture
def scan_path(tmp_path):
    spec = SimulationSpec(size=24, n_patterns=49, step_px=3.0, jitter_px=1.0)
    return write_simulation(simulate(spec), tmp_path / "star.npz")[0]


def test_an_operator_goes_from_a_scan_to_an_exported_checkpoint(desktop, tmp_path, scan_path, capsys):
    program = desktop.start(BIN / "ptycho-gui", "--fresh", "--theme", "light")
    program.widget("Open the demo scan")
    desktop.screenshot("first start")

    program.press("ctrl+o")
    program.widget("File name:")
    desktop.screenshot("open a scan")
    program.type(str(scan_path))

    def accepted():
        if program.find("File name:"):
            program.press("Return")  # the first may only close the list of files that fit
        return not program.find("File name:")

    program.wait_until(accepted, "the dialog closes")
    program.wait_until(lambda: is_enabled(program, "Start"), "the scan is open and can be started")
    desktop.screenshot("the scan")

    menus = {"alt+f": "Quit", "alt+e": "Logbook page", "alt+v": "Full-screen picture", "alt+h": "About", "F10": "Quit"}
    for keys, entry in menus.items():
        program.press(keys)
        program.wait_until(lambda entry=entry: program.find(entry, kind="action"), f"{keys} opens a menu")
        program.press("Escape")
        program.wait_until(lambda entry=entry: not program.find(entry, kind="action"), "the menu closes")

    program.click("Grouping", kind="tab")
    program.set("Gridsize", 3, kind="NumberBox")
    program.set("Neighbor count", 4, kind="NumberBox")
    program.wait_until(lambda: not is_enabled(program, "Start"), "an invalid grouping cannot be started")
    assert "neighbor count must be at least 9 (it is 4)" in program.widget("Start", "QToolButton", "Main").tooltip
    desktop.screenshot("an invalid grouping")
    program.click("Use neighbor count 9")
    program.wait_until(lambda: is_enabled(program, "Start"), "the grouping is valid again")
    desktop.screenshot("a valid grouping")

    program.click("Training", kind="tab")
    program.pick("Preset", "quick")
    program.set("Epochs", 5000, kind="NumberBox")
    program.set("Early stop (epochs)", 0, kind="NumberBox")  # it goes on until it is stopped
    desktop.screenshot("the settings")
    program.click("Start", kind="QToolButton", within="Main")
    program.wait_until(lambda: epoch(program) >= 3, "training reaches its third epoch")
    desktop.screenshot("training")
    program.click("Curves", kind="tab")
    program.wait_until(lambda: program.find("X axis"), "the curves show")
    desktop.screenshot("curves while training")
    program.click("Stop", kind="QToolButton", within="Main")
    program.wait_until(lambda: state(program).startswith("Stopped"), "the run is stopped")
    program.wait_until(lambda: is_enabled(program, "Reconstruct"), "the reconstruction after it is done")
    desktop.screenshot("stopped")

    run = read_run(tmp_path / "star-run")
    assert run.status == "stopped"
    made = tmp_path / "star-run/reconstruction"
    assert not (made / "previous").exists()
    program.click("Reconstruct", kind="QToolButton", within="Main")
    both = made / "previous/version_0/metrics.json", made / "metrics.json"
    program.wait_until(lambda: all(path.exists() for path in both), "it is reconstructed again")
    program.wait_until(lambda: is_enabled(program, "Export best checkpoint"), "it can be exported")
    desktop.screenshot("reconstructed")

    bundle = tmp_path / "model.zip"
    program.click("Export best checkpoint", kind="QToolButton", within="Main")
    program.set("File to write", bundle, kind="QLineEdit")
    desktop.screenshot("export the checkpoint")
    program.click("Export", kind="QPushButton", within="Export checkpoint")
    program.wait_until(bundle.exists, "the bundle is written")
    desktop.screenshot("exported")

    program.press("ctrl+q")
    program.process.wait(PATIENCE_S)
    assert program.process.returncode == 0, program.said()
    assert zipfile.is_zipfile(bundle)

    line = f"reconstruct {tmp_path / 'elsewhere'} --checkpoint {bundle} --scan {scan_path} --json"
    assert main([*line.split(), "--no-halves", "--no-final-pass", "--polish", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["free_misfit"] > 0


def test_a_kill_in_the_middle_leaves_a_run_that_shows_as_interrupted_and_resumes(desktop, tmp_path, scan_path):
    program = desktop.start(BIN / "ptycho-gui", "--fresh", str(scan_path))
    program.wait_until(lambda: is_enabled(program, "Start"), "the scan is open and can be started")
    program.press("ctrl+Return")
    program.wait_until(lambda: epoch(program) >= 3, "training reaches its third epoch")
    program.process.kill()
    program.process.wait()
    assert read_run(tmp_path / "star-run").status == "interrupted"

    again = desktop.start(BIN / "ptycho-gui", "--fresh", str(tmp_path / "star-run"))
    again.wait_until(lambda: is_enabled(again, "Resume"), "the run is open and can be resumed")
    again.wait_until(lambda: state(again).startswith("Interrupted"), "it shows as interrupted")
    desktop.screenshot("an interrupted run")
    again.press("ctrl+r")
    again.wait_until(lambda: epoch(again) >= 5, "it goes on")

    again.press("ctrl+q")
    again.click("Stop and close")
    again.process.wait(PATIENCE_S)
    assert again.process.returncode == 0, again.said()
    assert read_run(tmp_path / "star-run").status == "stopped"
