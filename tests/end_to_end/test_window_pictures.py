"""The installed `ptycho-gui`, driven to a good picture: by one button, and by what the verdict on a poor one offers."""

from __future__ import annotations

import dataclasses

import pytest
from exact_scans import SMALL_JITTER, make, write
from exact_score import score

from ptycho_core.runs.record import find_runs
from ptycho_core.runs.results import read_newest
from tests.helpers.driven_window import BIN, is_enabled, said_in, state
from tests.helpers.patience import PATIENCE_S

pytestmark = pytest.mark.xdist_group("one screen at a time")


def written(case, path):
    """Write a scan, and return it with its truth."""
    exact = make(case)
    write(path, exact.counts, exact.recorded, exact.guess)
    return exact


def nrmse(folder, exact):
    made = read_newest(folder)
    return score(made.object, made.positions_px, exact.object, exact.positions[made.pattern_index]).nrmse


def verdict(program):
    return said_in(program, "Verdict")


def open_scan(desktop, path):
    program = desktop.start(BIN / "ptycho-gui", "--fresh", path)
    program.wait_until(lambda: is_enabled(program, "Start"), "the scan is open and can be started")
    return program


def leave(program):
    program.press("ctrl+q")
    program.process.wait(PATIENCE_S)
    assert program.process.returncode == 0, program.said()


@pytest.mark.fit
@pytest.mark.timeout(1800)
def test_the_verdict_on_a_poor_picture_leads_by_its_button_to_a_good_one(desktop, tmp_path):
    exact = written(SMALL_JITTER, tmp_path / "jitter.npz")  # recorded positions are 1.5 pixels off
    program = open_scan(desktop, tmp_path / "jitter.npz")
    program.click("Training", kind="tab")
    program.pick("Engine", "direct")
    program.set("Epochs", 30, kind="NumberBox")
    program.press("ctrl+Return")
    program.wait_until(lambda: "Poor:" in verdict(program), "the first picture is poor")
    program.wait_until(lambda: is_enabled(program, "Reconstruct"), "it is written")
    desktop.screenshot("a poor picture")
    assert nrmse(tmp_path / "jitter-run", exact) > 0.1

    program.click("Refine positions", kind="QPushButton", within="Verdict")
    program.wait_until(lambda: "Good:" in verdict(program), "the second picture is good")
    program.wait_until(lambda: is_enabled(program, "Reconstruct"), "it is written")
    desktop.screenshot("a good picture")
    assert state(program) == "Finished: the fit has settled. The picture is good"
    second, first = find_runs(tmp_path)
    assert (first.config.positions, second.config.positions) == ("check", "refine")
    assert nrmse(second.folder, exact) < 0.05
    leave(program)


@pytest.mark.fit
@pytest.mark.timeout(1800)
def test_best_picture_now_leads_from_a_scan_to_a_good_picture(desktop, tmp_path):
    exact = written(dataclasses.replace(SMALL_JITTER, error_px=0, side=9), tmp_path / "scan.npz")
    program = open_scan(desktop, tmp_path / "scan.npz")
    program.press("ctrl+p")
    program.set("Minutes", 30, within="Best picture now")
    desktop.screenshot("best picture now")
    program.click("Start", kind="QPushButton", within="Best picture now")
    program.wait_until(lambda: "Good:" in verdict(program), "the picture is good")
    program.wait_until(lambda: is_enabled(program, "Reconstruct"), "nothing is to follow")
    desktop.screenshot("the best picture")
    assert nrmse(find_runs(tmp_path)[0].folder, exact) < 0.05
    leave(program)
