"""What preprocessing steps make of a scan, looked at while they are edited."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import Cancelled, StopToken
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import preprocess
from ptycho_core.preprocessing import preview as previewing
from ptycho_core.preprocessing.preview import StepsPreview
from ptycho_core.scan.steps import Crop, DropDead, Every, MaskRectangle, Region
from ptycho_core.simulation.files import write_simulation


def look(preview, *arguments):
    return preview.look(*arguments, StopToken())


def test_the_scan_is_seen_before_and_after_the_steps_that_are_shown(tiny_scan):
    outcome = look(StepsPreview(tiny_scan), (Every(2), Crop(16)), 1, 4)
    before, after = outcome.before, outcome.after
    assert (before.n, before.size, after.n, after.size) == (60, 32, 30, 32)
    np.testing.assert_allclose(before.mean, tiny_scan.patterns[:].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(after.mean, tiny_scan.patterns[::2].mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(after.pattern, before.pattern)
    assert after.rows.tolist() == list(range(0, 60, 2))
    assert len(outcome.notes) == 2
    assert outcome.n_shown == 1


def test_a_pattern_that_the_steps_leave_out_is_none_afterwards(tiny_scan):
    outcome = look(StepsPreview(tiny_scan), (Every(2),), 1, 5)
    assert outcome.after.pattern is None
    np.testing.assert_array_equal(outcome.before.pattern, tiny_scan.patterns[5])


def test_a_step_that_cannot_be_done_is_told_and_the_scan_is_shown_before_it(tiny_scan):
    outcome = look(StepsPreview(tiny_scan), (Every(2), Crop(64), Every(3)), 3, 0)
    assert "size must be at most" in outcome.failure
    assert (len(outcome.notes), outcome.n_shown, outcome.after.n) == (1, 1, 30)


def test_an_edit_does_no_earlier_step_again(tiny_scan, monkeypatch):
    tried = []
    sketch = previewing.sketch
    monkeypatch.setattr(previewing, "sketch", lambda step, scan: (tried.append(step), sketch(step, scan))[1])
    preview = StepsPreview(tiny_scan)
    for last in (16, 20):
        look(preview, (DropDead(), Crop(last)), 2, 0)
    assert tried == [DropDead(), Crop(16), Crop(20)]
    assert look(preview, (Crop(20),), 1, 0).after.size == 20


def test_counts_are_those_of_good_pixels(tiny_scan):
    after = look(StepsPreview(tiny_scan), (MaskRectangle(0, 0, 16, 32),), 1, 0).after
    assert after.counts == pytest.approx(tiny_scan.patterns[:][:, 16:].sum() / 60, rel=1e-5)


def test_a_scan_that_was_loaded_with_steps_is_read_again_without_them(tiny_sim, tmp_path):
    path, _ = write_simulation(tiny_sim, tmp_path / "scan.npz")
    loaded = preprocess(read_scan(path), [Crop(16)])
    outcome = look(StepsPreview(loaded), (Region(-8, -8, 8, 8),), 1, 0)
    assert (outcome.before.size, outcome.before.n) == (32, 60)
    assert outcome.after.n < 60


def test_a_scan_in_memory_cannot_be_had_without_its_steps(tiny_scan):
    with pytest.raises(InputError, match="was not read from a file"):
        look(StepsPreview(preprocess(tiny_scan, [Crop(16)])), (), 0, 0)


def test_a_cancelled_look_leaves_and_the_next_is_right(tiny_scan):
    preview, token = StepsPreview(tiny_scan), StopToken()
    token.cancel()
    with pytest.raises(Cancelled):
        preview.look((Crop(16),), 1, 0, token)
    assert look(preview, (Crop(20), Every(2)), 2, 0).after.size == 20


def test_places_of_a_large_scan_are_a_sample(tiny_scan, monkeypatch):
    monkeypatch.setattr(previewing, "_MOST_PLACES", 10)
    seen = look(StepsPreview(tiny_scan), (), 0, 0).before
    assert (seen.n, len(seen.positions)) == (60, 10)
    np.testing.assert_array_equal(seen.positions, tiny_scan.positions[seen.rows])
