"""A picture that is kept: who starts again goes on with it, and puts nothing into it twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.live import LiveScan
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.mosaic import HELD_OUT, Mosaic
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.scan.steps import Crop, DropDead


@pytest.fixture
def begin(tiny_sim, tmp_path, monkeypatch):
    """Begin, or go on with, the picture of one scan."""
    model = PinnModel(Config(model_width=2), torch.from_numpy(tiny_sim.truth.probe), 0, FAR_FIELD).eval()
    (tmp_path / "model.ckpt").write_bytes(b"weights")
    monkeypatch.setattr(Mosaic, "begin", lambda model, scan, device: Mosaic(model))
    kept = tmp_path / "scan" / "measured.pt"
    return lambda: LiveScan(model, tmp_path / "model.ckpt", torch.device("cpu"), kept)


def in_it(live: LiveScan) -> int:
    return live.mosaic.progress().patterns


def shown(rows: range) -> int:
    return sum(row % HELD_OUT != HELD_OUT // 2 for row in rows)


def test_who_starts_again_goes_on_as_if_nothing_had_happened(begin, tiny_sim):
    scan, whole, first = tiny_sim.scan, begin(), begin()
    first.grow(scan.take(range(40)))  # which is kept at once
    whole.grow(scan.take(range(40)))
    again = begin()
    assert in_it(again) == shown(range(40))
    assert again.grow(scan.take(range(40)))  # it is shown, though nothing is new
    assert not again.grow(scan.take(range(40)))
    for live in (whole, again):
        assert live.grow(scan)
    assert in_it(again) == shown(range(60))
    np.testing.assert_array_equal(again.mosaic.picture, whole.mosaic.picture)
    assert again.mosaic.progress() == whole.mosaic.progress()


def test_a_picture_is_begun_anew_with_another_model_another_scan_or_a_file_that_was_cut(begin, tiny_sim, tmp_path):
    scan, live = tiny_sim.scan, begin()
    live.grow(scan.take(range(40)))
    other = scan.replace(patterns=type(scan.patterns)(scan.patterns[:] + 1))
    again = begin()
    again.grow(other.take(range(20)))
    assert in_it(again) == shown(range(20))
    live.keep()
    (tmp_path / "model.ckpt").write_bytes(b"other weights")
    assert begin().mosaic is None
    (tmp_path / "model.ckpt").write_bytes(b"weights")
    kept = tmp_path / "scan" / "measured.pt"
    live.keep()
    kept.write_bytes(kept.read_bytes()[:1000])
    assert begin().mosaic is None


def test_positions_that_move_all_alike_are_moved_back_and_others_begin_anew(begin, tiny_sim):
    scan, live = tiny_sim.scan, begin()
    live.grow(scan.take(range(30)))
    live.grow(scan.replace(positions=scan.positions + 5.0))
    assert in_it(live) == shown(range(60))
    live.grow(scan.replace(positions=scan.positions * 1.1).take(range(50)))
    assert in_it(live) == shown(range(50))


def test_what_is_over_is_forgotten(begin, tiny_sim):
    live = begin()
    live.grow(tiny_sim.scan)
    assert live.kept.exists()
    live.forget()
    assert not live.kept.exists()
    live.forget()


def test_steps_that_look_at_all_patterns_cost_as_much_as_there_are_however_often_one_looks(begin):
    live, looks = begin(), range(64, 10_000, 8)
    read = [patterns for patterns in looks if live.is_time_for([Crop(16), DropDead()], patterns)]
    assert sum(read) < 12 * looks[-1]
    assert read[-1] > looks[-1] / 1.1
    assert all(live.is_time_for([Crop(16)], patterns) for patterns in looks)
