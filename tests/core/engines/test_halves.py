"""Two halves of a scan are compared where they can be, and the reason is given where they cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.events import StopToken
from ptycho_core.engines import halves
from ptycho_core.engines.data import split
from ptycho_core.engines.halves import compare_halves
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import Simulation, simulate

CONFIG = Config(engine="direct", preview_seconds=0, accelerator="cpu")


@pytest.fixture(autouse=True)
def short_fits(monkeypatch):
    """Ten epochs for each half."""
    monkeypatch.setattr(halves, "VIEWS", 1)


def compared(scan: Scan, stop: StopToken | None = None) -> dict[str, object]:
    model = DirectModel.from_scan(scan, CONFIG)
    return compare_halves(model, scan, split(len(scan), CONFIG), "cpu", stop or StopToken())


def test_free_patterns_take_no_part_and_the_others_do(tiny_scan: Scan):
    parts = split(len(tiny_scan), CONFIG)

    def spoiled(rows: np.ndarray) -> Scan:
        counts = tiny_scan.patterns[:].copy()
        counts[rows] = counts[rows].swapaxes(1, 2)[:, ::-1]
        return tiny_scan.replace(patterns=Patterns(counts))

    plain = compared(tiny_scan)
    assert compared(spoiled(parts.free)) == plain
    assert compared(spoiled(parts.train[::2])) != plain


def test_more_photons_make_halves_agree_in_finer_details(tiny_sim: Simulation):
    few, many = (
        compared(simulate(dataclasses.replace(tiny_sim.spec, counts_per_pixel=counts)).scan)["half_scans_resolution_px"]
        for counts in (3.0, 1000.0)
    )
    assert many < few


def test_halves_that_show_nothing_do_not_agree_by_being_empty(tiny_sim: Simulation):
    scan = simulate(dataclasses.replace(tiny_sim.spec, counts_per_pixel=0.3)).scan
    assert "no better than an empty picture" in compared(scan)["half_scans_reason"]


def test_of_a_large_scan_the_middle_alone_is_looked_at(tiny_scan: Scan, monkeypatch):
    monkeypatch.setattr(halves, "PATTERNS", 40)
    away = np.linalg.norm(tiny_scan.positions - np.median(tiny_scan.positions, axis=0), axis=1)
    counts = tiny_scan.patterns[:].copy()
    counts[np.argsort(away)[50:]] = 7
    model = DirectModel.from_scan(tiny_scan, CONFIG)
    parts = split(len(tiny_scan), CONFIG)
    plain, other = (
        compare_halves(model, scan, parts, "cpu", StopToken())
        for scan in (tiny_scan, tiny_scan.replace(patterns=Patterns(counts)))
    )
    assert plain == other


def test_too_few_patterns_are_a_reason(tiny_scan: Scan):
    assert compared(tiny_scan.take(range(20))) == {
        "half_scans_reason": "18 patterns are too few: each half needs 16 or more"
    }


def test_patterns_too_far_apart_are_a_reason(tiny_sim: Simulation):
    scan = simulate(dataclasses.replace(tiny_sim.spec, step_px=40.0)).scan
    assert "patterns lie too far apart" in compared(scan)["half_scans_reason"]


def test_a_stop_is_a_reason(tiny_scan: Scan):
    stop = StopToken()
    stop.stop("the operator")
    assert compared(tiny_scan, stop) == {"half_scans_reason": "the comparison was stopped"}
