"""What steps do to masks that differ from pattern to pattern: the same as to one for all, pattern by pattern."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.events import StopToken
from ptycho_core.preprocessing import preprocess
from ptycho_core.preprocessing.preview import StepsPreview
from ptycho_core.preprocessing.sketch import sketch
from ptycho_core.scan import survey
from ptycho_core.scan.scan import Masks, Patterns, Scan
from ptycho_core.scan.steps import (
    Bin,
    Centre,
    Crop,
    DropBright,
    DropDead,
    Every,
    HotPixels,
    MaskBrush,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Orient,
    Pad,
    Pedestal,
    Region,
    Saturation,
    Scale,
)

RNG = np.random.default_rng(0)
LIGHT = 40 * np.exp(-((np.arange(16) - 7.6) ** 2)[:, None] / 30 - ((np.arange(16) - 8.3) ** 2) / 30)
COUNTS = RNG.poisson(LIGHT, (12, 16, 16)).astype(np.float32)
POSITIONS = RNG.uniform(-30, 30, (12, 2))
GOOD = RNG.random(COUNTS.shape) > 0.05
STEPS = [
    Bin(2),
    Centre(how="given", y=6, x=9),
    Crop(12),
    Pad(20),
    Orient("-x+y"),
    Every(3),
    Region(-20, -30, 20, 30),
    MaskRectangle(top=2, bottom=5, left=1, right=4),
    MaskPolygon("2,2 9,3 4,9"),
    MaskBrush("3,3 8,8", radius=1.5),
    Pedestal(1),
    Scale(2),
]


def scan_with(good: np.ndarray, counts: np.ndarray = COUNTS) -> Scan:
    return Scan(Patterns(counts), POSITIONS, mask=Masks(good), indexes=np.arange(len(counts)))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_does_to_each_mask_what_it_does_to_one_for_all(step):
    done = preprocess(scan_with(GOOD), [step])
    for place, row in enumerate(done.indexes):
        alone = preprocess(Scan(Patterns(COUNTS), POSITIONS, mask=GOOD[row], indexes=np.arange(12)), [step])
        np.testing.assert_array_equal(done.mask[place], alone.mask)


@pytest.mark.parametrize(
    "step",
    [Centre(how="mass"), Centre(how="symmetry"), HotPixels(), Saturation(1000), MaskThreshold(above=90), DropBright(5)],
    ids=lambda step: getattr(step, "how", step.name),
)
def test_garbage_in_what_is_masked_changes_nothing(step):
    clean, foul = (scan_with(GOOD, np.where(GOOD, COUNTS, np.float32(value))) for value in (0, 6e4))
    clean, foul = (preprocess(scan, [step]) for scan in (clean, foul))
    assert clean.history == foul.history
    np.testing.assert_array_equal(clean.mask[:], foul.mask[:])
    np.testing.assert_array_equal(clean.patterns[:][clean.mask[:]], foul.patterns[:][foul.mask[:]])


def test_what_saturates_is_masked_in_all_patterns_beside_their_own_masks():
    counts = COUNTS.copy()
    counts[4, 10, 10] = 5000
    good = GOOD.copy()
    good[4, 10, 10] = True
    done = preprocess(scan_with(good, counts), [Saturation(5000)])
    expected = good.copy()
    expected[:, 10, 10] = False
    np.testing.assert_array_equal(done.mask[:], expected)


@pytest.mark.parametrize("step", [Saturation(40), DropDead(0.99)], ids=lambda step: step.name)
def test_a_sketch_of_a_large_scan_keeps_all_masks(monkeypatch, step):
    monkeypatch.setattr(survey, "LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr(survey, "SAMPLE_BYTES", 4 * COUNTS[0].nbytes)
    sketched = sketch(step, scan_with(GOOD))
    assert len(sketched.mask) == len(sketched) > 4
    assert not sketched.mask[:][~GOOD[sketched.indexes]].any()


def test_a_preview_marks_what_is_bad_in_the_pattern_that_it_shows():
    good = GOOD.copy()
    good[:, 5, 5] = False
    outcome = StepsPreview(scan_with(good)).look((Crop(14),), 1, 3, StopToken())
    np.testing.assert_array_equal(outcome.before.pattern_mask, good[3])
    np.testing.assert_array_equal(outcome.after.pattern_mask, good[3, 1:15, 1:15])
    assert np.argwhere(~outcome.before.mask).tolist() == [[5, 5]]
