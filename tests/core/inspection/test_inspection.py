"""What `ptycho inspect` says of a scan."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import describe, figures, inspect, plot_scan, scan_figures
from ptycho_core.scan.scan import Patterns
from tests.helpers import scan_files as files


def test_figures_are_those_of_the_file(tmp_path):
    info = scan_figures(read_scan(files.write(tmp_path, "cxi")))
    counts = files.counts().astype(float)
    assert info["patterns"]["shape"] == [12, 16, 16]
    assert info["patterns"]["stored_as"] == "uint16"
    assert info["counts"]["total"] == counts.sum()
    assert info["counts"]["per_pixel_max"] == counts.max()
    assert info["counts"]["per_pattern"]["median"] == np.median(counts.sum(axis=(1, 2)))
    assert info["positions"]["step_px"] == pytest.approx(4.7, abs=0.3)
    assert info["positions"]["step_m"] == pytest.approx(info["positions"]["step_px"] * files.PIXEL_M)
    assert info["positions"]["field_of_view_px"] == pytest.approx(np.ptp(files.positions(), axis=0) + 16)
    assert info["geometry"]["pixel_size_m"] == pytest.approx([files.PIXEL_M] * 2)
    overlap = 1 - info["positions"]["step_px"] / info["probe"]["diameter_px"]
    assert info["probe"]["overlap"] == pytest.approx(overlap)


@pytest.mark.parametrize("name", files.WRITERS)
def test_every_scan_is_ready_for_json_and_for_reading(tmp_path, name):
    info = scan_figures(read_scan(files.write(tmp_path, name)))
    assert json.loads(json.dumps(info, allow_nan=False)).keys() == info.keys()
    text = describe(info)
    assert "12 of 16 x 16 pixels" in text
    for sentence in info["history"]:
        assert sentence in text


def test_masked_pixels_are_left_out_of_the_statistics(tiny_scan):
    mask = np.ones((32, 32), bool)
    mask[16, 16] = False
    bright = tiny_scan.patterns[:].copy()
    bright[:, 16, 16] = 1e6
    info = scan_figures(tiny_scan.replace(patterns=Patterns(bright), mask=mask))
    assert info["mask"]["bad_pixels"] == 1
    assert info["counts"]["per_pixel_max"] < 1e6


def test_problems_and_assumptions_are_part_of_the_text(tiny_scan):
    text = describe(scan_figures(tiny_scan.replace(positions=np.zeros((len(tiny_scan), 2)))))
    assert "error: all 60 positions are identical" in text


def test_of_a_probe_of_another_size_no_focus_is_looked_for(tiny_scan):
    probe = np.ones((1, 3000, 3000), np.complex64)  # whose foci would take hours
    looked = inspect(dataclasses.replace(tiny_scan, probe=probe))
    assert looked.beam is None
    assert "probe" in [problem.field for problem in looked.problems]


def test_a_scan_without_probe_is_described_by_a_guess(tiny_scan):
    info = scan_figures(tiny_scan.replace(probe=None))
    assert info["probe"]["source"] == "guess"
    assert "guessed from the patterns" in describe(info)


def test_inspection_streams_over_the_patterns(tmp_path):
    stack = np.zeros((1500, 128, 128), np.uint16)
    stack[:, 60:68, 60:68] = np.random.default_rng(0).integers(90, 111, (1500, 8, 8))
    y, x = np.divmod(np.arange(1500), 40)
    path = files.npz(tmp_path / "a.npz", patterns=stack, positions=np.stack([y, x], axis=1) * 9.0)
    del stack
    scan = read_scan(path)
    tracemalloc.start()
    scan_figures(scan.replace(probe=np.ones((1, 128, 128), np.complex64)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scan.patterns.nbytes


@pytest.mark.parametrize("with_probe", [True, False])
def test_plot_is_a_picture(tmp_path, tiny_scan, with_probe):
    scan = tiny_scan if with_probe else dataclasses.replace(tiny_scan, probe=None)
    plot_scan(scan, tmp_path / "scan.png")
    assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")


def test_figures_of_a_sample_say_so(tiny_scan, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey.LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr("ptycho_core.scan.survey.SAMPLE_BYTES", 10 * 32 * 32 * 2)
    scan = tiny_scan.take(range(len(tiny_scan)))
    assert "as of 10 patterns, evenly spread" in describe(figures(inspect(scan)))
    assert "evenly spread" not in describe(scan_figures(scan))
