"""What is told before a model reconstructs a scan of another kind than it was trained on."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from ptycho_core.inspection.scan_beam import ScanBeam
from ptycho_core.inspection.suitability import check_suitability, conditions_of
from ptycho_core.scan.scan import Geometry, Patterns, Scan

PIXELS = np.hypot(*(np.mgrid[:64, :64] - 32))
GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(75e-6, 75e-6))


def scan(*, beam=7.0, step=3.0, counts=100.0, size=64, **changes) -> Scan:
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), axis=-1).reshape(-1, 2) * step
    patterns = Patterns(np.full((16, size, size), counts / size**2, np.float32))
    probe = (PIXELS[:size, :size] < beam / 2).astype(np.complex64)[None]
    return Scan(patterns, grid, probe, geometry=GEOMETRY, **changes)


TRAINED = scan()
SUMMARY = {"patterns": 16, "size": 64, "brightest": 100.0, **conditions_of(TRAINED)}


def told(other: Scan, summary=SUMMARY) -> list[str]:
    problems = check_suitability(summary, TRAINED.probe, ScanBeam(other))
    assert all(problem.severity == "warning" for problem in problems)
    return [problem.message for problem in problems]


def test_a_scan_of_the_same_kind_is_passed_over_in_silence():
    assert told(scan(beam=8, step=3.5, counts=300)) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (scan(beam=54), r"beam is 5\S+ px wide, that of the training [67]\S* px"),
        (scan(step=9.0), "steps are 9 px, those of the training 3 px"),
        (scan(counts=1e4), r"brightest pattern has 1e\+04 counts, that of the training 100"),
        (scan(size=32), "patterns have 32 pixels a side, those of the training 64"),
        (
            dataclasses.replace(TRAINED, geometry=dataclasses.replace(GEOMETRY, distance_m=4.0)),
            "pixels are 129 nm, those of the training 64.6 nm",
        ),
    ],
)
def test_each_difference_is_a_sentence(other, words):
    assert any(re.search(words, sentence) for sentence in told(other))


def test_what_an_old_checkpoint_does_not_say_is_told_as_not_recorded():
    old = {"patterns": 16, "size": 64, "brightest": 100.0}
    (sentence,) = told(scan(step=30.0), old)
    assert "not recorded" in sentence
